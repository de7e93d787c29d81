"""From a program's start to the end of everything it started, in and outside of the sandbox."""

import json
import os
import signal
import struct
import subprocess
import threading

import pytest

from kedge.executor import cgroups, clear

COLD = ("sandbox", "process", "copied")


@pytest.fixture(params=(*COLD, "warm", "waiting"))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=(*COLD, "waiting"))
def cold(request: pytest.FixtureRequest) -> str:
    """What starts the program itself; in a fork, a handler does."""
    return request.param


@pytest.mark.parametrize(
    ("script", "exit_code", "number"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("exit 127", 127, None),
        ("kill -KILL $$", None, signal.SIGKILL),
        ("kill -SEGV $$", None, signal.SIGSEGV),
        ("sleep 0.1; kill -TERM $$", None, signal.SIGTERM),
    ],
)
def test_exit_codes_and_signals_come_through(person, kind, script, exit_code, number) -> None:
    ended = person.run("sh", "-c", script, kind=kind)["ended"]
    assert (ended["exit_code"], ended["signal"]) == (exit_code, number)
    assert ended["reason"] == "exited"


def test_what_was_used_is_measured(person, kind) -> None:
    ended = person.python(
        "import time\n"
        "memory = bytearray(100 << 20)\n"
        "open('/dev/null', 'wb').write(memory)\n"
        "end = time.process_time() + 0.2\n"
        "while time.process_time() < end: pass",
        kind=kind,
    )["ended"]
    assert 0.2 <= ended["cpu_s"] < 10
    assert 100 <= ended["peak_memory_mb"] < 200
    assert ended["written_bytes"] >= 100 << 20
    assert ended["read_bytes"] > 0
    assert ended["wall_s"] >= 0.2


def test_a_program_that_is_not_there_is_said_so(person, cold) -> None:
    answer = person.run("no-such-program", kind=cold)
    assert answer["error"][0] == "StartFailed"
    assert "'no-such-program' was not found" in answer["error"][1]
    assert answer["left_beside"] == ["in", "out", "scratch"]


FOREIGN = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 8, 1) + bytes(40)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"#!/bin/sh\n", 0o644, "is not executable"),
        (b"just text\n", 0o755, "neither a program for this machine nor a script"),
        (b"", 0o755, "neither a program for this machine nor a script"),
        (b"#!/no/such/interpreter\n", 0o755, "'/no/such/interpreter', which is not there"),
        (b"#!\n", 0o755, "'', which is not there"),
        (FOREIGN, 0o755, "is for MIPS"),
    ],
)
def test_a_program_that_cannot_start_is_explained(somebody, cold, content, mode, reason) -> None:
    tools = somebody.base / "tools"
    tools.mkdir()
    (tools / "program").write_bytes(content)
    (tools / "program").chmod(mode)
    error = somebody.run(str(tools / "program"), visible=[str(tools)], kind=cold)["error"]
    assert error[0] == "StartFailed"
    assert reason in error[1]
    assert error[2]


def test_a_program_that_was_changed_is_looked_at_again(somebody, cold) -> None:
    tools = somebody.base / "tools"
    tools.mkdir()
    program = tools / "program"
    program.write_bytes(b"#!/bin/sh\necho one\n")
    program.chmod(0o755)
    assert somebody.run(str(program), visible=[str(tools)], kind=cold)["stdout"] == "one\n"
    program.write_bytes(b"just text\n")
    error = somebody.run(str(program), visible=[str(tools)], kind=cold)["error"]
    assert "neither a program for this machine nor a script" in error[1]


@pytest.mark.parametrize(
    "argv", [["a\0b"], ["echo", "\udcff\ud800"], [""], ["/usr"], ["echo", "x" * 200_000]]
)
def test_arguments_that_no_program_can_get_are_refused(somebody, cold, argv) -> None:
    assert somebody.run(*argv, kind=cold)["error"][0] == "StartFailed"


def test_an_option_cannot_be_smuggled_in_through_a_variable(somebody, kind) -> None:
    answer = somebody.run("true", env={"X": "1\0--bind\0/\0/mnt"}, kind=kind)
    assert answer["error"][0] == "StartFailed"


STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(reading)
        os.execv("/bin/sleep", ["sleep", "%s"])
    os._exit(0)
