raise RuntimeError("cannot be imported")


def value() -> int:
    return 1
