"""A bounded part of the fuzzing: the same cases every time. `fuzz.py` runs as many as are wanted."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SEED = 1
SLOWEST_S = 10.0  # ten times what the program allows: the machines of CI are slow and shared

# Cases of each kind: about a second for each on a slow machine.
CASES = {
    "manifest": 500,
    "requirement": 500,
    "testcase": 400,
    "type": 1000,
    "unit": 400,
    "schema": 500,
    "input": 1000,
    "argument": 700,
    "output": 700,
    "progress": 500,
    "failure": 500,
    "folder": 150,
}


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    """The program as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        program = importlib.import_module("fuzz")
        yield program
        program.cleared()


@pytest.mark.parametrize("kind", CASES)
def test_whatever_comes_in_a_value_or_an_error_in_words_comes_out(
    fuzz: ModuleType, kind: str
) -> None:
    found = fuzz.run(kind, SEED, range(CASES[kind]), SLOWEST_S)
    assert not found, f"{dict(found)}; the lines above say how each is found again"


def test_every_kind_has_its_part(fuzz: ModuleType) -> None:
    assert set(CASES) == set(fuzz.KINDS)


def test_what_breaks_the_rule_is_a_finding_with_its_seed_and_number(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(random: object) -> None:
        raise KeyError("x")

    monkeypatch.setitem(fuzz.KINDS, "input", broken)
    assert fuzz.run("input", 4, range(7, 8)).total() == 1
    assert "--seed 4 --kind input --only 7: KeyError" in capsys.readouterr().out


def test_an_error_without_a_hint_or_with_an_object_of_pythons_is_a_finding(
    fuzz: ModuleType,
) -> None:
    judging = importlib.import_module("judging")
    errors = importlib.import_module("kedge.errors")
    judging.judge_error(errors.InputError("`a` is missing", hint="give it"))
    for wrong in (
        errors.InputError("`a` is missing"),
        errors.InputError("", hint="give it"),
        errors.InputError(f"`{object()}` is no number", hint="give one"),
        errors.InputError("x" * 10_000, hint="shorten it"),
    ):
        with pytest.raises(judging.Finding):
            judging.judge_error(wrong)
