"""Has each fork do something that is not what a call begins with."""

import os
import threading
import time

os.register_at_fork(
    after_in_child=lambda: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
)


def value() -> int:
    return 1
