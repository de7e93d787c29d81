import time

time.sleep(1000)


def value() -> int:
    return 1