os.wait()
os.close(writing)
os.read(reading, 1)  # ends when the grandchild is a sleep: exec closes the pipe
print("ready", flush=True)
%s
time.sleep(1000)
"""


def test_a_stubborn_run_is_cancelled_with_all_it_started(person, kind, marker) -> None:
    seconds, living = marker
    answer = person.python(
        STUBBORN % (seconds, ""), kind=kind, cancel_on="ready", resources={"grace": 0.2}
    )
    ended = answer["ended"]
    assert (ended["reason"], ended["signal"]) == ("cancelled", signal.SIGKILL)
    assert living() == []


def test_force_does_not_wait_for_the_grace_period(person, kind, marker) -> None:
    seconds, living = marker
    answer = person.python(
        STUBBORN % (seconds, ""),
        kind=kind,
        cancel_on="ready",
        force=True,
        resources={"grace": 1000},
    )
    assert answer["ended"]["reason"] == "cancelled"
    assert living() == []


def test_a_stopped_program_dies_at_its_timeout(person, kind, marker) -> None:
    seconds, living = marker
    answer = person.python(
        STUBBORN % (seconds, "os.kill(os.getpid(), signal.SIGSTOP)"),
        kind=kind,
        resources={"timeout": 1, "grace": 0.2},
    )
    assert answer["ended"]["reason"] == "timeout"
    assert living() == []


def test_what_is_left_in_the_background_ends_with_the_program(person, kind, marker) -> None:
    seconds, living = marker
    answer = person.run("sh", "-c", f"setsid sleep {seconds} & echo started; exit 5", kind=kind)
    assert answer["ended"]["exit_code"] == 5
    assert answer["stdout"] == "started\n"
    assert living() == []


def test_code_can_end_well_when_asked_to(person, kind) -> None:
    answer = person.python(
        "import os, signal, sys, time\n"
        "def end(*_): os.write(1, b'cleaned up\\n'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "os.write(1, b'ready\\n')\n"
        "time.sleep(1000)",
        kind=kind,
        cancel_on="ready",
    )
    assert answer["stdout"] == "ready\ncleaned up\n"
    ended = answer["ended"]
    assert (ended["exit_code"], ended["signal"], ended["reason"]) == (143, None, "cancelled")


def test_processes_outside_of_the_group_are_asked_at_half_the_grace(person, kind) -> None:
    answer = person.python(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    def end(*_): os.write(1, b'asked\\n'); os._exit(0)\n"
        "    signal.signal(signal.SIGTERM, end)\n"
        "    os.write(1, b'ready\\n')\n"
        "    time.sleep(1000)\n"
        "os.wait()",
        kind=kind,
        cancel_on="ready",
        resources={"grace": 2},
    )
    assert answer["stdout"] == "ready\nasked\n"
    assert answer["ended"]["exit_code"] == 0


def test_a_flood_is_passed_on_and_not_kept(somebody, kind) -> None:
    answer = somebody.run(
        "sh", "-c", "head -c 300000000 /dev/zero & head -c 300000000 /dev/zero >&2; wait",
        kind=kind,
        count=True,
    )  # fmt: skip
    assert answer["counted"] == {"stdout": 300_000_000, "stderr": 300_000_000}
    assert answer["grown_kib"] < 50_000


def test_ticks_come_while_the_program_is_silent(person, kind) -> None:
    answer = person.run(
        "sh", "-c", "until [ -e $KEDGE_WORKSPACE/in/ticked ]; do sleep 0.01; done",
        kind=kind,
        touch_on_tick=True,
    )  # fmt: skip
    assert answer["ended"]["exit_code"] == 0


def test_a_listener_that_fails_ends_the_run(somebody, kind, marker) -> None:
    seconds, living = marker
    answer = somebody.run(
        "sh", "-c", f"echo x; exec sleep {seconds}", kind=kind, fail_on_output=True
    )
    assert answer["error"][0] == "ZeroDivisionError"
    assert living() == []


def test_a_killed_caller_takes_its_run_along(person, kind, marker) -> None:
    seconds, living = marker
    request = {
        "base": str(person.base),
        "argv": ["/usr/bin/python3", "-I", "-S", "-c", STUBBORN % (seconds, "")],
        "kind": "sandbox" if kind in ("warm", "waiting") else kind,
        "warm": kind == "warm",
        "waiting": kind == "waiting",
        "announce": True,
        "run_id": (run_id := os.urandom(6).hex()),
    }
    with subprocess.Popen(
        person.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdin
        assert caller.stdout
        caller.stdin.write(json.dumps(request))
        caller.stdin.close()
        assert caller.stdout.readline() == "ready\n"
        assert living()
        caller.kill()
    wait_until(lambda: not living())
    clear(run_id)
    assert run_id not in cgroups.named()


def test_a_caller_killed_before_its_program_begins_starts_nothing(person, marker) -> None:
    seconds, living = marker
    request = {
        "base": str(person.base),
        "argv": ["sh", "-c", "echo > out/begun; exec sleep $0", seconds],
        "die_while_it_is_held_back": True,
        "run_id": (run_id := os.urandom(6).hex()),
    }
    caller = subprocess.run(
        person.command(), input=json.dumps(request), capture_output=True, text=True, check=False
    )
    assert caller.returncode == -signal.SIGKILL, caller.stderr
    wait_until(lambda: len(living()) == 1)  # bubblewrap's own that is in the namespaces
    threading.Event().wait(0.5)  # in which it would begin
    clear(run_id)
    assert living() == []
    assert not list(person.base.rglob("begun"))


def wait_until(condition, seconds: float = 20) -> None:
    event = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("it did not come to pass")
