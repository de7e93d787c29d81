"""Changes what it can while it is imported; calls find it so."""

import decimal
import locale
import os
import signal
import sys
import time

with open("table.csv") as file:  # beside this one, where every run begins
    TABLE = file.read()

os.environ["MADE"] = "by the import"
os.environ["SOLVER"] += ", but not quite"
del os.environ["GONE"]
os.umask(0o077)
os.chdir("/usr/lib")
decimal.getcontext().prec = 7
sys.setrecursionlimit(2000)
sys.path.append("/usr/share")
locale.setlocale(locale.LC_ALL, "C")
BEFORE = signal.getsignal(signal.SIGTERM)


def end(number: int, frame: object) -> None:
    os.write(1, b"in its own way\n")
    sys.exit(9)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR1, lambda *_: print("told"))


def surroundings() -> dict:
    os.kill(os.getpid(), signal.SIGUSR1)
    return {
        "table": TABLE,
        "variables": {name: os.environ.get(name) for name in ("MADE", "SOLVER", "GONE", "PWD", "HOME")},
        "seen_by_programs": os.popen("echo $MADE $SOLVER $GONE $PWD").read(),
        "folder": os.getcwd(),
        "mask": os.umask(0o022),
        "precision": decimal.getcontext().prec,
        "recursion": sys.getrecursionlimit(),
        "path": sys.path,
        "locale": locale.setlocale(locale.LC_ALL),
        "handlers": [signal.getsignal(signal.SIGTERM).__name__, BEFORE.__qualname__],
    }


def waits() -> None:
    print("ready")
    time.sleep(1000)
