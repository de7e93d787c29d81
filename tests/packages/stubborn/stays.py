"""Functions that do not end by themselves. Each says through progress that it has begun."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kedge

FOREVER = 3600


def sleeps() -> None:
    """Silent, and stops when asked."""
    kedge.progress(1, 1, "ready")
    time.sleep(FOREVER)


def tidies() -> None:
    """Uses its grace period to leave something behind."""
    try:
        kedge.progress(1, 1, "ready")
        time.sleep(FOREVER)
    except kedge.Cancelled:
        Path("out/artifacts").mkdir(parents=True, exist_ok=True)
        Path("out/artifacts/partial.txt").write_text("as far as it got\n")
        raise


def ignores() -> None:
    """Does not listen."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    kedge.progress(1, 1, "ready")
    while True:
        time.sleep(FOREVER)


def escapes() -> int:
    """Leaves a process in a session of its own, whose parent is gone; then stays too."""
    program = (
        "import os, signal, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('scratch/escaped', 'w').write(str(os.getpid()))\n"
        f"time.sleep({FOREVER})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    while not os.path.exists("scratch/escaped"):
        time.sleep(0.01)
    kedge.progress(1, 1, "ready")
    time.sleep(FOREVER)
