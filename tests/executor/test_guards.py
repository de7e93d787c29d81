"""A guard that is copied from one that is ready; what lives and dies with it is in test_lifecycle.py."""

import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.executor import guarded, landlock, processes
from kedge.executor.warm import guards as warm
from kedge.executor.warm.guards import Guards

PATH = {"PATH": "/usr/bin:/bin"}
NOTHING = guarded.Specification(("true",), {}, "/", {}, None).prepared()


@pytest.fixture
def guards() -> Iterator[Guards]:
    made = Guards()
    yield made
    made.close()


def run(guards: Guards, folder: Path, *argv: str) -> tuple[int | None, str]:
    """The exit code of a program and its output, under a copied guard."""
    spec = guarded.Specification(argv, PATH, str(folder), {}, None)
    given: list[guarded.Guarded | None] = []

    def ready(prepared: bytes) -> guarded.Guarded | None:
        given.append(guards.ready(prepared))
        return given[-1]

    program = guarded.start(spec, ready)
    try:
        said = b""
        while data := os.read(program.stdout, 1 << 16):
            said += data
        ended = program.settle().exit_code
    finally:
        program.close()
    assert given[0] is not None
    return ended, said.decode()


def waiting(guards: Guards) -> guarded.Guarded:
    """One that waits to begin, and has said which process is to be the program."""
    found = guards.ready(NOTHING)
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
        guards._idle.pop().leave()


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


def test_what_each_program_used_is_told(guards: Guards, tmp_path: Path) -> None:
    much = (
        "b'x' * (200 << 20); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    )
    found = []
    for code in (much, ""):
        argv = ("/usr/bin/python3", "-I", "-S", "-c", f"import time; {code}")
        program = guarded.start(guarded.Specification(argv, {}, "/", {}, None), guards.ready)
        try:
            assert processes.wait_readable(program.ended, 30)
            found.append(program.settle())
        finally:
            program.close()
    assert found[0].cpu_s >= 0.3 > found[1].cpu_s
    assert found[0].peak_memory_mb >= 200 > found[1].peak_memory_mb


def test_one_that_its_program_has_killed_serves_no_more(guards: Guards, tmp_path: Path) -> None:
    program = guarded.start(
        guarded.Specification(("sh", "-c", "kill -KILL $PPID"), PATH, "/", {}, None), guards.ready
    )
    try:
        assert processes.wait_readable(program.ended, 30)
        program.settle()
    finally:
        program.close()
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


def prepared(guards: Guards) -> guarded.Guarded:
    """The one that waits for the next program."""
    guards.prepare(NOTHING)
    found = guards._waiting
    assert found is not None and processes.wait_readable(found.ended, 30)
    return found


def test_one_is_made_ready_for_the_next_program(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    one = prepared(guards)
    assert run(guards, tmp_path, "sh", "-c", "echo $PPID $$")[1] == f"{one._guard} {one._program}\n"


def test_one_that_waits_begins_nothing_once_it_is_let_go(guards: Guards, tmp_path: Path) -> None:
    one = waiting(guards)
    guard, program = one._guard, one._program
    one.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(guard, 0)  # it is gone, and was taken leave of
    assert gone(program)


def test_one_that_was_killed_while_it_waited_is_not_given(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    for which in ("guard", "program"):
        guard = prepared(guards)._guard
        (program,) = processes.descendants(guard)
        os.kill(guard if which == "guard" else program, signal.SIGKILL)
        assert gone(guard if which == "guard" else program)
        assert run(guards, tmp_path, "echo", which)[1] == f"{which}\n"
        assert gone(program)


def test_one_that_waits_ends_with_the_process_that_it_waits_for(tmp_path: Path) -> None:
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            one = waiting(Guards())
            os.write(tell, f"{one._guard} {one._program}".encode())
            signal.pause()
        finally:
            os._exit(1)
    guard, program = map(int, os.read(told, 100).split())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert gone(guard) and gone(program)


def test_one_that_has_other_rules_ready_is_not_taken(guards: Guards, tmp_path: Path) -> None:
    run(guards, tmp_path, "true")
    other = guarded.Specification(
        ("true",), {}, "/", {}, None, landlock=landlock.Ruleset(1, 0, 0, ())
    )
    guards.prepare(other.prepared())
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
            guards, started = Guards(), []
            run(guards, Path("/"), "true")
            os.setgroups([])
            os.setresgid(54321, 54321, 54321)
            os.setresuid(54321, 54321, 54321)

            def start() -> tuple[int, socket.socket]:
                started.append(True)
                raise PermissionError

            warm._started = start
            assert guards.ready(NOTHING) is None and started
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
        assert guards.ready(NOTHING) is None
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
    assert guards.ready(NOTHING) is None
