"""Text that others chose, in Kedge's own words: shown, and never obeyed by the terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.cli.text import one_line, printable, table

CODE = r"""
from pathlib import Path


def fails() -> None:
    raise ValueError("\x1b[2Jgone\x07\r\nerror[input]: not Kedge's own\x9b31m")


def answers() -> dict:
    Path("out/artifacts/\x1b]0;title\x07\nsecond").write_text("x")
    return {"text": "\x1b[31mred\x9b0m\u202e\nsecond"}


def reports() -> int:
    with open("out/progress.jsonl", "a") as file:
        file.write('{"step": 1, "total": 1, "message": "\\u001b[31mred\\nerror[x]: no"}\n')
    print("\x1b[32mits own\x1b[0m")
    return 1
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.py"
    path.write_text(CODE)
    return path


def test_an_error_message_cannot_act_on_the_terminal_or_pass_for_kedges_own(
    kedge: Any, script: Path
) -> None:
    ended = kedge("run", f"{script}:fails", code=1)
    said = ended.err[ended.err.index("error[function_error]") :]
    assert said.startswith(r"error[function_error]: ValueError: \x1b[2Jgone\x07\r" + "\n  error[")
    assert r"\x9b31m" in said
    shown = kedge("show", kedge.runs_of(script)[0]["id"])
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(shown.out + shown.err)


def test_outputs_and_artifact_names_are_shown_and_not_obeyed(kedge: Any, script: Path) -> None:
    ended = kedge("run", f"{script}:answers")
    lines = ended.out.splitlines()
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(ended.out)
    assert lines[0].startswith("text ")
    assert lines[0].endswith(r"\x1b[31mred\x9b0m\u202e")
    assert lines[1].strip() == "second"
    assert lines[1].startswith("  ")
    assert lines[2].startswith(r"artifact \x1b]0;title\x07\nsecond  ")


def test_json_keeps_every_character_and_shows_none_that_acts(kedge: Any, script: Path) -> None:
    ended = kedge("run", f"{script}:answers", "--json")
    assert not {"\x1b", "\x9b", "\u202e"} & set(ended.out)
    assert json.loads(ended.out)["text"] == "\x1b[31mred\x9b0m\u202e\nsecond"


def test_progress_is_shown_and_prints_pass_as_they_are(kedge: Any, script: Path) -> None:
    ended = kedge("run", f"{script}:reports")
    assert "progress: 1/1 \\x1b[31mred\n  error[x]: no\n" in ended.err
    assert "\x1b[32mits own\x1b[0m\n" in ended.err


def test_names_on_the_command_line_are_shown_and_not_obeyed(kedge: Any, tmp_path: Path) -> None:
    ended = kedge("run", tmp_path / "no\x1b[31mpe", code=2)
    assert r"no\x1b[31mpe" in ended.err
    assert "\x1b" not in ended.err


@given(st.text(st.characters(), max_size=40))
def test_what_is_printable_stays_and_nothing_acts(text: str) -> None:
    shown = printable(text)
    assert all(char in "\n\t" or not (char < " " or "\x7f" <= char <= "\x9f") for char in shown)
    assert printable(shown) == shown
    shown.encode()
    if text.isascii() and text.isprintable():
        assert shown == text


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=5))
def test_each_row_of_a_table_starts_one_line_of_its_own(rows: list[tuple[str, str]]) -> None:
    shown = table([[f"k{one_line(key)}", f"v{value}"] for key, value in rows])
    assert sum(line.startswith("k") for line in shown.split("\n")) == len(rows)
