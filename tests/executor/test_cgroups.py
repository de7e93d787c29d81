"""Control groups as they are on this machine: limits that hold, counts, killing, finding again."""

import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kedge.executor import cgroup_folders as folders
from kedge.executor import cgroup_v1, cgroups
from kedge.executor.cgroup_hierarchies import hierarchies
from kedge.task import Resources

# Far beyond what anything here takes: only a failure waits so long.
PATIENCE_S = 30

AVAILABLE = cgroups.look().available if os.geteuid() == 0 else cgroups.Available(None, frozenset())

needs_all = pytest.mark.usefixtures("control_groups")

# Held until somebody writes a line to it, as a program that has to wait for its limits.
HELD = "import sys; sys.stdin.readline()\n"


def new_name() -> str:
    return "test" + secrets.token_hex(4)


@pytest.fixture
def make() -> Iterator[Callable[..., cgroups.Group]]:
    """Makes groups that are gone after the test."""
    made: list[cgroups.Group] = []

    def make(**limits: float) -> cgroups.Group:
        given = {"cpu": os.cpu_count() or 1, "memory_mb": 256, "pids": 64, **limits}
        group = cgroups.create(new_name(), Resources(**given))  # type: ignore[arg-type]
        assert group is not None
        made.append(group)
        return group

    yield make
    for group in made:
        group.remove()


def start(group: cgroups.Group, code: str) -> subprocess.Popen[str]:
    """A Python program that begins inside `group`."""
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", HELD + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    group.join(program.pid)
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()
    return program


def said(program: subprocess.Popen[str]) -> str:
    """The next line of a program."""
    assert program.stdout is not None
    assert select.select([program.stdout], [], [], PATIENCE_S)[0]
    return program.stdout.readline().strip()


def ended(program: subprocess.Popen[str]) -> int:
    """Its exit code."""
    with program:
        program.communicate(timeout=PATIENCE_S)
    return program.returncode


@needs_all
def test_what_uses_more_memory_than_its_limit_is_killed_and_counted(
    make: Callable[..., cgroups.Group],
) -> None:
    group = make(memory_mb=48)
    assert "memory" in group.enforces
    assert group.usage().oom_kills == 0
    assert ended(start(group, "bytearray(96 << 20)")) == -signal.SIGKILL
    assert group.usage().oom_kills == 1


@needs_all
def test_a_kill_that_has_nothing_to_do_with_memory_is_not_counted(
    make: Callable[..., cgroups.Group],
) -> None:
    group = make()
    program = start(group, "print('up', flush=True); input()")
    said(program)
    program.kill()
    assert ended(program) == -signal.SIGKILL
    assert group.usage().oom_kills == 0


@needs_all
def test_memory_is_that_of_processes_and_not_of_files_they_read(
    make: Callable[..., cgroups.Group], tmp_path: Path
) -> None:
    group = make()
    file = os.path.join(str(tmp_path), "large")
    code = (
        f"file = open({file!r}, 'wb'); [file.write(bytes(1 << 20)) for _ in range(64)]; file.flush()\n"
        "held = bytearray(32 << 20)\n"
        "import _posixshmem, os, mmap\n"
        "name = '/kedge-test-%d' % os.getpid()\n"
        "area = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT, 0o600)\n"
        "_posixshmem.shm_unlink(name); os.ftruncate(area, 16 << 20)\n"
        "shared = mmap.mmap(area, 16 << 20); shared.write(b'x' * (16 << 20))\n"
        "print('up', flush=True); sys.stdin.readline()"
    )
    program = start(group, code)
    assert said(program) == "up"
    memory = group.memory_mb()
    program.kill()
    ended(program)
    assert memory is not None
    assert 48 <= memory < 64


@needs_all
def test_cpu_time_is_that_of_all_processes_that_were_ever_in_it(
    make: Callable[..., cgroups.Group],
) -> None:
    group = make()
    burning = "import time\nwhile time.process_time() < 0.2: pass"
    assert ended(start(group, burning)) == 0
    assert ended(start(group, burning)) == 0
    used = group.usage().cpu_s
    assert used is not None
    assert used >= 0.3  # of 0.4, less what each used before it came in


