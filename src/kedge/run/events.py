"""What happened to a run, in order: readable by any process while the run goes on, and after.

Types in use: `created`, `preparing` (`what`), `started`, `progress` (the code's own keys), `ready`
(what serves answers), `ended` (`status`, `kind`). Each event of a run has a number; a reader that stopped
asks for what came after.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

from kedge.data import Data
from kedge.run.clock import now
from kedge.store import Database, connection

_json: Final = json.JSONEncoder(allow_nan=False).encode

_INSERT: Final = "INSERT INTO events (run, seq, ts, type, data) VALUES (?, ?, ?, ?, ?)"
_INSERT_AGAIN: Final = _INSERT.replace("INSERT", "INSERT OR REPLACE")

PROGRESS: Final = "progress"
READY: Final = "ready"
PROGRESS_KEPT: Final = 10_000  # of one run: two minutes of the fastest, days of an ordinary one


class Event(Data):
    """One event: its number in the run, when (RFC 3339, UTC, milliseconds), its type and data."""

    seq: int
    ts: str
    type: str
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as JSON data."""
        return {"seq": self.seq, "ts": self.ts, "type": self.type, "data": dict(self.data)}


def append(run_id: str, type: str, data: Mapping[str, Any] | None = None) -> None:
    """Record one event now."""
    events = EventLog(run_id)
    events.add(type, data)
    events.flush()


def events(run_id: str, after: int = 0) -> list[Event]:
    """The events of a run with a number above `after`, in order."""
    rows = connection().rows(
        "SELECT seq, ts, type, data FROM events WHERE run = ? AND seq > ? ORDER BY seq",
        (run_id, after),
    )
    return [Event(seq, ts, type, json.loads(data)) for seq, ts, type, data in rows]


def write_first(store: Database, logs: Iterable["EventLog"]) -> None:
    """Record the events of runs that have ended and have none yet, within a transaction.

    They are not taken from their logs: should it fail, it will be done again.
    """
    store.write_many(_INSERT_AGAIN, [row for log in logs for row in log.rows(0)])


@final
class EventLog:
    """Events of one run, gathered by `add` and recorded together by `flush`: one commit a tick.

    After `PROGRESS_KEPT` progress events a newer one takes the place of the one before it, so a run
    that reports for a week does not fill the store.

    Args:
        run_id: the run.
        is_new: whether no event of it is recorded yet. Nobody else may record one before it has ended.
    """

    __slots__ = ("_last", "_number", "_progress", "_waiting", "run_id")

    def __init__(self, run_id: str, *, is_new: bool = False) -> None:
        self.run_id = run_id
        # Of the last one that is recorded; None has to be asked for.
        self._number = 0 if is_new else None
        self._waiting: list[tuple[str, str, str]] = []
        self._progress = 0
        self._last: int | None = None

    def add(self, type: str, data: Mapping[str, Any] | None = None) -> None:
        """Take an event, stamped with the present moment; it is recorded by the next `flush`."""
        self._waiting.append((now(), type, _json(data) if data else "{}"))

    @property
    def waits(self) -> bool:
        """Whether something is to be recorded."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Record what was added. It costs nothing when nothing was."""
        if self._waiting:
            with connection().transaction():
                self.write()

    def write(self) -> None:
        """As `flush`, within a transaction of whoever asks."""
        store = connection()
        if self._waiting:
            number = self._number
            if number is None:
                asked = "SELECT coalesce(max(seq), 0) FROM events WHERE run = ?"
                number = store.rows(asked, (self.run_id,))[0][0]
            else:
                self._number = number + len(self._waiting)
            taken = self.taken(number)
            store.write_many(_INSERT, taken)
            for row in taken:
                if row[3] == PROGRESS:
                    self._make_room(store, row[1])

    def taken(self, number: int) -> list[tuple[str, int, str, str, str]]:
        """What waits as rows of the table, the first with the number after this one; nothing waits then."""
        taken, self._waiting = self.rows(number), []
        return taken

    def rows(self, number: int) -> list[tuple[str, int, str, str, str]]:
        """As `taken`; it waits on."""
        return [(self.run_id, at, *event) for at, event in enumerate(self._waiting, number + 1)]

    def _make_room(self, store: Database, number: int) -> None:
        self._progress += 1
        if self._progress > PROGRESS_KEPT:
            store.write("DELETE FROM events WHERE run = ? AND seq = ?", (self.run_id, self._last))
        self._last = number
