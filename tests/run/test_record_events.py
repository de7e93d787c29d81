"""Events of a run: in order, readable while it goes on, one commit for many."""

import os
import subprocess
import sys

import pytest

from kedge.errors import StoreError
from kedge.run import record
from kedge.run.events import EventLog, append, events
from kedge.store import connection


def _types(run_id: str, after: int = 0) -> list[tuple[int, str]]:
    return [(event.seq, event.type) for event in events(run_id, after)]


def test_events_are_numbered_and_read_from_where_a_reader_stopped() -> None:
    run, other = record.create(), record.create()
    append(run.id, "created")
    append(other.id, "created")
    log = EventLog(run.id)
    log.add("preparing", {"what": "environment"})
    log.add("started")
    assert _types(run.id) == [(1, "created")]
    log.flush()
    log.flush()
    append(run.id, "ended", {"status": "succeeded"})
    assert _types(run.id) == [(1, "created"), (2, "preparing"), (3, "started"), (4, "ended")]
    assert _types(run.id, after=3) == [(4, "ended")]
    assert events(run.id)[1].to_json()["data"] == {"what": "environment"}
    assert _types("unknown") == []


def test_another_process_reads_events_while_the_run_goes_on() -> None:
    run = record.create()
    append(run.id, "progress", {"step": 1, "message": "é\ud800"})
    code = (
        f"from kedge.run.events import events; print([e.data['step'] for e in events({run.id!r})])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_progress_of_a_long_run_is_bounded_and_its_last_event_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kedge.run.events.PROGRESS_KEPT", 5)
    run = record.create()
    log = EventLog(run.id)
    for step in range(20):
        log.add("progress", {"step": step})
        if step % 3 == 0:
            log.add("note")
            log.flush()
    log.flush()
    found = events(run.id)
    assert [event.data["step"] for event in found if event.type == "progress"] == [0, 1, 2, 3, 19]
    assert sum(event.type == "note" for event in found) == 7
    assert [event.seq for event in found] == sorted(event.seq for event in found)


def test_events_go_with_their_run() -> None:
    run = record.create()
    append(run.id, "created")
    connection().write("DELETE FROM runs WHERE id = ?", (run.id,))
    assert events(run.id) == []
    with pytest.raises(StoreError):
        append(run.id, "ended")