@needs_all
def test_forks_beyond_the_limit_are_refused(make: Callable[..., cgroups.Group]) -> None:
    group = make(pids=5)
    code = (
        "import os\n"
        "born = 0\n"
        "try:\n"
        "    while born < 20:\n"
        "        if os.fork() == 0:\n"
        "            sys.stdin.read(); os._exit(0)\n"
        "        born += 1\n"
        "except BlockingIOError: pass\n"
        "print(born, flush=True)"
    )
    program = start(group, code)
    assert said(program) == "4"
    assert group.usage().forks_refused == 1
    group.kill()
    ended(program)


@needs_all
def test_the_processes_of_kedge_itself_come_on_top_of_the_limit() -> None:
    group = cgroups.create(new_name(), Resources(cpu=1, memory_mb=64, pids=5), own_processes=2)
    assert group is not None
    try:
        program = start(
            group,
            "import threading\n"
            "stop = threading.Event(); born = 0\n"
            "try:\n"
            "    while born < 20: threading.Thread(target=stop.wait, daemon=True).start(); born += 1\n"
            "except RuntimeError: pass\n"
            "print(born, flush=True)",
        )
        assert said(program) == "6"
        ended(program)
    finally:
        group.remove()


@needs_all
def test_a_cpu_limit_makes_the_same_work_take_longer(make: Callable[..., cgroups.Group]) -> None:
    group = make(cpu=0.1)
    assert "cpu" in group.enforces
    code = (
        "import time\n"
        "begun = time.monotonic(), time.process_time()\n"
        "while time.process_time() - begun[1] < 0.1: pass\n"
        "print(time.monotonic() - begun[0], flush=True)"
    )
    program = start(group, code)
    took = float(said(program))
    ended(program)
    assert took > 0.4  # ten times 0.1 s, less the first period, that may be used up at once


@needs_all
def test_all_the_cpus_of_the_machine_need_no_quota(make: Callable[..., cgroups.Group]) -> None:
    assert "cpu" in make(cpu=os.cpu_count() or 1).enforces


@needs_all
def test_nothing_gets_away_from_a_kill(make: Callable[..., cgroups.Group]) -> None:
    group = make()
    code = (
        "import os\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execve(sys.executable, [sys.executable, '-I', '-S', '-c',"
        " 'import os; print(os.getpid(), flush=True); os.read(0, 1)'], {})\n"
        "    os._exit(0)\n"
        "os.wait()"
    )
    program = start(group, code)
    away = int(said(program))
    assert away in group.processes()
    watched = os.pidfd_open(away)
    group.kill()
    assert select.select([watched], [], [], PATIENCE_S)[0]
    os.close(watched)
    assert group.processes() == []
    ended(program)


@needs_all
def test_a_fork_bomb_is_killed(make: Callable[..., cgroups.Group]) -> None:
    group = make(pids=100)
    bomb = (
        "import os\n"
        "print('up', flush=True)\n"
        "os.close(1)\n"
        "while True:\n"
        "    try: os.fork()\n"
        "    except OSError: pass"
    )
    program = start(group, bomb)
    said(program)
    group.kill()
    assert group.processes() == []
    ended(program)


@needs_all
def test_after_removing_nothing_is_left_and_again_is_fine(
    make: Callable[..., cgroups.Group],
) -> None:
    group = make()
    program = start(group, "sys.stdin.read()")
    group.remove()
    assert ended(program) == -signal.SIGKILL
    assert [path for path in group.entrances if os.path.exists(path)] == []
    group.remove()
    group.kill()
    assert group.processes() == []
    assert group.usage() == cgroups.Usage()
    assert group.memory_mb() is None


@needs_all
def test_groups_inside_a_group_go_with_it(make: Callable[..., cgroups.Group]) -> None:
    group = make()
    inner = [os.path.join(os.path.dirname(entrance), "inner") for entrance in group.entrances]
    for folder in inner:
        os.mkdir(folder)
    program = start(group, "sys.stdin.read()")
    for folder in inner:
        folders.write(f"{folder}/cgroup.procs", str(program.pid))
    assert group.processes() == [program.pid]
    group.remove()
    assert ended(program) == -signal.SIGKILL
    assert not any(os.path.exists(folder) for folder in inner)


