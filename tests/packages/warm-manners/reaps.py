"""Buries its children itself, from when it is imported."""

import contextlib
import os
import signal
import time

BURIED = []
STAMP = os.urandom(8).hex()


def bury(number: int, frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            BURIED.append(os.waitstatus_to_exitcode(found[1]))


signal.signal(signal.SIGCHLD, bury)


def buries() -> dict:
    if os.fork() == 0:
        os._exit(3)
    while not BURIED:
        time.sleep(0.01)
    return {"seen": BURIED, "stamp": STAMP}
