"""What processes hold in memory together, and looking at it again and again."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from kedge.executor.memory import MemorySum, used_mb

ORDINARY = 61_017  # a user number without an account
BARE = 40  # MiB that an interpreter needs at most
READY = "\nprint(os.getpid(), flush=True)\nsys.stdin.read()"

Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code that goes on until the test is over; the number of its process."""
    started: list[subprocess.Popen[str]] = []

    def begin(code: str, *before: str) -> int:
        process = subprocess.Popen(
            [*before, sys.executable, "-c", f"import mmap, os, sys\n{code}{READY}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, "it ended"
        return int(said)

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def children(process: int) -> list[int]:
    with open(f"/proc/{process}/task/{process}/children") as file:
        return [int(word) for word in file.read().split()]


def in_own_memory() -> list[str]:
    """What starts a program with a /dev/shm of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mount = 'mount -t tmpfs -o size=64m none /dev/shm && exec "$@"'
    return ["unshare", *user, "--mount", "sh", "-c", mount, "sh"]


def settled(memory: MemorySum, now: float) -> float | None:
    """What a look at `now` finds, in the end."""
    give_up = time.monotonic() + 30
    while (found := memory.look(now)) is None and not memory._work.close():
        assert time.monotonic() < give_up
    return found if found is not None else memory.look(now)


def test_memory_of_a_process_counts(start: Start) -> None:
    assert 64 <= used_mb([start("kept = b'x' * (64 << 20)")]) <= 64 + BARE


def test_several_processes_count_together(start: Start) -> None:
    both = [start("kept = b'x' * (32 << 20)") for _ in range(2)]
    assert 64 <= used_mb(both) <= 64 + 2 * BARE


def test_forks_count_what_they_share_once(start: Start) -> None:
    parent = start(
        "kept = b'x' * (64 << 20)\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        os.read(0, 1)\n"
        "        os._exit(0)"
    )
    tree = [parent, *children(parent)]
    assert len(tree) == 5
    assert 64 <= used_mb(tree) <= 64 + BARE


def test_memory_that_is_only_reserved_does_not_count(start: Start) -> None:
    assert used_mb([start("kept = mmap.mmap(-1, 1 << 30)")]) <= BARE


def test_nobody_holds_nothing(start: Start) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert used_mb([]) == 0
    assert used_mb([gone.pid]) == 0


def test_a_memfd_counts_once_mapped_or_not(start: Start) -> None:
    code = "file = os.memfd_create('hidden')\nos.write(file, b'x' * (48 << 20))\n"
    alone = start(code)
    assert 48 <= used_mb([alone]) <= 48 + BARE
    mapped = start(code + "kept = mmap.mmap(file, 0)\nsum(kept[::4096])")
    assert 48 <= used_mb([mapped]) <= 48 + BARE


def test_private_shared_memory_counts_once_mapped_or_not(start: Start) -> None:
    code = (
        "file = os.open('/dev/shm/kept', os.O_CREAT | os.O_RDWR)\nos.write(file, b'x' * (48 << 20))"
    )
    alone = start(code, *in_own_memory())
    seen = f"/proc/{alone}/root/dev/shm"
    assert used_mb([alone]) <= BARE
    assert 48 <= used_mb([alone], seen) <= 48 + BARE
    mapped = start(f"{code}\nkept = mmap.mmap(file, 0)\nsum(kept[::4096])", *in_own_memory())
    assert 48 <= used_mb([mapped], f"/proc/{mapped}/root/dev/shm") <= 48 + BARE


def test_the_shared_memory_of_the_host_is_nobodys(start: Start) -> None:
    process = start("")
    kept = f"/dev/shm/kedge-test-{os.getpid()}"
    try:
        with open(kept, "wb") as file:
            file.write(b"x" * (48 << 20))
        assert used_mb([process], f"/proc/{process}/root/dev/shm") <= BARE
    finally:
        os.unlink(kept)


def test_a_file_of_the_hosts_shared_memory_counts_once_while_it_is_open(start: Start) -> None:
    code = (
        f"path = '/dev/shm/kedge-test-{os.getpid()}-%d' % os.getpid()\n"
        "file = os.open(path, os.O_CREAT | os.O_RDWR)\n"
        "os.write(file, b'x' * (48 << 20))\n"
        "read = os.open(path, os.O_RDONLY)\nos.unlink(path)\n"
    )
    assert 48 <= used_mb([start(code)]) <= 48 + BARE
    mapped = start(f"{code}kept = mmap.mmap(file, 0)\nsum(kept[::4096])")
    assert 48 <= used_mb([mapped]) <= 48 + BARE
    assert used_mb([start(f"{code}os.close(file)  # and is still there, to be read")]) <= BARE


def test_shared_memory_that_is_gone_is_nothing(start: Start) -> None:
    assert used_mb([start("")], "/proc/0/root/dev/shm") <= BARE


def test_where_pss_is_refused_all_that_is_resident_counts(start: Start) -> None:
    process = start("kept = b'x' * (64 << 20)") if os.geteuid() == 0 else 1
    if os.geteuid() != 0:
        assert used_mb([process]) > 0
        return
    os.seteuid(ORDINARY)
    try:
        with pytest.raises(PermissionError), open(f"/proc/{process}/smaps_rollup") as file:
            file.read()
        used = used_mb([process])
    finally:
        os.seteuid(0)
    assert 64 <= used <= 64 + 2 * BARE


def test_a_run_above_its_limit_is_noticed(start: Start) -> None:
    process = start("kept = b'x' * (64 << 20)")
    memory = MemorySum(lambda: [process], lambda: None, 50)
    found = settled(memory, 1.0)
    assert found is not None
    assert 64 <= found <= 64 + BARE


def test_a_run_that_grows_is_noticed_while_it_grows(start: Start) -> None:
    growing = start(
        "import threading, time\n"
        "kept = []\n"
        "def grow():\n"
        "    while len(kept) < 80:\n"
        "        kept.append(b'x' * (4 << 20))\n"
        "        time.sleep(0.005)\n"
        "threading.Thread(target=grow, daemon=True).start()"
    )
    memory = MemorySum(lambda: [growing], lambda: None, 100)
    give_up = time.monotonic() + 30
    while (found := memory.look(time.monotonic())) is None or found <= 100:
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_forks_below_the_limit_are_not_above_it(start: Start) -> None:
    parent = start(
        "kept = b'x' * (64 << 20)\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        os.read(0, 1)\n"
        "        os._exit(0)"
    )
    tree = [parent, *children(parent)]
    found = settled(MemorySum(lambda: tree, lambda: None, 128), 1.0)
    assert found is not None
    assert found < 128


def test_looks_are_spaced_by_what_they_cost(start: Start) -> None:
    process = start("")
    looks: list[int] = []

    def processes() -> list[int]:
        looks.append(process)
        return [process]

    memory = MemorySum(processes, lambda: None, 10_000)
    for _ in range(100):
        settled(memory, 5.0)
    assert len(looks) == 1
    settled(memory, 5000.0)
    assert len(looks) == 2


def test_what_is_neither_a_peak_nor_too_much_is_not_measured(start: Start) -> None:
    process = start("kept = b'x' * (64 << 20)")
    memory = MemorySum(lambda: [process], lambda: None, 10_000)
    assert settled(memory, 1.0) is not None
    assert settled(memory, 5000.0) is None
