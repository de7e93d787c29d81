"""A guard that is copied from one that is ready; what lives and dies with it is in test_lifecycle.py."""

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import cgroups, guarded, landlock, processes
from kedge.executor.warm import guards as warm
from kedge.executor.warm.guards import Guards
from kedge.run import unrecorded
from kedge.task import Resources

PATH = {"PATH": "/usr/bin:/bin"}
RESOURCES = Resources(cpu=1, memory_mb=256)


@pytest.fixture
def guards() -> Iterator[Guards]:
    made = Guards()
    yield made
    made.close()


@contextmanager
def started(
    guards: Guards, *argv: str, folder: str = "/", resources: Resources = RESOURCES, **more: Any
) -> Iterator[guarded.Guarded]:
    """A program under a copied guard, at a post for these limits."""
    post = guards.post(resources)
    assert post is not None
    given: list[guarded.Guarded | None] = []

    def ready(prepared: bytes) -> guarded.Guarded | None:
        given.append(post.ready(prepared))
        return given[-1]

    with post:
        group = post.group()
        entrances = () if group is None else group.entrances
        spec = guarded.Specification(argv, PATH, folder, {}, None, entrances=entrances, **more)
        program = guarded.start(spec, ready)
        assert given[0] is program
        try:
            yield program
        finally:
            program.close()


def run(
    guards: Guards, folder: Path, *argv: str, resources: Resources = RESOURCES
) -> tuple[int | None, str]:
    """The exit code of a program and its output."""
    with started(guards, *argv, folder=str(folder), resources=resources) as program:
        said = b""
        while data := os.read(program.stdout, 1 << 16):
            said += data
        return program.settle().exit_code, said.decode()


def waiting(guards: Guards) -> guarded.Guarded:
    """The one that waits for the next program, and has said which process is to be that."""
    found = guards._idle[-1]._waiting
    assert found is not None and processes.wait_readable(found.ended, 30) and found.is_ready()
    assert found._program is not None
    return found


def gone(process: int) -> bool:
    """Whether a process has ended, or does within its time."""
    try:
        held = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return processes.wait_readable(held, 30)
    finally:
        os.close(held)


def alone(guards: Guards) -> None:
    """See that there is no guard left that could serve again."""
    while guards._idle:
        guards._idle.pop().close()


def original(guards: Guards) -> int:
    assert guards._original is not None
    return guards._original[0]


def test_a_copy_is_a_child_of_this_process_in_a_session_of_its_own(
    guards: Guards, tmp_path: Path
) -> None:
    code, said = run(
        guards, tmp_path, "sh", "-c", "ps -o ppid= -p $PPID; ps -o sid= -p $PPID; echo $PPID"
    )
    parent, session, guard = map(int, said.split())
    assert (code, parent, session) == (0, os.getpid(), guard) and guard != original(guards)
    guards.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(guard, 0)  # it is gone, and was taken leave of


def test_one_guards_a_program_after_the_other(guards: Guards, tmp_path: Path) -> None:
    found = [run(guards, tmp_path, "sh", "-c", f"echo $PPID; exit {code}") for code in (0, 3, 0)]
    assert [code for code, _ in found] == [0, 3, 0] and len({said for _, said in found}) == 1


def test_programs_leave_no_descriptors_with_their_guard(guards: Guards, tmp_path: Path) -> None:
    found = []
    for _ in range(3):
        guard = int(run(guards, tmp_path, "sh", "-c", "echo $PPID")[1])
        waiting(guards)
        found.append((guard, len(os.listdir(f"/proc/{guard}/fd"))))
    assert len(set(found[1:])) == 1


