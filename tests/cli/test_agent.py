"""`kedge agent`: commands that it supervises do what they do without one, and nothing of it is left."""

import contextlib
import fcntl
import json
import marshal
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge import version
from kedge.cli import agent as agents
from kedge.cli import likeness

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = Path(__file__).parents[2] / "examples" / "bolt-sizing"
GIVEN = ("sizing", "diameter_mm=12", "load_n=15000")
PATIENCE_S = 30.0
GONE_S = 2.0  # for what takes tens of milliseconds where nobody else tests


@pytest.fixture
def kedge(kedge_alone: Any) -> Iterator[Any]:
    """A command line on a home whose agent, if there is one, ends with the test."""
    yield kedge_alone
    if (status := kedge_alone("agent", "status", "--json", code=None).json) is not None:
        kedge_alone("agent", "stop", code=None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(status["pid"], signal.SIGKILL)


@pytest.fixture
def agent(kedge: Any) -> Any:
    """A command line whose agent is there."""
    kedge("agent", "start")
    return kedge


def told(kedge: Any) -> Any:
    """What the agent says of itself."""
    return kedge("agent", "status", "--json").json


def until(condition: Any) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_run_gives_the_same_and_the_next_one_is_a_fork(kedge: Any) -> None:
    without = kedge("run", BOLTS, *GIVEN, "--json").json
    kedge("agent", "start")
    cold = kedge("run", BOLTS, *GIVEN, "--json", env=os.environ | {"KEDGE_WARM": "false"}).json
    assert told(kedge)["kept"] == []  # it supervised, and that run was cold
    warm = [kedge("run", BOLTS, *GIVEN, "--json").json for _ in range(2)]
    assert {run["stress_mpa"] for run in (without, cold, *warm)} == {without["stress_mpa"]}
    (kept,) = told(kedge)["kept"]
    assert kept["name"] == "bolt-sizing bolts" and kept["forks"] >= 1
    record = kedge("show", warm[1]["_run"]["id"], "--json").json
    assert (record["status"], record["executor"]) == ("succeeded", "sandbox")


def test_words_folder_and_variables_are_those_of_the_command(agent: Any, tmp_path: Path) -> None:
    shutil.copytree(BOLTS, tmp_path / "bolts")
    (tmp_path / "cases.csv").write_text("diameter_mm\n12\n16\n")
    words = ("map", "bolts", "sizing", "load_n=15000", "--inputs", "cases.csv", "--out", "out.csv")
    agent(*words, cwd=tmp_path)
    assert "132.69" in (tmp_path / "out.csv").read_text()
    refused = agent("run", BOLTS, *GIVEN, code=2, env=os.environ | {"KEDGE_EXECUTOR": "nonsense"})
    assert "nonsense" in refused.err


def test_one_changed_line_is_seen_by_the_very_next_run(agent: Any, tmp_path: Path) -> None:
    place = shutil.copytree(PACKAGES / "single-return", tmp_path / "package")
    source = (place / "returns.py").read_text()
    for number in (2, 3, 4):
        (place / "returns.py").write_text(source.replace("2 * x", f"{number} * x"))
        assert agent("run", place, "number", "x=10", "--json").json["result"] == 10 * number
        assert agent.since_warm() < PATIENCE_S
    assert len(told(agent)["kept"]) == 3


def test_what_cannot_be_kept_warm_says_why_once(agent: Any) -> None:
    for is_first in (True, False):
        ended = agent("run", PACKAGES / "warm-unsuitable", "thread", "--json")
        assert ended.json["result"] is True
        assert ("starts threads" in ended.err) is is_first
    assert told(agent)["kept"] == []


STUBBORN = PACKAGES / "stubborn"
ONE_WRONG = "diameter_mm,load_n\n12,15000\n0,15000\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", BOLTS, "sizing", "diameter_mm=0", "load_n=1"), 1),
        (("run", BOLTS, "sizing", "diameter_mm=wide", "load_n=1"), 2),
        (("run", STUBBORN, "sleeps", "--timeout", "0.5"), 124),
        (("test", BOLTS), 0),
        (("map", BOLTS, "sizing", "--inputs", "cases.csv", "--out", "out.csv", "-j", "1"), 1),
        (("conform", "no-such-package"), 2),
    ],
)
def test_commands_end_as_without_it(agent: Any, tmp_path: Path, words: Any, code: int) -> None:
    (tmp_path / "cases.csv").write_text(ONE_WRONG)
    with_agent = said(agent(*words, code=code, cwd=tmp_path))
    assert agent("agent", "stop").err == "the agent has ended\n"
    without = said(agent(*words, code=code, cwd=tmp_path))
    assert with_agent == without
    assert without[0] or without[1]


