"""Runs of this process are recorded many at once: none is lost that another process could have seen."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.errors import StoreError
from kedge.run import record
from kedge.run.events import EventLog, events
from kedge.run.unwritten import Unwritten
from kedge.store import connection

SOURCE = str(Path(record.__file__).parents[2])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    record.list_runs()  # what waits goes where it belongs, not into the next test's home


def statuses() -> list[str]:
    return [row[0] for row in connection().rows("SELECT status FROM runs ORDER BY number")]


def eventually(statuses_are: list[str]) -> None:
    until = time.monotonic() + 10
    while statuses() != statuses_are:
        assert time.monotonic() < until, statuses()
        time.sleep(0.01)


def test_a_run_that_goes_on_is_recorded_after_a_moment_and_ends_like_any_other() -> None:
    run = record.update(record.create(late=True, function="f"), status="running")
    eventually(["running"])
    record.finish(run, outputs={"result": 1}, log=EventLog(run.id))
    assert statuses() == ["succeeded"]
    assert [event.type for event in events(run.id)] == ["ended"]
    assert record.get(run.id).outputs == {"result": 1}


def test_who_looks_in_this_process_sees_each_at_once() -> None:
    one = record.create(late=True, function="one")
    log = EventLog(one.id)
    log.add("started")
    record.finish(one, log=log)
    two = record.create(late=True, function="two")
    assert [(run.function, run.status) for run in record.list_runs()] == [
        ("two", "created"),
        ("one", "succeeded"),
    ]
    assert [(event.seq, event.type) for event in events(one.id)] == [(1, "started"), (2, "ended")]
    assert record.get(two.id).status == "created"


def test_one_that_needs_a_folder_is_recorded_before_it_has_one(home: Path) -> None:
    run = record.create(late=True)
    assert not (home / "runs").exists()
    record.settle(run)
    assert statuses() == ["created"] and os.path.isdir(run.folder)


def test_a_record_that_cannot_be_written_is_kept_and_told_to_whoever_comes_next() -> None:
    written: list[str] = []
    is_full = True

    def write(entries: Any) -> None:
        if is_full:
            raise StoreError("the disk is full", hint="make room")
        written.extend(run.id for run, _ in entries)

    def run(name: str) -> record.Run:
        return record.Run(name, "created", "", record.lease())

    waiting = Unwritten(write)
    waiting.add(run("one"))
    waiting.end(run("one"), None)
    time.sleep(0.2)
    with pytest.raises(StoreError, match="full"):
        waiting.add(run("two"))
    is_full = False
    waiting.add(run("three"))
    assert written == ["one"]
    waiting.write_all()
    assert written == ["one", "three"]


def script(source: str, home: Path, **options: Any) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": SOURCE, "KEDGE_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", source], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_all_are_recorded_when_the_process_ends_at_once(home: Path) -> None:
    source = """
from kedge import PythonFunctionRuntime, Task
for number in range(3):
    Task(id=f"t{number}", runtime=PythonFunctionRuntime(lambda: 4)).run_sync()
"""
    with script(source, home) as process:
        assert process.wait(60) == 0
    assert statuses() == ["succeeded"] * 3


def test_a_fork_does_not_record_its_parents(home: Path) -> None:
    source = """
import os
from kedge import PythonFunctionRuntime, Task
from kedge.run import record
task = Task(runtime=PythonFunctionRuntime(lambda: 4))
task.run_sync()
if not (child := os.fork()):
    task.run_sync()
    record.list_runs()
    os._exit(0)
os.waitpid(child, 0)
task.run_sync()
"""
    with script(source, home) as process:
        assert process.wait(60) == 0
    assert statuses() == ["succeeded"] * 3


def test_a_killed_process_loses_none_that_had_ended_a_moment_before(home: Path) -> None:
    source = """
import os, time
from kedge import PythonFunctionRuntime, Task
for _ in range(3):
    Task(runtime=PythonFunctionRuntime(lambda: 4)).run_sync()
def endless():
    print("begun", flush=True)
    os.write(1, b"begun\\n")
    time.sleep(600)
Task(runtime=PythonFunctionRuntime(endless)).run_sync()
"""
    with script(source, home) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(1)
        process.kill()
    assert statuses() == [*["succeeded"] * 3, "running"]
    (lost,) = record.settle_lost()
    assert lost.status == "failed" and lost.failure_kind == "lost"


def test_ctrl_c_in_a_function_of_this_process_cancels_its_run_and_goes_on_up(home: Path) -> None:
    source = """
import os, time
from kedge import PythonFunctionRuntime, Task
def endless():
    os.write(1, b"begun\\n")
    time.sleep(600)
try:
    Task(runtime=PythonFunctionRuntime(endless)).run_sync()
except KeyboardInterrupt:
    print("interrupted")
"""
    with script(source, home) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert statuses() == ["cancelled"]
    failure = connection().rows("SELECT failure FROM runs")[0][0]
    assert "Ctrl-C" in json.loads(failure)["message"]


def test_runs_are_recorded_in_the_order_in_which_they_began() -> None:
    outer = record.create(late=True, function="outer")
    inner = record.create(late=True, function="inner")
    record.create(late=True, function="other")
    record.settle(inner)
    rows = connection().rows("SELECT function FROM runs ORDER BY number")
    assert [row[0] for row in rows] == ["outer", "inner"]
    record.finish(outer)
    assert record.list_runs()[0].function == "other"