@needs_all
def test_who_was_left_behind_is_found_by_name_and_removed() -> None:
    name = new_name()
    group = cgroups.create(name, Resources(cpu=1, memory_mb=64))
    assert group is not None
    program = start(group, "sys.stdin.read()")
    assert name in cgroups.named()
    cgroups.remove_named(name)
    assert ended(program) == -signal.SIGKILL
    assert name not in cgroups.named()
    cgroups.remove_named(name)


@needs_all
def test_a_group_of_another_process_is_not_taken_over() -> None:
    name = new_name()
    first = cgroups.create(name, Resources(cpu=1, memory_mb=64))
    assert first is not None
    try:
        assert cgroups.create(name, Resources(cpu=1, memory_mb=512)) is None
        assert all(os.path.exists(path) for path in first.entrances)
    finally:
        first.remove()


@needs_all
def test_joining_what_is_gone_says_so(make: Callable[..., cgroups.Group]) -> None:
    group = make()
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(ProcessLookupError):
        group.join(gone.pid)


@needs_all
def test_a_process_comes_in_by_itself_at_every_entrance(make: Callable[..., cgroups.Group]) -> None:
    group = make()
    code = (
        f"[open(path, 'w').write('0') for path in {group.entrances!r}]; print('in', flush=True);"
        "sys.stdin.readline()"
    )
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import sys;" + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert said(program) == "in"
    assert group.processes() == [program.pid]
    group.kill()
    ended(program)


@needs_all
def test_usage_is_read_in_well_under_half_a_millisecond(
    make: Callable[..., cgroups.Group],
) -> None:
    group = make()
    program = start(group, "sys.stdin.read()")
    took = []
    for _ in range(50):
        begun = time.perf_counter()
        group.usage()
        took.append(time.perf_counter() - begun)
    program.kill()
    ended(program)
    # The best of them: the machine's other work is not what is measured.
    assert min(took) < 0.0005


@needs_all
def test_warming_up_leaves_this_process_where_it_is() -> None:
    before = folders.read("/proc/self/cgroup")
    others = set(threading.enumerate())  # some never end: those of tests that ran before this one
    cgroups.warm_up()
    for thread in set(threading.enumerate()) - others:
        thread.join(PATIENCE_S)
    assert folders.read("/proc/self/cgroup") == before


@pytest.mark.parametrize("name", ["", "short", "Abcdefghij12", "../../../../x", "abcdefghij1/", "abcdefghij123", "abcdefghij1\n"])  # fmt: skip
def test_a_name_that_is_no_runs_id_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="run's id"):
        cgroups.create(name, Resources(cpu=1, memory_mb=64))
    with pytest.raises(ValueError, match="run's id"):
        cgroups.remove_named(name)


def test_a_process_that_cannot_be_seen_is_no_process(tmp_path: Path) -> None:
    # A signal to 0 would go to this process and its group.
    (tmp_path / "cgroup.procs").write_text("0\n5\n0\n")
    assert folders.processes([str(tmp_path)]) == [5]


def test_this_process_is_found_in_the_hierarchies_that_it_is_in() -> None:
    for one in hierarchies():
        if one.own is not None:
            assert os.getpid() in folders.processes((one.own,))


if AVAILABLE.version == 1:  # version 2 is tested with files of its own

    def test_a_kill_at_the_limit_of_a_group_above_is_not_this_groups(
        make: Callable[..., cgroups.Group],
    ) -> None:
        above = make(memory_mb=48)
        place = next(
            os.path.dirname(entrance) for entrance in above.entrances if "/memory/" in entrance
        )
        parent = cgroup_v1.Parent(AVAILABLE, {"memory": place})
        group = parent.create(new_name(), Resources(cpu=1, memory_mb=512), 0)
        assert group is not None
        assert ended(start(group, "bytearray(96 << 20)")) == -signal.SIGKILL
        assert group.usage().oom_kills == 0

    def test_an_ordinary_user_of_version_1_is_told_why_there_are_none() -> None:
        code = (
            "import os; from kedge.executor import cgroups; from kedge.task import Resources\n"
            "os.setresgid(61017, 61017, 61017); os.setresuid(61017, 61017, 61017)\n"
            "found = cgroups.available()\n"
            "assert found.version is None and 'root' in found.reason and found.hint, found\n"
            "assert cgroups.create('abcdefghij12', Resources(cpu=1, memory_mb=64)) is None\n"
            "assert cgroups.named() == []\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
