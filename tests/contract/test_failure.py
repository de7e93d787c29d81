"""The error that code leaves: read in order, as text, whatever else was written there."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.contract import failure
from kedge.contract.workspace import Workspace


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _read(out: Path) -> dict[str, Any] | None:
    return failure.read(Workspace(str(out.parent), None))


def test_no_file_is_no_error(out: Path) -> None:
    assert _read(out) is None
    out.rmdir()
    assert _read(out) is None
    out.symlink_to("/tmp")
    assert _read(out) is None


def test_the_runners_error_comes_before_the_codes_own(out: Path) -> None:
    (out / "_error.json").write_text('{"error": "mine", "type": "Own"}')
    found = _read(out)
    assert found is not None
    assert (found["error"], found["type"], found["source"]) == ("mine", "Own", "_error.json")
    assert (found["traceback"], found["ts"], found["hint"], found["problems"]) == (
        None,
        None,
        None,
        [],
    )
    (out / "_runner_error.json").write_text('{"error": "runner", "traceback": "T", "ts": "now"}')
    found = _read(out)
    assert found is not None
    assert (found["error"], found["traceback"], found["ts"]) == ("runner", "T", "now")
    assert found["source"] == "_runner_error.json"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"type": "x"}', "text", '{"error": "\\ud800"}']
)
def test_a_file_that_says_nothing_is_passed_over(out: Path, content: str) -> None:
    (out / "_runner_error.json").write_text(content)
    assert _read(out) is None
    (out / "_error.json").write_text('{"error": "second"}')
    found = _read(out)
    assert found is not None
    assert found["error"] == "second"


def test_what_is_no_file_is_passed_over(out: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"error": "secret"}')
    (out / "_runner_error.json").symlink_to(tmp_path / "secret")
    os.mkfifo(out / "_error.json")
    assert _read(out) is None


def test_long_texts_are_cut(out: Path) -> None:
    (out / "_error.json").write_text(
        json.dumps({"error": "x" * 1_000_000, "problems": [{}] * 5_000})
    )
    found = _read(out)
    assert found is not None
    assert len(found["error"]) < 300_000
    assert len(found["problems"]) == 200
    (out / "_error.json").write_text(json.dumps({"error": "x" * 5_000_000}))
    assert _read(out) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"error": _JSON},
        optional={
            "type": _JSON,
            "traceback": _JSON,
            "ts": _JSON,
            "hint": _JSON,
            "problems": _JSON
            | st.lists(st.dictionaries(st.sampled_from(["message", "path"]), _JSON)),
        },
    )
)
def test_whatever_the_fields_hold_they_are_texts(out: Path, written: dict[str, Any]) -> None:
    (out / "_error.json").write_text(json.dumps(written))
    found = _read(out)
    assert found is not None
    assert isinstance(found["error"], str)
    for name in ("type", "traceback", "ts", "hint"):
        assert found[name] is None or isinstance(found[name], str)
    for problem in found["problems"]:
        assert isinstance(problem["message"], str)
        assert problem["path"] is None or isinstance(problem["path"], str)


def test_an_error_without_words_says_so(out: Path) -> None:
    written = {"error": None, "problems": [{"message": None, "path": "x"}]}
    (out / "_error.json").write_text(json.dumps(written))
    found = _read(out)
    assert found is not None
    assert found["error"] == "no message"
    assert found["problems"][0]["message"] == "no message"
