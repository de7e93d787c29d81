"""Runs of this process are recorded many at once: none is lost that another process could have seen."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.errors import Lost, StoreError
from kedge.run import events as events_module
from kedge.run import record, rows
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

    waiting = Unwritten(lambda _, entries: write(entries))
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


def test_events_are_recorded_with_their_run_after_a_disk_that_was_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = record.create(late=True)
    log = EventLog(run.id)
    log.add("started")
    record.finish(run, log=log)
    with monkeypatch.context() as wrong:
        wrong.setattr(rows, "_INSERT_AGAIN", rows._INSERT_AGAIN.replace("runs", "nowhere"))
        with pytest.raises(StoreError):
            record.list_runs()
    with monkeypatch.context() as wrong:
        broken = events_module._INSERT_AGAIN.replace("events", "nowhere")
        wrong.setattr(events_module, "_INSERT_AGAIN", broken)
        with pytest.raises(StoreError):
            record.list_runs()
    assert [one.status for one in record.list_runs()] == ["succeeded"]
    assert [(event.seq, event.type) for event in events(run.id)] == [(1, "started"), (2, "ended")]


def test_an_interruption_after_the_commit_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(place: str, entries: Any) -> None:
        rows.insert_late(place, entries)
        raise KeyboardInterrupt

    run = record.create(late=True)
    monkeypatch.setattr(record._unwritten, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record.list_runs()
    monkeypatch.setattr(record._unwritten, "_write", rows.insert_late)
    record.finish(run, log=EventLog(run.id))
    assert [one.status for one in record.list_runs()] == ["succeeded"]
    assert len(events(run.id)) == 1


def test_a_run_is_recorded_in_the_home_that_it_began_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEDGE_HOME", "relative")
    with record._unwritten._writing:  # however slow this machine is, none is recorded meanwhile
        going = record.create(late=True, function="going")
        record.finish(record.create(late=True, function="one"))
        monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "other"))
        record.finish(record.create(late=True, function="two"))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        record.finish(going)
    assert [run.function for run in record.list_runs()] == ["two"]
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "relative"))
    assert [(run.function, run.status) for run in record.list_runs()] == [
        ("one", "succeeded"),
        ("going", "succeeded"),
    ]
    assert not (tmp_path / "elsewhere" / "relative").exists()


def test_a_home_that_cannot_be_written_harms_no_run_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-folder").write_text("")
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "no-folder"))
    waiting = Unwritten(rows.insert_late)
    monkeypatch.setattr(record, "_unwritten", waiting)
    record.finish(record.create(late=True))
    time.sleep(0.2)
    for act in (record.list_runs, lambda: record.create(late=True)):
        with pytest.raises(StoreError):
            act()
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "good"))
    record.finish(record.create(late=True))
    eventually(["succeeded"])
    (tmp_path / "no-folder").unlink()
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "no-folder"))
    assert [run.status for run in record.list_runs()] == ["succeeded"]


def test_a_late_run_that_has_ended_does_not_change_again() -> None:
    run = record.create(late=True)
    record.finish(run, outputs={"result": 1})
    assert record.finish(run, Lost("late")).status == "succeeded"
    run = record.create(late=True)
    record.finish(run)
    assert record.update(run, status="running").status == "succeeded"
    assert [one.status for one in record.list_runs()] == ["succeeded"] * 2


def test_what_cannot_be_recorded_of_one_run_harms_no_other() -> None:
    record.finish(record.create(late=True, function="big", inputs={"x": 10**5000}))
    record.finish(record.create(late=True, function="other", inputs={"x": 1}))
    other, big = record.list_runs()
    assert (other.function, other.inputs, other.warnings) == ("other", {"x": 1}, ())
    assert (big.function, big.status, big.inputs) == ("big", "succeeded", {})
    assert "cannot be recorded" in big.warnings[0]


def test_where_no_thread_can_be_started_each_is_recorded_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    waiting = Unwritten(rows.insert_late)
    monkeypatch.setattr(record, "_unwritten", waiting)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    run = record.create(late=True)
    assert statuses() == ["created"]
    record.finish(run)
    assert statuses() == ["succeeded"]


def test_a_thread_that_prints_and_a_loop_that_listens_make_one_folder(home: Path) -> None:
    """Coroutines listen after a moment, which is when the folder is made; so do the first words of a thread."""
    source = """
import asyncio, time
from kedge import PythonFunctionRuntime, Task
from kedge.run import record, rows
settle = record.settle
def slowly(run):
    settle_at.append(time.monotonic())
    time.sleep(0.2)
    settle(run)
settle_at = []
record.settle = slowly
async def speaks():
    await asyncio.gather(asyncio.to_thread(print, "words"), asyncio.sleep(0.3))
ended = Task(runtime=PythonFunctionRuntime(speaks)).run_sync()
print(ended.run.status, ended.run.warnings, len(settle_at), ended.failure)
"""
    with script(source, home) as process:
        assert process.communicate(timeout=60)[0] == "succeeded () 1 None\n"


def test_a_process_ends_although_a_daemon_thread_of_it_runs_what_cannot_be_stopped(
    home: Path,
) -> None:
    source = """
import threading, time
from kedge import PythonFunctionRuntime, Task
begun = threading.Event()
def endless():
    begun.set()
    time.sleep(600)
task = Task(runtime=PythonFunctionRuntime(endless))
threading.Thread(target=task.run_sync, daemon=True).start()
begun.wait()
"""
    with script(source, home) as process:
        assert process.wait(60) == 0
    assert statuses() == ["running"]
    (lost,) = record.settle_lost()
    assert lost.failure_kind == "lost"


def test_a_fork_while_others_begin_and_end_runs_can_run_too(home: Path) -> None:
    source = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from kedge import PythonFunctionRuntime, Task
from kedge.client import session
from kedge.executor import cancel, printing
from kedge.run import record
task = Task(runtime=PythonFunctionRuntime(lambda: 4))
locks = session._making, cancel._making, printing._lock, record._unwritten._lock
for lock in locks:
    lock.acquire()  # as another thread does at the moment of a fork
if not (child := os.fork()):
    ended = task.run_sync()
    cancel.Cancel().fileno()
    record.list_runs()
    os._exit(0 if ended.outputs == {"result": 4} else 1)
for lock in locks:
    lock.release()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    with script(source, home) as process:
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()


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
from kedge.run import record, rows
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
    assert [row[0] for row in rows][:2] == ["outer", "inner"]  # a slow machine has all of them
    record.finish(outer)
    assert record.list_runs()[0].function == "other"


def test_what_cannot_be_recorded_at_the_end_is_said_in_a_line(home: Path) -> None:
    source = """
import os, shutil
from kedge import PythonFunctionRuntime, Task
Task(runtime=PythonFunctionRuntime(lambda: 4)).run_sync()
home = os.environ["KEDGE_HOME"]
shutil.rmtree(home)
open(home, "w").close()
"""
    environment = os.environ | {"PYTHONPATH": SOURCE, "KEDGE_HOME": str(home)}
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    home.unlink()
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].startswith(
        "the last runs of this process are not on record"
    )
    assert "Traceback" not in done.stderr
