"""Wrong command lines: exit 2, a code, a hint, as text and as JSON, and nothing started."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.cli.app import COMMANDS
from kedge.version import __version__

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = PACKAGES / "seed-short"
NUMBERS = PACKAGES / "single-return"

WRONG: list[tuple[list[object], str, str]] = [
    (["nope"], "usage", "nope"),
    (["rnu"], "usage", "did you mean `run`?"),
    (["run"], "usage", "package"),
    (["run", "there-is-none"], "unknown-name", "there-is-none"),
    (["run", BOLTS, "--bogus"], "usage", "--bogus"),
    (["run", BOLTS, "--timeout", "soon"], "usage", "soon"),
    (["run", BOLTS, "--timeout", "0"], "usage", "0"),
    (["run", BOLTS, "--timeout", "nan"], "usage", "nan"),
    (["run", BOLTS, "--timeout", "inf"], "usage", "inf"),
    (["run", BOLTS, "--cpu", "-1"], "usage", "-1"),
    (["run", BOLTS, "--cpu", "nan"], "usage", "nan"),
    (["inspect"], "usage", "package"),
    (["inspect", "there-is-none"], "unknown-name", "there-is-none"),
    (["inspect", PACKAGES / "scripts" / "with_dependency.py", "dupm", "--static"], "unknown-name", "dump"),
    (["check", "there-is-none"], "unknown-name", "there-is-none"),
    (["check", PACKAGES / "two-manifests"], "package", "mecapy.yml"),
    (["test", "there-is-none"], "unknown-name", "there-is-none"),
    (["build", "there-is-none"], "unknown-name", "there-is-none"),
    (["lock", "there-is-none"], "unknown-name", "there-is-none"),
    (["init", "new", "--kind", "fortran"], "usage", "fortran"),
    (["init", "new", "--kind", "image"], "usage", "image"),
    (["init", "new", "--image", "a:1"], "usage", "--image"),
    (["runs", "--status", "fine"], "usage", "fine"),
    (["runs", "-n", "0"], "usage", "0"),
    (["runs", "-n", "9" * 30], "usage", "1000000"),
    (["show"], "usage", "run"),
    (["show", "zzzz"], "unknown-name", "zzzz"),
    (["show", ""], "unknown-name", "``"),
    (["show", "last"], "unknown-name", "no run yet"),
    (["show", "%"], "unknown-name", "%"),
    (["logs", "zzzz"], "unknown-name", "zzzz"),
    (["schema", "workflow"], "usage", "workflow"),
    (["completion", "tcsh"], "usage", "tcsh"),
    (["--bogus"], "usage", "--bogus"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "named"), WRONG, ids=lambda value: str(value)[-40:])
def test_a_wrong_command_line_says_what_is_wrong_with_it(
    call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[object],
    code: str,
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(*words)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith(f"error[{code}]: ")
    assert "\nhint: " in said.err
    assert named.lower() in said.err.lower()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [words for words, _, _ in WRONG[2:8]], ids=str)
def test_a_wrong_command_line_says_the_same_as_json(
    call: Callable[..., Any], words: list[object]
) -> None:
    said = call(*words, "--json")
    error = json.loads(said.out)["error"]
    assert said.code == 2
    assert said.err == ""
    assert error.keys() == {"code", "message", "where", "hint", "problems"}
    assert error["hint"]
    assert error["problems"][0]["message"] == error["message"]


WRONG_VALUES: list[tuple[list[object], str, str]] = [
    ([BOLTS, "sizing", "diameter_mm"], "usage", "name=value"),
    ([BOLTS, "sizing", "=3"], "usage", "=3"),
    ([BOLTS, "sizing", "--memory", "2x"], "usage", "2x"),
    ([BOLTS, "sizing", "--memory", "0"], "usage", "`0`"),
    ([BOLTS, "sizing", "--memory", "9" * 5000], "usage", "no amount"),
    ([BOLTS, "sizing", "--memory", ""], "usage", "``"),
    ([BOLTS, "sizing", "--memory", "-5M"], "usage", "-5M"),
    ([BOLTS, "sizing", "--memory", "٣"], "usage", "٣"),
    ([BOLTS, "sizing", "--inputs", "there-is-none.json"], "usage", "there-is-none.json"),
    ([BOLTS, "sizing", "--like", "zzzz"], "unknown-name", "zzzz"),
    ([BOLTS, "sizing", "diameter_mm=1", "diameter_mm=2"], "input", "given twice"),
    ([BOLTS, "sizing", "diameter_mm.x=1", "load_n=1"], "input", "diameter_mm"),
    ([BOLTS, "sizing", "diameter_mm=1", "load_n=1e999"], "input", "load_n"),
    ([BOLTS, "sizing", "diameter_mm=1", "load_n=NaN"], "input", "load_n"),
    ([BOLTS, "sizing", "diameter_mm=1", "load_n=1", "--executor", "rocket"], "plugin-unknown", "rocket"),
    ([BOLTS, "sizing", "diameter_mm=1", "load_n=1", "--memory", "999999G"], "task", "memory"),
    ([NUMBERS, "x=1"], "unknown-name", "number, text"),
    ([f"{PACKAGES}/scripts/plain.py:double", "double", "x=1"], "usage", "both"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "named"), WRONG_VALUES, ids=lambda value: str(value)[-40:]
)
def test_wrong_values_start_nothing(kedge: Any, words: list[object], code: str, named: str) -> None:
    ended = kedge("run", *words, "--json", code=2)
    assert ended.json["error"]["code"] == code
    assert named in json.dumps(ended.json, ensure_ascii=False)
    assert all(problem["hint"] for problem in ended.json["error"]["problems"])


def test_the_version_and_help_are_printed(call: Callable[..., Any]) -> None:
    assert call("--version") == (0, f"kedge {__version__}\n", "")
    said = call("--help")
    assert said.code == 0
    assert all(f"  {name} " in said.out for name in COMMANDS)
    bare = call()
    assert bare.code == 2
    assert bare.out == ""
    assert "Commands:" in bare.err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "python"])
def test_every_command_explains_itself(call: Callable[..., Any], name: str) -> None:
    said = call(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: kedge {name} ")
    assert COMMANDS[name].rstrip(".").split()[0] in said.out


def test_words_after_two_dashes_do_not_ask_for_json(call: Callable[..., Any]) -> None:
    said = call("run", "--", "--json")
    assert said.code == 2
    assert said.out == ""
    assert "`--json`" in said.err
