"""Runs as rows of the store, and back."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kedge.data import asdict, replace
from kedge.run import events
from kedge.run.entry import ALIVE, Run
from kedge.run.lease import Lease
from kedge.run.unwritten import Entry
from kedge.store import connection

# As text, not as values: only then does SQLite see that the index of such runs serves.
IS_ALIVE: Final = f"status IN ({', '.join(map(repr, ALIVE))})"

_json: Final = json.JSONEncoder(allow_nan=False).encode
_LEASE: Final = Lease.__fields__
_LISTS: Final = frozenset(("input_files", "warnings"))
_OBJECTS: Final = frozenset(
    ("inputs", "outputs", "output_files", "artifacts", "resources", "measured", "failure", "source")
)
_JSON: Final = _LISTS | _OBJECTS
_OWN: Final = tuple(name for name in Run.__fields__ if name != "holder")
_COLUMNS: Final = (*_OWN, *_LEASE)
_INSERT: Final = (
    f"INSERT INTO runs ({', '.join((*_COLUMNS, 'failure_kind'))}) "
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
)
_INSERT_AGAIN: Final = (  # where an interruption came between the commit and what was done on it
    f"{_INSERT} ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS, "failure_kind"))
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM runs "


def insert(run: Run) -> None:
    """Record a run that has just begun.

    Raises:
        StoreError: the store cannot be written.
    """
    connection().write(_INSERT, _row(run))


def insert_late(place: str, entries: Sequence[Entry]) -> None:
    """Record runs of the home `place` that began a moment ago, with their events; again, should that be asked for.

    Raises:
        StoreError: the store cannot be written; then none is recorded.
    """
    rows = [_late_row(run) for run, _ in entries]
    store = connection(place)
    with store.transaction():
        store.write_many(_INSERT_AGAIN, rows)
        events.write_first(store, [log for _, log in entries if log is not None])


def change(run: Run, facts: Mapping[str, Any]) -> bool:
    """Change columns of a run that goes on; False when it had ended or another process took it."""
    changed = {name: _STORED[name](value) for name, value in facts.items() if name != "holder"}
    if "holder" in facts:
        changed |= {name: _text(value) for name, value in asdict(facts["holder"]).items()}
    if "failure" in facts:
        changed["failure_kind"] = facts["failure"] and facts["failure"]["kind"]
    if not changed:
        return True
    assignments = ", ".join(f"{name} = ?" for name in changed)
    held = run.holder
    count = connection().write(
        f"UPDATE runs SET {assignments} WHERE id = ? AND pid = ? AND pid_started = ? "
        f"AND {IS_ALIVE}",
        (*changed.values(), run.id, held.pid, held.pid_started),
    )
    return count > 0


def select(rest: str, *values: str | int | float | bytes | None) -> list[Run]:
    """The runs that a query gives, `rest` being what stands behind its FROM."""
    texts = [_text(value) for value in values]
    return [_loaded(row) for row in connection().rows(_SELECT + rest, texts)]


def _row(run: Run) -> tuple[str | int | None, ...]:
    own, held = vars(run), vars(run.holder)
    return (
        *[stored(own[name]) for name, stored in _STORED.items()],
        *[_text(held[name]) for name in _LEASE],
        run.failure_kind,
    )


def _late_row(run: Run) -> tuple[str | int | None, ...]:
    """A late run's row, come what may: it is none of the runs' that it is recorded with."""
    try:
        return _row(run)
    except (TypeError, ValueError, RecursionError) as error:  # such as a number of 5000 digits
        said = f"what it was given and gave cannot be recorded: {error}"
        return _row(replace(run, inputs={}, outputs={}, warnings=(*run.warnings, said)))


def _loaded(row: tuple[Any, ...]) -> Run:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name])
    for name in _LISTS:
        values[name] = tuple(values[name])
    held = Lease(**{name: values.pop(name) for name in _LEASE})
    return Run(holder=held, **values)


def _text(value: Any) -> Any:
    """Text that SQLite takes: half a character, as in a path that is not UTF-8, becomes a mark."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


def _object(value: Any) -> str:
    if value is None:
        return "null"
    return "{}" if value == {} else _json(value)  # most are empty


def _list(value: Any) -> str:
    return "[]" if value == () else _json(value)


_STORED: Final[dict[str, Callable[[Any], Any]]] = {
    name: _list if name in _LISTS else _object if name in _OBJECTS else _text for name in _OWN
}