def test_what_each_program_used_is_told(guards: Guards, tmp_path: Path) -> None:
    much = (
        "b'x' * (200 << 20); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    )
    found = []
    for code in (much, ""):
        argv = ("/usr/bin/python3", "-I", "-S", "-c", f"import time; {code}")
        with started(guards, *argv) as program:
            assert processes.wait_readable(program.ended, 30)
            found.append(program.settle())
    assert found[0].cpu_s >= 0.3 > found[1].cpu_s
    assert found[0].peak_memory_mb >= 200 > found[1].peak_memory_mb


def test_one_that_its_program_has_killed_serves_no_more(guards: Guards, tmp_path: Path) -> None:
    with started(guards, "sh", "-c", "kill -KILL $PPID") as program:
        assert processes.wait_readable(program.ended, 30)
        program.settle()
    assert not guards._idle
    assert run(guards, tmp_path, "echo", "next")[1] == "next\n"


def test_the_same_one_is_copied_by_many_threads(guards: Guards, tmp_path: Path) -> None:
    found: list[tuple[int | None, str]] = []

    def one(number: int) -> None:
        found.append(run(guards, tmp_path, "sh", "-c", f"echo {number}; exit {number}"))

    run(guards, tmp_path, "true")
    first = original(guards)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [(number, f"{number}\n") for number in range(8)]
    assert original(guards) == first


def test_one_that_was_killed_gets_a_successor(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    first = original(guards)
    alone(guards)
    os.kill(first, signal.SIGKILL)
    assert run(guards, tmp_path, "echo", "still")[1] == "still\n"
    assert original(guards) != first


def test_the_files_of_a_program_have_the_modes_that_this_process_has_now(
    guards: Guards, tmp_path: Path
) -> None:
    run(guards, tmp_path, "true")
    before = os.umask(0o027)
    try:
        assert run(guards, tmp_path, "sh", "-c", "umask")[1].strip().endswith("027")
    finally:
        os.umask(before)


def test_a_program_has_no_descriptors_of_its_guards_original(
    guards: Guards, tmp_path: Path
) -> None:
    for _ in range(2):
        assert run(guards, tmp_path, "ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]


def test_after_a_fork_each_has_its_own(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    first = original(guards)
    child = os.fork()
    if not child:
        try:
            code, said = run(guards, tmp_path, "echo", "child")
            os._exit(0 if (code, said) == (0, "child\n") and original(guards) != first else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert run(guards, tmp_path, "echo", "parent")[1] == "parent\n" and original(guards) == first


def test_one_that_is_stopped_goes_on(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    first = original(guards)
    alone(guards)
    os.kill(first, signal.SIGSTOP)
    assert run(guards, tmp_path, "echo", "on")[1] == "on\n" and original(guards) == first
    os.kill(first, signal.SIGSTOP)
    guards.close()


def test_one_that_does_not_answer_makes_no_second_guard(
    guards: Guards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(guards, tmp_path, "true")
    first = original(guards)
    alone(guards)
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(warm, "_PATIENCE_S", 0.0)  # it is killed before it has heard anything
    assert run(guards, tmp_path, "sh", "-c", "echo once >> said; cat said")[1] == "once\n"
    assert original(guards) != first


def test_one_is_made_ready_for_the_next_program(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    one = waiting(guards)
    assert run(guards, tmp_path, "sh", "-c", "echo $PPID $$")[1] == f"{one._guard} {one._program}\n"


def test_one_that_waits_begins_nothing_once_it_is_let_go(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    one = waiting(guards)
    guard, program = one._guard, one._program
    assert program is not None
    guards.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(guard, 0)  # it is gone, and was taken leave of
    assert gone(program)


def test_one_that_was_killed_while_it_waited_is_not_given(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    for which in ("guard", "program"):
        one = waiting(guards)
        guard, program = one._guard, one._program
        assert program is not None
        os.kill(guard if which == "guard" else program, signal.SIGKILL)
        assert gone(guard if which == "guard" else program)
        assert run(guards, tmp_path, "echo", which)[1] == f"{which}\n"
        assert gone(program)


def test_one_that_waits_ends_with_the_process_that_it_waits_for(tmp_path: Path) -> None:
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            guards = Guards()
            run(guards, tmp_path, "true")
            one = waiting(guards)
            os.write(tell, f"{one._guard} {one._program}".encode())
            signal.pause()
        finally:
            os._exit(1)
    guard, program = map(int, os.read(told, 100).split())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert gone(guard) and gone(program)


def test_one_that_has_other_rules_ready_is_not_taken(guards: Guards, tmp_path: Path) -> None:
    rules = landlock.Ruleset(1, 0, 0, (("/usr", 1), ("/lib", 1), ("/lib64", 1), ("/bin", 1)))
    with started(guards, "true", landlock=rules) as program:
        assert processes.wait_readable(program.ended, 30)
        program.settle()
    waiting(guards)
    said = str(tmp_path / "said")
    assert run(guards, tmp_path, "sh", "-c", f"echo > {said}")[0] == 0 and os.path.exists(said)


def test_a_file_put_in_the_place_of_another_is_in_the_rules(tmp_path: Path) -> None:
    place, other = tmp_path / "settings", tmp_path / "other"
    spec = guarded.Specification(
        *(("true",), {}, "/", {}, None), landlock=landlock.Ruleset(1, 0, 0, ((str(place), 1),))
    )
    place.touch()
    before = spec.prepared()
    assert spec.prepared() == before
    other.touch()
    other.rename(place)
    assert spec.prepared() != before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_has_become_somebody_else_starts_no_programs_as_root() -> None:
    child = os.fork()
    if not child:
        try:
            guards, asked = Guards(), []
            run(guards, Path("/"), "true")
            os.setgroups([])
            os.setresgid(54321, 54321, 54321)
            os.setresuid(54321, 54321, 54321)

            def start() -> tuple[int, socket.socket]:
                asked.append(True)
                raise PermissionError

            warm._started = start
            assert guards.post(RESOURCES) is None and asked
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_this_process_inherits_to_others_is_inherited(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    place = Path("/proc/self/oom_score_adj")
    before = place.read_text()
    place.write_text("300")
    try:
        assert run(guards, tmp_path, "cat", str(place))[1] == "300\n"
    finally:
        place.write_text(before)


def test_without_descriptors_it_is_another_way_this_once(guards: Guards, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert guards.post(RESOURCES) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert run(guards, tmp_path, "echo", "again")[1] == "again\n"


def test_one_that_is_closed_leaves_nobody_and_is_not_asked_again(
    guards: Guards, tmp_path: Path
) -> None:
    run(guards, tmp_path, "true")
    first = original(guards)
    guards.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert guards.post(RESOURCES) is None


# --- their control groups

needs_groups = pytest.mark.usefixtures("control_groups")


def group_of(guards: Guards, tmp_path: Path, resources: Resources = RESOURCES) -> str:
    """The name of the group that a program of these limits is in."""
    said = run(guards, tmp_path, "cat", "/proc/self/cgroup", resources=resources)[1]
    (name,) = set(re.findall(r"/kedge-([a-z0-9]{12})", said))
    return name


@needs_groups
def test_programs_of_the_same_limits_come_into_one_group(guards: Guards, tmp_path: Path) -> None:
    first = group_of(guards, tmp_path)
    assert group_of(guards, tmp_path) == first
    other = group_of(guards, tmp_path, Resources(cpu=1, memory_mb=128))
    assert other != first and {first, other} <= set(cgroups.named())
    assert group_of(guards, tmp_path) == first
    guards.close()
    assert not {first, other} & set(cgroups.named())


BUSY = """
import threading, time
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
try:
    while True:
        threading.Thread(target=time.sleep, args=(0.2,)).start()
except RuntimeError:
    pass
"""

KILLED = "bytearray(512 << 20)"


def python(code: str) -> tuple[str, ...]:
    return "/usr/bin/python3", "-I", "-S", "-c", code


def used_by(guards: Guards, *argv: str, resources: Resources = RESOURCES) -> cgroups.Usage:
    """What a program used, as its group says."""
    post = guards.post(resources)
    assert post is not None
    with post:
        group = post.group()
        assert group is not None
        spec = guarded.Specification(argv, PATH, "/", {}, None, entrances=group.entrances)
        program = guarded.start(spec, post.ready)
        assert processes.wait_readable(program.ended, 30)
        program.settle()
        program.close()
        return group.usage()


@needs_groups
def test_what_an_earlier_program_did_is_not_counted(guards: Guards, tmp_path: Path) -> None:
    few = Resources(cpu=1, memory_mb=256, pids=20)
    group = group_of(guards, tmp_path, few)
    busy = used_by(guards, *python(BUSY), resources=few)
    assert busy.cpu_s is not None and busy.cpu_s > 0.25 and busy.forks_refused
    quiet = used_by(guards, "true", resources=few)
    assert quiet.cpu_s is not None and quiet.cpu_s < 0.2 and quiet.forks_refused == 0
    assert group_of(guards, tmp_path, few) == group


@needs_groups
def test_a_group_in_which_one_was_killed_for_memory_serves_no_more(
    guards: Guards, tmp_path: Path
) -> None:
    group = group_of(guards, tmp_path)
    assert used_by(guards, *python(KILLED)).oom_kills == 1
    assert used_by(guards, "true").oom_kills == 0
    assert group_of(guards, tmp_path) != group and group not in cgroups.named()


@needs_groups
def test_a_group_that_files_in_memory_belong_to_serves_no_more(
    guards: Guards, tmp_path: Path
) -> None:
    group = group_of(guards, tmp_path)
    left = Path(f"/dev/shm/kedge-test-{os.getpid()}")
    try:
        used_by(guards, *python(f"open({str(left)!r}, 'wb').write(bytes(16 << 20))"))
        assert left.stat().st_size == 16 << 20
        assert group_of(guards, tmp_path) != group
    finally:
        left.unlink()


def test_a_guard_without_descriptors_for_the_next_program_is_taken_leave_of(
    guards: Guards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(guards, tmp_path, "true")
    guard = waiting(guards)._guard

    def refused(_: bytes) -> guarded.Lines:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(warm, "Lines", refused)
        run(guards, tmp_path, "true")
    with pytest.raises(ChildProcessError):
        os.waitpid(guard, 0)
    assert run(guards, tmp_path, "echo", "again")[1] == "again\n"


@needs_groups
def test_a_group_in_which_somebody_is_left_serves_no_more(guards: Guards, tmp_path: Path) -> None:
    left = subprocess.Popen(["sleep", "1000"])
    post = guards.post(RESOURCES)
    assert post is not None
    with post:
        group = post.group()
        assert group is not None
        spec = guarded.Specification(("true",), PATH, "/", {}, None, entrances=group.entrances)
        program = guarded.start(spec, post.ready)
        for entrance in group.entrances:
            Path(entrance).write_text(str(left.pid))
        assert processes.wait_readable(program.ended, 30)
        program.settle()
        program.close()
    assert left.wait(30) == -signal.SIGKILL
    assert not guards._idle and not os.path.exists(group.entrances[0])


@needs_groups
def test_those_that_nobody_used_longest_go(guards: Guards, tmp_path: Path) -> None:
    names = [
        group_of(guards, tmp_path, Resources(cpu=1, memory_mb=64 + number))
        for number in range(warm._MOST_IDLE + 1)
    ]
    assert not {names[0]} & set(cgroups.named()) and set(names[1:]) <= set(cgroups.named())


@needs_groups
def test_groups_of_a_process_that_was_killed_are_found(tmp_path: Path) -> None:
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(tell, group_of(Guards(), tmp_path).encode())
            signal.pause()
        finally:
            os._exit(1)
    name = os.read(told, 100).decode()
    assert name in cgroups.named()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    unrecorded.sweep()
    assert name not in cgroups.named()
