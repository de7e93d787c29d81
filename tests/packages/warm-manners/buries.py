"""Has the kernel bury its children, from when it is imported."""

import os
import signal

STAMP = os.urandom(8).hex()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def ignores() -> dict:
    """Nobody can wait for them."""
    process = os.fork()
    if process == 0:
        os._exit(3)
    try:
        os.waitpid(process, 0)
    except ChildProcessError:
        return {"seen": signal.getsignal(signal.SIGCHLD).name, "stamp": STAMP}
    return {"seen": "waited for", "stamp": STAMP}
