"""What code does to those who run it, one deed a function."""

import ctypes
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import kedge

MB = 1 << 20


def fine() -> int:
    return 1


def segfault() -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
    return 1


def exit_three() -> int:
    print("about to leave", file=sys.stderr)
    sys.exit(3)


def exit_early() -> int:
    os._exit(0)


def recurse(n: int = 0) -> int:
    return recurse(n + 1) + 1


def recurse_in_c() -> int:
    sys.setrecursionlimit(1 << 30)

    class Deep:
        def __getattr__(self, name: str) -> object:
            return getattr(self, name + "x")

    repr(Deep().x)
    return 1


def eat_memory(mb: int = 300, seconds: float = 0.5) -> int:
    held = [b"x" * MB for _ in range(mb)]
    time.sleep(seconds)
    return len(held)


def child_eats_memory(mb: int = 300) -> int:
    code = f"import time; held = [b'x' * {MB} for _ in range({mb})]; time.sleep(50)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def hide_memory(mb: int = 90, seconds: float = 0.5) -> int:
    """As much in a file of /dev/shm, which nobody has open, as in the process."""
    with open("/dev/shm/hidden", "wb") as file:
        for _ in range(mb):
            file.write(b"x" * MB)
    return eat_memory(mb, seconds)


def fork_bomb() -> int:
    forks = 0
    while True:
        try:
            if os.fork() == 0:
                while True:
                    try:
                        os.fork()
                    except OSError:
                        time.sleep(0.01)
            forks += 1
        except OSError as error:
            raise RuntimeError(f"{error.strerror} after {forks} forks") from None


def thread_bomb() -> int:
    for number in range(10_000):
        try:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:
            return number
    return 10_000


def flood(mb: int = 1024) -> int:
    block = (b"x" * 127 + b"\n") * 8192
    for _ in range(mb):
        view = memoryview(block)
        while view:
            view = view[os.write(1, view) :]
    return mb


def long_line(mb: int = 10) -> int:
    sys.stdout.write("y" * (mb * MB) + "\n")
    return mb


def not_utf8() -> int:
    os.write(1, b"\xff\xfe\x80 out\n")
    os.write(2, b"\xc3\x28 err\n")
    Path("out/progress.jsonl").write_bytes(b'\xff\xfe{"step": 1}\n{"step": 2, "message": "good"}\n')
    return 1


def not_a_number() -> dict:
    return {"good": 1.0, "bad": float("nan"), "worse": [float("inf")]}


def unserialisable() -> dict:
    return {"thing": object()}


def wrong_extension():
    path = Path("out/files/report.txt")
    path.write_text("a;b\n")
    return None


def link_out():
    os.symlink("/etc/hostname", "out/files/report.txt")


def fifo():
    os.mkfifo("out/files/report.txt")


def many_files(count: int):
    folder = Path("out/files/parts")
    folder.mkdir()
    _touch(folder, range(count))


def many_artifacts(count: int) -> int:
    _touch(Path("out/artifacts"), range(count))
    return count


def files_without_end():
    _touch(Path("scratch"), itertools.count())


def _touch(folder: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        os.close(os.open(folder / str(number), os.O_CREAT | os.O_WRONLY))


def deletes_out():
    shutil.rmtree("out", ignore_errors=True)


def rewrites_list():
    Path("out/files/list.json").unlink(missing_ok=True)
    Path("out/files/list.json").write_text('{"required": [], "optional": []}')


def fill(where: str = "scratch", mb: int = 400) -> int:
    place = {"scratch": os.environ["KEDGE_SCRATCH"], "tmp": os.environ.get("TMPDIR", "/tmp")}.get(
        where, where
    )
    with open(os.path.join(place, "filler"), "wb") as file:
        for _ in range(mb):
            file.write(b"x" * MB)
            file.flush()
    time.sleep(2)
    return mb


def closes_all() -> int:
    os.closerange(0, 4096)
    return 7


def stops_itself() -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return 1


def masks_signals() -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    kedge.progress(1, 1, "deaf")
    while True:
        time.sleep(60)
