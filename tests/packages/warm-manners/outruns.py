"""A call ends before the process that forked it goes on, as it may on a machine that is busy."""

import os
import time

STAMP = os.urandom(8).hex()  # of the process that imports this

os.register_at_fork(after_in_parent=lambda: time.sleep(0.2))


def outruns() -> str:
    return STAMP
