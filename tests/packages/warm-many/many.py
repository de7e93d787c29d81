"""Many calls at once."""

import os
import time
from pathlib import Path

import kedge

STAMP = os.urandom(8).hex()


def works(number: int) -> dict:
    """Says its number in every way; some take too much, or fail."""
    mine = f"{number:06d}"
    print(mine)
    kedge.progress(1, 2, mine)
    Path("scratch/mine").write_text(mine)
    Path("/tmp/mine").write_text(mine)
    Path("/dev/shm/mine").write_text(mine)
    kept = bytearray(60 << 20)
    time.sleep(0.02)
    if number % 7 == 3:
        kept += bytearray(200 << 20)
    if number % 7 == 5:
        raise ValueError(mine)
    Path("out/artifacts").mkdir(parents=True, exist_ok=True)
    Path("out/artifacts/mine").write_text(mine)
    read = [Path(place, "mine").read_text() for place in ("scratch", "/tmp", "/dev/shm")]
    others = [name for name in os.listdir("/proc") if name.isdigit()]
    print(mine)
    return {"number": number, "read": read, "processes": len(others), "stamp": STAMP}


def waits() -> None:
    """With a child that does not listen; for ever."""
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 3)
        time.sleep(1000)
    kedge.progress(1, 1, "ready")
    time.sleep(1000)


def terminals(wait: bool) -> list:
    """Those that it sees, before it makes one of its own."""
    seen = sorted(os.listdir("/dev/pts"))
    os.openpty()
    if wait:
        kedge.progress(1, 1, "ready")
        time.sleep(1000)
    return seen


def finds() -> dict:
    """Whatever has the word of the secret in it, of what this call can see."""
    word = "-".join(["a", "word", "that", "nobody", "says"]).encode()
    found = [name for name, value in os.environ.items() if value.encode() == word]
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if word in place.read_bytes():
                found.append(str(place.parent.name == str(os.getpid())))
        except OSError:
            continue
    return {"found": sorted(found), "stamp": STAMP}


def mask() -> int:
    return os.umask(0)


def sleeps(seconds: float) -> dict:
    time.sleep(seconds)
    return {"stamp": STAMP}


def forks(wanted: int, seconds: float = 0.0) -> dict:
    """As many processes as it may have, and no more than are wanted."""
    made = []
    try:
        while len(made) < wanted:
            made.append(os.fork())
            if not made[-1]:
                time.sleep(1000)
    except OSError:
        pass
    time.sleep(seconds)
    for process in made:
        os.kill(process, 9)
        os.waitpid(process, 0)
    return {"made": len(made), "stamp": STAMP}
