"""`kedge agent`: commands that it supervises do what they do without one, and nothing of it is left."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.cli import agent as agents

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


def test_a_run_gives_the_same_and_the_next_one_is_a_fork(agent: Any) -> None:
    cold = agent("run", BOLTS, *GIVEN, "--json", env=os.environ | {"KEDGE_WARM": "false"}).json
    assert told(agent)["kept"] == []
    warm = [agent("run", BOLTS, *GIVEN, "--json").json for _ in range(2)]
    assert cold["stress_mpa"] == warm[0]["stress_mpa"] == warm[1]["stress_mpa"]
    (kept,) = told(agent)["kept"]
    assert kept["name"] == "bolt-sizing bolts" and kept["forks"] >= 1
    record = agent("show", warm[1]["_run"]["id"], "--json").json
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


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((BOLTS, "sizing", "diameter_mm=0", "load_n=1"), 1),
        ((BOLTS, "sizing", "diameter_mm=wide", "load_n=1"), 2),
        ((PACKAGES / "stubborn", "sleeps", "--timeout", "0.5"), 124),
    ],
)
def test_failures_have_their_codes_and_words(agent: Any, words: Any, code: int) -> None:
    with_agent = agent("run", *words, code=code)
    without = agent("run", *words, code=code, env=os.environ | {"KEDGE_WARM": "false"})
    assert [line for line in with_agent.err.splitlines() if line.startswith(("error", "hint"))] == [
        line for line in without.err.splitlines() if line.startswith(("error", "hint"))
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
        older.setattr(agents.version, "__version__", "0.0.0")
        assert agents.supervisor_of_agent(wishes, telling) is None
    os.close(wishes)
    os.close(telling)
    assert told(agent)["commands"] == 0


def lives(process: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def living(argument: str) -> list[str]:
    """The processes that have `argument` as one of theirs."""
    found = subprocess.run(
        ["pgrep", "-fx", f"sleep {argument}"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_what_it_says_is_json(agent: Any) -> None:
    assert set(json.loads(agent("agent", "status", "--json").out)) == {
        *("pid", "since_s", "commands", "kept"),
    }  # fmt: skip
