"""Records of runs: written before anything happens, ended once, found by a few characters."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.data import replace
from kedge.errors import (
    FunctionError,
    Problem,
    RunCancelled,
    StoreError,
    UnknownName,
    UsageError,
    Where,
)
from kedge.run import record
from kedge.run.entry import ALIVE
from kedge.run.events import events
from kedge.run.lease import Lease, lease, lost_because
from kedge.run.schema import result_schema, run_schema
from kedge.store import connection

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _valid(run: record.Run) -> None:
    jsonschema_rs.validator_for(run_schema()).validate(run.to_json())


def test_a_new_run_is_recorded_with_a_folder_of_its_own(kedge_home: Path) -> None:
    run = record.create(package="bolts", function="size", inputs={"diameter": 12.0, "key": "***"})
    assert run.status == "created"
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{12}", run.id)
    assert _MOMENT.fullmatch(run.created)
    assert run.folder == str(kedge_home / "runs" / run.id)
    assert stat.S_IMODE(os.stat(run.folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(kedge_home / "runs").st_mode) == 0o700
    assert run.holder == lease()
    assert record.get(run.id) == run
    _valid(run)


def test_a_run_goes_through_its_states_and_ends_once() -> None:
    created = record.create(package="bolts")
    preparing = record.update(created, status="preparing", environment="e" * 64)
    running = record.update(preparing, status="running", interpreter="3.12.1")
    assert running.started is not None
    assert _MOMENT.fullmatch(running.started)
    ended = record.finish(
        running,
        outputs={"stress": 132.696},
        output_files={"report": {"path": "/r/report.pdf", "size": 3}},
        artifacts={"plots/a.png": {"uri": "file:///a.png", "size": 1, "sha256": "0" * 64}},
        input_files=({"port": "mesh", "path": "/m.med", "size": 1, "mtime_ns": 2, "inode": 3},),
        measured={"wall_s": 0.5, "cpu_s": 0.4, "peak_memory_mb": None, "read_bytes": 10},
        resources={"cpu": 1.0, "memory_mb": 512},
        warnings=("one",),
    )
    assert ended.status == "succeeded"
    assert ended.ended_yet
    assert record.get(ended.id) == ended
    _valid(ended)
    assert record.finish(running, RunCancelled("late")) == ended
    assert record.update(running, warnings=("late",)) == ended
    assert record.get(ended.id) == ended


def test_a_failure_is_kept_whole() -> None:
    failure = FunctionError(
        "ValueError: no load",
        type="ValueError",
        traceback="Traceback …",
        evidence={"exit_code": 1},
        where=Where("bolts.py", 3),
        hint="give a load",
        problems=[Problem("a"), Problem("b", Where(path="x"), "h")],
    )
    ended = record.finish(record.create(), failure)
    assert (ended.status, ended.failure_kind) == ("failed", "function_error")
    assert ended.failure == failure.to_json() | {"run": ended.id}
    assert record.get(ended.id) == ended
    _valid(ended)
    cancelled = record.finish(record.create(), RunCancelled("stopped"))
    assert (cancelled.status, cancelled.failure_kind) == ("cancelled", "cancelled")
    _valid(cancelled)


def test_only_finish_ends_a_run_and_only_known_facts_are_recorded() -> None:
    run = record.create()
    with pytest.raises(ValueError, match="finish"):
        record.update(run, status="succeeded")
    for call in (record.create, lambda **facts: record.update(run, **facts)):
        with pytest.raises(TypeError, match="colour"):
            call(colour="red")
        with pytest.raises(TypeError, match="created"):
            call(created="yesterday")


@settings(deadline=None, max_examples=40)
@given(
    text=st.text(st.characters(exclude_characters="\0"), max_size=40),
    inputs=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text()
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
        ),
        max_size=4,
    ),
)
def test_any_values_come_back_as_they_were(text: str, inputs: dict[str, object]) -> None:
    run = record.create(package="p", source=text, inputs=inputs, warnings=(text,))
    assert record.get(run.id) == run


def test_a_path_that_is_not_utf8_comes_back_as_it_was() -> None:
    path = os.fsdecode(b"/data/\xff\n.med")
    run = record.create(source=path, inputs={"mesh": path}, package="b\udcff")
    found = record.get(run.id)
    assert (found.source, found.inputs["mesh"], found.package) == (path, path, "b?")


def test_ids_are_all_different_and_start_differently() -> None:
    ids = [record.create().id for _ in range(40)]
    assert len({name[:8] for name in ids}) == 40
    for name in ids:
        assert record.get(name[:8].upper()).id == name


def test_last_is_the_newest_run() -> None:
    with pytest.raises(UnknownName, match="no run yet"):
        record.get("last")
    record.create()
    newest = record.create()
    assert record.get("last") == newest


@pytest.mark.parametrize(
    "name", ["", " ", "%", "_", "nope", "x" * 100_000, "\0", "é", "'; DROP TABLE runs"]
)
def test_a_name_that_is_no_run_is_refused_with_a_hint(name: str) -> None:
    record.create()
    with pytest.raises(UnknownName) as told:
        record.get(name)
    assert told.value.hint
    assert len(told.value.message) < 200


def test_a_mistyped_id_is_answered_with_the_nearest_one() -> None:
    run = record.create()
    wrong = run.id[:-1] + ("0" if run.id[-1] != "0" else "1")
    with pytest.raises(UnknownName) as told:
        record.get(wrong)
    assert told.value.hint == f"did you mean `{run.id}`?"


def test_an_ambiguous_prefix_lists_its_runs() -> None:
    run = record.create()
    connection().write("UPDATE runs SET id = 'abc000000001'")
    record.create()
    connection().write("UPDATE runs SET id = 'abc000000002' WHERE id <> 'abc000000001'")
    with pytest.raises(UnknownName, match="abc000000001, abc000000002"):
        record.get("abc")
    assert record.get("abc000000001").created == run.created


def test_runs_are_listed_newest_first_and_filtered() -> None:
    runs = [record.create(package=package, function=f) for package, f in ("ax", "ay", "bx")]
    record.finish(runs[0])
    assert [run.id for run in record.list_runs()] == [run.id for run in reversed(runs)]
    assert [run.id for run in record.list_runs(1)] == [runs[2].id]
    assert [run.id for run in record.list_runs(package="a")] == [runs[1].id, runs[0].id]
    assert [run.id for run in record.list_runs(function="x")] == [runs[2].id, runs[0].id]
    assert [run.id for run in record.list_runs(status="succeeded")] == [runs[0].id]
    assert record.list_runs(package="a", function="x", status="failed") == []
    with pytest.raises(UsageError, match="`done`"):
        record.list_runs(status="done")


def test_a_folder_that_cannot_be_made_leaves_no_record(kedge_home: Path) -> None:
    connection()
    (kedge_home / "runs").write_text("in the way")
    with pytest.raises(StoreError, match="runs"):
        record.create()
    assert record.list_runs() == []


def _killed_while(status: str) -> str:
    """The id of a run whose process was killed in that state."""
    code = f"""
