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


def vanishes(seconds: str) -> None:
    """Leaves a sleep of `seconds` with nothing of this run in its variables, and ignores every request."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(reading)
            os.execve("/bin/sleep", ["sleep", seconds], {})
        os._exit(0)
    os.wait()
    os.close(writing)
    os.read(reading, 1)  # ends when the grandchild is a sleep: exec closes the pipe
    kedge.progress(1, 1, "ready")
    time.sleep(FOREVER)


def writes(seconds: str, files: int) -> int:
    """Leaves a sleep too, and then files to collect; ends well."""
    if os.fork() == 0:
        os.setsid()
        os.execve("/bin/sleep", ["sleep", seconds], {})
    folder = kedge.out_path("x").parent.parent / "artifacts"
    for number in range(files):
        (folder / f"{number}.txt").write_text("x")
    return files


def floods() -> None:
    """Writes without end to standard output."""
    kedge.progress(1, 1, "ready")
    line = b"x" * 99 + b"\n"
    while True:
        os.write(1, line * 100)