def said(ended: Any) -> tuple[list[str], list[str]]:
    """What a command printed, with no numbers, and its errors: times, runs and folders differ."""
    errors = [line for line in ended.err.splitlines() if line.startswith(("error", "hint", "row"))]
    return [re.sub(r"[0-9.]+", "0", line) for line in ended.out.splitlines()], [
        re.sub(r"run `[^`]+`", "run", line) for line in errors
    ]


def test_an_interrupted_run_is_cancelled(agent: Any) -> None:
    process = agent.start("run", PACKAGES / "stubborn", "tidies", "-v")
    for line in process.stderr:
        if line.startswith(b"progress: "):
            break
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert agent("show", "last", "--json").json["failure_kind"] == "cancelled"


@pytest.mark.parametrize("victim", ["face", "supervisor", "agent"])
def test_whoever_is_killed_nothing_is_left(
    kedge: Any, victim: str, groups: Any, kedge_home: Path
) -> None:
    kedge("agent", "start")
    seconds = f"5151.{os.getpid()}{int.from_bytes(os.urandom(2))}"
    process = kedge.start("run", PACKAGES / "stubborn", "vanishes", f'seconds="{seconds}"', "-v")
    for line in process.stderr:
        if line.startswith(b"progress: "):
            break
    assert living(seconds)
    run = kedge("runs", "--json").json[0]
    status = told(kedge)
    assert status["commands"] == 1
    below = list(groups.descendants(status["pid"]))
    names = groups.groups_of(status["pid"])
    if victim == "face":
        process.kill()
    else:
        os.kill(run["pid"] if victim == "supervisor" else status["pid"], signal.SIGKILL)
    if victim == "agent":
        began = time.monotonic()
        until(lambda: not any(map(lives, below)))
        took = time.monotonic() - began
        print(f"{len(below)} processes had ended within {took * 1000:.0f} ms")
        assert took < GONE_S
    process.communicate(timeout=PATIENCE_S)
    until(lambda: not living(seconds))
    until(lambda: kedge("show", run["id"], "--json").json["status"] == "failed")
    if victim == "agent":
        assert not groups.standing(names)
        assert os.listdir(kedge_home / "tmp") == []
        assert kedge("agent", "status", code=3).err == "there is no agent\n"
        kedge("run", BOLTS, *GIVEN)
        kedge("agent", "start")
    kedge("run", BOLTS, *GIVEN)


def test_one_agent_is_enough_and_stopping_none_is_no_error(agent: Any) -> None:
    assert "already" in agent("agent", "start", code=3).err
    agent("agent", "stop")
    assert agent("agent", "stop").err == "there is no agent\n"
    agent("agent", "start")