import os, signal
from kedge.run import record
run = record.create(package="bolts", function="size")
for status in ("preparing", "running"):
    if run.status == {status!r}:
        break
    run = record.update(run, status=status)
print(run.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("status", ALIVE)
def test_a_run_whose_process_was_killed_is_settled_as_lost(status: str) -> None:
    mine = record.create()
    killed = _killed_while(status)
    assert record.get(killed).status == status
    (settled,) = record.settle_lost()
    assert (settled.id, settled.status, settled.failure_kind) == (killed, "failed", "lost")
    assert record.get(killed) == settled
    assert settled.failure is not None
    assert f"while it was {status}" in settled.failure["message"]
    assert settled.ended is not None
    _valid(settled)
    assert [(event.type, event.data["kind"]) for event in events(killed)] == [("ended", "lost")]
    assert record.get(mine.id) == mine
    assert record.settle_lost() == []


def test_processes_that_settle_at_once_settle_each_run_once(tmp_path: Path) -> None:
    killed = {_killed_while("running") for _ in range(3)}
    code = "from kedge.run import record; print(*[run.id for run in record.settle_lost()])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=-1, text=True)
        for _ in range(4)
    ]
    settled = [word for process in processes for word in process.communicate()[0].split()]
    assert sorted(settled) == sorted(killed)
    assert all(len(events(name)) == 1 for name in killed)


def test_another_process_may_take_a_run_over() -> None:
    run = record.create()
    other = replace(run.holder, pid=os.getppid(), pid_started=1)
    taken = record.update(run, holder=other)
    assert taken.holder == other
    assert record.get(run.id) == taken
    assert record.finish(run, RunCancelled("by the one before")).status == "created"


def test_a_holder_is_judged_only_where_it_can_be_seen() -> None:
    mine = lease()
    assert lost_because(mine) is None
    assert "went away" in str(lost_because(replace(mine, pid_started=mine.pid_started + 1)))
    assert lost_because(replace(mine, boot_id="earlier")) == "the machine was restarted"
    assert lost_because(replace(mine, boot_id="other", host="elsewhere")) is None
    assert lost_because(replace(mine, pid_namespace=1, pid=1 << 22)) is None


def test_an_ended_process_that_nobody_waited_for_holds_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    mine = lease()
    held = Lease(mine.host, mine.boot_id, mine.pid_namespace, child, mine.pid_started)
    assert "went away" in str(lost_because(held))
    os.waitpid(child, 0)


def test_the_schema_refuses_what_is_no_record() -> None:
    document = record.create().to_json()
    validator = jsonschema_rs.validator_for(run_schema())
    assert validator.is_valid(document)
    for change in (
        {"status": "done"},
        {"id": "last"},
        {"created": "today"},
        {"more": 1},
        {"contract": 2},
    ):
        assert not validator.is_valid(document | change), change
    jsonschema_rs.meta.validate(run_schema())


def test_the_result_of_a_run_has_outputs_at_top_level_and_reserved_names() -> None:
    validator = jsonschema_rs.validator_for(result_schema())
    result = {
        "stress": 132.7,
        "report": {"path": "/r/report.pdf", "size": 3, "sha256": "0" * 64},
        "_artifacts": {"a": {"uri": "file:///a", "size": 1, "sha256": "0" * 64}},
        "_run": {"id": "0123456789ab", "wall_s": 0.1},
    }
    assert validator.is_valid(result)
    assert not validator.is_valid(result | {"_other": 1})
    assert not validator.is_valid({"stress": 1.0})
    jsonschema_rs.meta.validate(result_schema())


def test_a_fork_makes_other_names_than_its_parent() -> None:
    record.new_id()  # more are ready now
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, record.new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode() not in {record.new_id() for _ in range(200)}
    os.close(reading)
    os.close(writing)
