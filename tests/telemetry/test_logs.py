"""Runs in Python's own logging: a line that people read, fields for programs, no values."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge import CommandRuntime, PythonFunctionRuntime, String, Task, TaskMiddleware
from kedge.middleware import using
from kedge.telemetry import JsonLines, Logging


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the logger `kedge` writes at DEBUG, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("kedge")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def told(lines: io.StringIO) -> list[dict[str, Any]]:
    """All but notices, which go to the same logger."""
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [one for one in found if "layer" in one]


def test_a_run_is_logged_from_its_beginning_to_its_end(lines: io.StringIO) -> None:
    with using(Logging()):
        ended = Task(id="sums", runtime=CommandRuntime("true"), executor="process").run_sync()
    found = told(lines)
    assert [(one["level"], one["layer"], one["status"]) for one in found] == [
        ("debug", "runtime", "done"),
        ("info", "target", "running"),
        ("debug", "executor", "exited"),
        ("debug", "target", "exited"),
        ("info", "task", "succeeded"),
    ]
    assert found[1]["message"] == f"run {ended.run.id} of sums begins"
    last = found[-1]
    assert last["message"].startswith("task sums: succeeded after 0.")
    assert 0 < last["duration_s"] < 30 and last["logger"] == "kedge"
    facts = {"task_id": "sums", "run_id": ended.run.id, "runtime": "command"}
    facts |= {"executor": "process", "target": "local"}
    assert facts.items() <= last.items() and "failure" not in last


def test_a_run_that_fails_is_a_warning_with_its_kind_and_nothing_it_said(
    lines: io.StringIO,
) -> None:
    def fails(word: str) -> None:
        raise ValueError(f"hush: {word}")

    runtime = PythonFunctionRuntime(fails)
    task = Task(runtime=runtime, inputs=[String("word", "hush")], executor="inprocess")
    with using(Logging()):
        task.run_sync()
    last = told(lines)[-1]
    assert (last["level"], last["status"], last["failure"]) == (
        *("warning", "failed", "function_error"),
    )
    assert "hush" not in lines.getvalue()


def test_an_exception_that_goes_through_a_task_is_an_error_by_its_type(lines: io.StringIO) -> None:
    class Failing(TaskMiddleware):
        async def __call__(self, context, call_next):
            raise LookupError("hush")

    with using(Logging(), Failing()), pytest.raises(LookupError):
        Task(id="fails", runtime=CommandRuntime("true")).run_sync()
    (only,) = told(lines)
    assert (only["level"], only["status"], only["error"]) == ("error", "raised", "LookupError")
    assert "hush" not in lines.getvalue()


def test_lines_of_json_are_of_anybodys_records_too() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("mine", logging.INFO, "here", 1, "%s and %s", ("a", "b"), exc_info)
    found = json.loads(JsonLines().format(record))
    assert found["message"] == "a and b" and found["time"].endswith("+00:00")
    assert found["traceback"].endswith("KeyError: 'x'")