def test_a_home_may_have_a_path_longer_than_an_address(
    kedge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ("long" * 30)
    monkeypatch.setenv("KEDGE_HOME", str(home))
    kedge("agent", "start")
    kedge("run", BOLTS, *GIVEN)
    assert len(told(kedge)["kept"]) == 1


def test_an_agent_of_another_kedge_is_not_used(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes, telling = os.pipe()
    with monkeypatch.context() as older:
        older.setattr(version, "__version__", "0.0.0")
        assert agents.supervisor_of_agent(wishes, telling) is None
    os.close(wishes)
    os.close(telling)
    assert told(agent)["commands"] == 0


def agent_of(checkout: Path) -> Any:
    """A command line of another checkout, which may be changed."""
    return os.environ | {"PYTHONPATH": str(checkout / "src")}


def test_an_agent_whose_code_has_changed_serves_nobody_and_ends(kedge: Any, tmp_path: Path) -> None:
    shutil.copytree(
        Path(version.__file__).parent,
        tmp_path / "src" / "kedge",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    there = {"env": agent_of(tmp_path)}
    kedge("agent", "start", **there)
    kedge("run", BOLTS, *GIVEN, **there)
    assert len(told(kedge)["kept"]) == 1
    with (tmp_path / "src" / "kedge" / "cli" / "work" / "run.py").open("a") as file:
        file.write(
            "\n\nfrom kedge import errors\n\ndef work(*_, **__):\n    raise errors.UsageError('this is new')\n"
        )
    assert "this is new" in kedge("run", BOLTS, *GIVEN, code=2, **there).err
    until(lambda: kedge("agent", "status", code=None, **there).code == 3)
    kedge("agent", "start", **there)
    assert "this is new" in kedge("run", BOLTS, *GIVEN, code=None, **there).err


@pytest.mark.parametrize(
    "other",
    ["ulimit -n 200", "nice", "export LC_ALL=C", "export PYTHONPATH=$PYTHONPATH:/nothing"],
)
def test_a_command_that_stands_otherwise_does_without_it(agent: Any, other: str) -> None:
    words = [*agent.words, "run", str(BOLTS), *GIVEN, "--json"]
    prefix = "nice " if other == "nice" else f"{other}; "
    ended = subprocess.run(
        ["bash", "-c", f'{prefix}"$@"', "bash", *words], capture_output=True, check=True
    )
    assert json.loads(ended.stdout)["stress_mpa"] == pytest.approx(132.69639)
    assert told(agent)["kept"] == []


def test_a_command_has_its_own_umask(agent: Any) -> None:
    words = [*agent.words, "run", str(PACKAGES / "warm-many"), "mask", "--json"]
    for mask in (0o077, 0o027):
        ended = subprocess.run(words, capture_output=True, check=True, umask=mask)
        assert json.loads(ended.stdout)["result"] == mask
    assert len(told(agent)["kept"]) == 2


# Says of itself what it was given, and prints the agent's answer.
FORGING = """
import array, marshal, os, socket, sys
order, place = bytes.fromhex(sys.argv[1]), sys.argv[2]
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.chdir(place)
line.connect("agent")
wishes, wishing = os.pipe()
told, telling = os.pipe()
given = array.array("i", [wishes, telling, os.open(".", os.O_PATH)])
line.sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)])
print(marshal.loads(line.recv(4096))[0])
"""


@pytest.mark.parametrize(
    ("standing", "answer"),
    [
        ((), "supervisor"),
        (("nice",), "another"),
        (("setpriv", "--no-new-privs"), "another"),
        (("prlimit", "--nofile=200"), "another"),
    ],
)
def test_who_has_fewer_rights_gets_none_by_what_it_says(
    agent: Any, kedge_home: Path, standing: tuple[str, ...], answer: str
) -> None:
    order = marshal.dumps(("supervise", likeness.identity(), dict(os.environ), 0o077))
    said = subprocess.run(
        [*standing, sys.executable, "-c", FORGING, order.hex(), str(kedge_home)],
        capture_output=True,
        check=True,
    )
    assert said.stdout.decode().strip() == answer


def test_a_file_that_a_command_has_open_is_found_by_its_number(agent: Any, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(
        "import kedge\n\ndef size(f: kedge.File) -> int:\n    return len(f.read_bytes())\n"
    )
    (tmp_path / "notes").write_bytes(b"12345")
    with (tmp_path / "notes").open() as file:
        number = file.fileno()
        words = ("run", tmp_path / "m.py", "size", f"f=/dev/fd/{number}", "--json")
        assert agent(*words, pass_fds=(number,)).json["result"] == 5


def test_a_command_given_while_it_ends_does_not_wait_for_it(agent: Any) -> None:
    process = agent.start("run", PACKAGES / "stubborn", "sleeps", "-v")
    for line in process.stderr:
        if line.startswith(b"running"):
            break
    stopping = agent.start("agent", "stop")
    until(lambda: told(agent)["ending"])
    assert ", 1 command, ending" in agent("agent", "status").out
    assert "already" in agent("agent", "start", code=3).err
    agent("run", BOLTS, *GIVEN)
    assert told(agent)["commands"] == 1
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    said = stopping.communicate(timeout=PATIENCE_S)[1]
    assert said == b"waiting for 1 command\nthe agent has ended\n"
    assert agent("agent", "status", code=3).err == "there is no agent\n"


def test_stopping_one_takes_as_long_as_its_commands(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = agent.start("run", PACKAGES / "stubborn", "sleeps", "-v")
    for line in process.stderr:
        if line.startswith(b"running"):
            break
    monkeypatch.setattr(agents, "_STOP_S", 2 * agents.LOOK_S)
    interrupting = threading.Timer(3 * agents._STOP_S, os.killpg, (process.pid, signal.SIGINT))
    interrupting.start()
    waited_for: list[int] = []
    assert agents.stop(waited_for.append)
    assert waited_for == [1]
    interrupting.join()
    process.communicate(timeout=PATIENCE_S)


def test_an_agent_that_does_not_answer_is_done_without(agent: Any) -> None:
    process = told(agent)["pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        first = agent("run", BOLTS, *GIVEN, "--json").json["_run"]["id"]
    finally:
        os.kill(process, signal.SIGCONT)
    until(lambda: told(agent)["commands"] == 0)
    assert [run["id"] for run in agent("runs", "--json").json] == [first]
    agent("run", BOLTS, *GIVEN)
    assert len(told(agent)["kept"]) == 1


def test_clients_that_say_nothing_keep_nobody_waiting(agent: Any) -> None:
    silent = [agents._connected() for _ in range(3)]
    began = time.monotonic()
    assert agents.status() is not None
    assert time.monotonic() - began < GONE_S
    assert told(agent)["commands"] == 0
    for line in silent:
        assert line is not None
        line.settimeout(PATIENCE_S)
        assert line.recv(1) == b""
        line.close()


def test_a_keeper_that_does_not_answer_keeps_nothing(agent: Any) -> None:
    agent("run", BOLTS, *GIVEN)
    (keeper,) = children(told(agent)["pid"])
    os.kill(keeper, signal.SIGSTOP)
    try:
        assert told(agent)["kept"] == []
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert len(told(agent)["kept"]) == 1


@pytest.mark.parametrize("gone", ["socket", "home"])
def test_an_agent_that_nobody_finds_any_more_ends(agent: Any, kedge_home: Path, gone: str) -> None:
    process = told(agent)["pid"]
    agent("run", BOLTS, *GIVEN)
    if gone == "socket":
        (kedge_home / "agent").unlink()
    else:
        shutil.rmtree(kedge_home)
    assert agent("agent", "status", code=3).err == "there is no agent\n"
    agent("agent", "start")
    until(lambda: not lives(process))
    agent("run", BOLTS, *GIVEN)
    assert len(told(agent)["kept"]) == 1


def test_of_two_that_are_started_at_once_one_remains(kedge: Any) -> None:
    starting = [kedge.start("agent", "start") for _ in range(3)]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in starting]
    assert sorted(process.returncode for process in starting) == [0, 3, 3]
    assert sum(b"there already" in one for one in said) == 2
    assert told(kedge)["commands"] == 0


def test_a_killed_agent_leaves_a_place_while_a_run_of_its_goes_on(kedge: Any) -> None:
    kedge("agent", "start")
    cold = os.environ | {"KEDGE_WARM": "false"}
    process = kedge.start("run", PACKAGES / "stubborn", "tidies", "-v", env=cold)
    for line in process.stderr:
        if line.startswith(b"progress: "):
            break
    os.kill(told(kedge)["pid"], signal.SIGKILL)
    kedge("agent", "start")
    assert told(kedge)["commands"] == 0
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_a_killed_keeper_gets_a_successor(agent: Any) -> None:
    agent("run", BOLTS, *GIVEN)
    (keeper,) = children(told(agent)["pid"])
    os.kill(keeper, signal.SIGKILL)
    agent("run", BOLTS, *GIVEN)
    assert len(told(agent)["kept"]) == 1


def test_it_keeps_nothing_open_of_whoever_started_it(kedge: Any, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kedge("agent", "start", pass_fds=(file.fileno(),))
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_home_may_be_told_from_the_working_directory(
    kedge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_HOME", "here")
    monkeypatch.chdir(tmp_path)
    kedge("agent", "start")
    kedge("run", BOLTS, *GIVEN)
    assert len(told(kedge)["kept"]) == 1
    assert (tmp_path / "here" / "agent").is_socket()


def test_a_home_that_cannot_be_written_is_told(kedge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_HOME", "/proc/kedge")
    assert kedge("agent", "start", code=None).err.startswith("error[")
    assert kedge("agent", "stop").err == "there is no agent\n"
    assert kedge("agent", "status", code=3).err == "there is no agent\n"


def test_it_ends_when_nobody_has_asked_for_long(kedge: Any) -> None:
    text = "from kedge.cli import agent, agent_process; agent_process.IDLE_S = 0.5; print(agent.start())"
    started = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True)
    until(lambda: not lives(int(started.stdout)))
    assert kedge("agent", "status", code=3).err == "there is no agent\n"


def test_what_is_sent_by_another_version_does_not_end_it(agent: Any) -> None:
    process = told(agent)["pid"]
    before = os.listdir(f"/proc/{process}/fd")
    order = ("supervise", likeness.identity(), {}, 0o077)  # which wants three descriptors
    messages = (b"", b"\0", b"nonsense", *map(marshal.dumps, (("supervise",), 7, (), order)))
    for number in (0, 1, 2):
        for data in messages:
            line = agents._connected()
            assert line is not None
            with line:
                socket.send_fds(line, [data], [0] * number)
                with contextlib.suppress(OSError):
                    assert line.recv(64) == b""
    assert (told(agent)["pid"], told(agent)["commands"]) == (process, 0)
    assert os.listdir(f"/proc/{process}/fd") == before


def lives(process: int) -> bool:
    """Whether a process has not ended; nobody need have waited for it."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def children(process: int) -> list[int]:
    """Those of a process with one thread."""
    return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]


def living(argument: str) -> list[str]:
    """The processes that have `argument` as one of theirs."""
    found = subprocess.run(
        ["pgrep", "-fx", f"sleep {argument}"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_what_it_says_is_json(agent: Any) -> None:
    assert set(json.loads(agent("agent", "status", "--json").out)) == {
        *("pid", "since_s", "commands", "ending", "kept"),
    }  # fmt: skip
