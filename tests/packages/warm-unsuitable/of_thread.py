import threading
import time

GOING = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
GOING.start()


def value() -> bool:
    return GOING.is_alive()
