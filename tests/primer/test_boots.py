"""Boot scripts from a bare checkout: the environment is made, then states of the project are reached."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.repository.entry import Entry, shell_script

REPOSITORY = Path(__file__).resolve().parents[2]
FINISHED_SECONDS = 120  # A start that takes longer hangs.

STATES = """
from kedge.primer import state

def noted(ctx, name):
    with open(ctx.root / "reached", "a") as stream:
        stream.write(name + "\\n")

@state
def first(ctx):
    "The first."
    noted(ctx, "first")
    return {"tiny": __import__("tiny").VERSION}

@state(needs=[first], inputs=["input"])
def second(ctx):
    noted(ctx, "second " + ctx.value(first)["tiny"])

@state
def broken(ctx):
    raise LookupError("of the project's state")

@state(needs=[second], default=True)
def all_of_it(ctx):
    noted(ctx, "all")
"""


@pytest.fixture
def prime(checkout: Any) -> Any:
    """A bare checkout whose entry script boots."""
    (checkout.root / "src/things.py").write_text(STATES)
    (checkout.root / "app").write_text(shell_script(Entry("boot", "things", "app")))
    kedge = os.path.relpath(REPOSITORY / "src", checkout.root)
    lock = {"lock": "requirements/app.txt", "paths": ["src", kedge]}
    checkout.configure(environments={"app": lock})
    return checkout


def reached(prime: Any) -> list[str]:
    """What was reached since it was last asked."""
    file = prime.root / "reached"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def test_a_goal_that_exists_in_meta_alone_is_reached_on_a_bare_checkout(prime: Any) -> None:
    ended = prime.start("second")
    assert ended.returncode == 0, ended.stderr
    assert reached(prime) == ["first", "second 1.0"]
    ended = prime.start("second")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert reached(prime) == []


def test_of_ten_first_boots_one_builds_and_each_state_is_reached_once(prime: Any) -> None:
    processes = [prime.begin() for _ in range(10)]
    said = [process.communicate(timeout=FINISHED_SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, said
    assert sum("primer: installing" in one for one in said) == 1
    assert reached(prime) == ["first", "second 1.0", "all"]


def test_a_state_that_fails_shows_its_own_traceback_whole(prime: Any) -> None:
    for _ in ("first", "second"):
        ended = prime.start("broken")
        assert ended.returncode == 1
        assert "LookupError: of the project's state" in ended.stderr
        assert str(prime.root / "src/things.py") in ended.stderr
        assert "proto.py" not in ended.stderr


def test_a_rebuild_makes_the_environment_and_its_goals_anew(prime: Any) -> None:
    prime.start()
    reached(prime)
    ended = prime.start("second", env=prime.variables | {"PRIMER_REBUILD": "1"})
    assert ended.returncode == 0
    assert "primer: installing" in ended.stderr
    assert reached(prime) == ["second 1.0"]


def test_explain_has_the_states_when_the_environment_is_fresh(prime: Any) -> None:
    asked = prime.variables | {"PRIMER_EXPLAIN": "1"}
    document = json.loads(prime.start(env=asked).stdout)
    assert (document["fresh"], document["states"]) == (False, None)
    prime.start()
    (prime.root / "input").write_text("changed")
    reached(prime)
    document = json.loads(prime.start(env=asked).stdout)
    states = {one["name"]: one for one in document["states"]}
    assert document["fresh"] is True
    assert states["first"]["fresh"] is True
    assert states["second"]["reasons"] == ["input `input` changed"]
    assert reached(prime) == []


def test_without_kedge_in_the_lock_a_boot_says_what_it_needs(prime: Any) -> None:
    prime.configure()
    ended = prime.start()
    assert ended.returncode == 1
    assert "No module named 'kedge'" in ended.stderr
    assert "has to be in the environment's lock file" in ended.stderr
