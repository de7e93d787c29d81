"""The durable record of a run: what was asked, on what it ran, what came of it.

A record is written before anything acts on it, so that a kill at any instant leaves one that is true
once `settle_lost` has been called. Only `finish` and `settle_lost` end a run, and an ended run never
changes again.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kedge.contract.ownership import remove
from kedge.data import Data, asdict, field, replace
from kedge.errors import Lost, RunFailed, StoreError, UnknownName, UsageError, nearest
from kedge.home import folder, home
from kedge.run import events
from kedge.run.clock import now
from kedge.run.lease import Lease, lease, lost_because
from kedge.run.unwritten import Entry, Unwritten
from kedge.store import connection
from kedge.version import __version__

CONTRACT: Final = 1  # the version of the runtime contract that runs are recorded under
LAST: Final = "last"
ALIVE: Final = ("created", "preparing", "running")
# As text, not as values: only then does SQLite see that the index of such runs serves.
IS_ALIVE: Final = f"status IN ({', '.join(map(repr, ALIVE))})"
STATUSES: Final = (*ALIVE, "succeeded", "failed", "cancelled")

# Crockford's: no i l o u, so none looks like another.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS: Final = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
_ID_LENGTH: Final = 12  # 60 random bits
_IDS: Final = 64  # made at once
_NEAREST_OF: Final = 1000  # a mistyped id is looked for among this many newest runs
_NAMED: Final = 8  # ids that a message lists before it says how many more there are


class Run(Data):
    """One run as recorded. Made by `create`; a changed one comes back from `update` and `finish`.

    Args:
        id: twelve random characters.
        status: created, preparing, running, succeeded, failed or cancelled.
        source: where the package came from: a folder, file or archive on this machine.
        runtime: the kind of runtime.
        snapshot: digest of the package's files.
        environment: digest of what they ran on; `interpreter` its Python version.
        failure: the failure as `RunFailed.to_json` gives it, None unless one happened.
        inputs: values by port, secrets masked; a File's value is its path.
        input_files: `port`, `path`, `size`, `mtime_ns`, `inode` of each File input at the start.
        outputs: values by port.
        output_files: for each File port `{"path", "size"}`, or a list of them.
        artifacts: `{"uri", "size", "sha256"}` by name.
        resources: the effective limits.
        measured: `wall_s`, `cpu_s`, `peak_memory_mb`, `read_bytes`, `written_bytes`, `queued_s`,
            `preparing_s`, `starting_s`, `collecting_s`, as far as known.
        warnings: sentences for people.
        contract: version of the runtime contract; `kedge` that of Kedge.
        holder: the process that answers for the run.
        created: RFC 3339, UTC, milliseconds; so are `started` (of the program) and `ended`.
    """

    id: str
    status: str
    created: str
    holder: Lease
    package: str | None = None
    package_version: str | None = None
    function: str | None = None
    source: str | None = None
    handler: str | None = None
    runtime: str | None = None
    snapshot: str | None = None
    environment: str | None = None
    interpreter: str | None = None
    executor: str | None = None
    target: str | None = None
    failure: Mapping[str, Any] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    input_files: tuple[Mapping[str, Any], ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    output_files: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    contract: int = CONTRACT
    kedge: str = __version__
    started: str | None = None
    ended: str | None = None

    @property
    def folder(self) -> str:
        """The run's own folder; `workspace` is in it while the run goes on."""
        return f"{home()}/runs/{self.id}"

    @property
    def control(self) -> str:
        """Where it takes the request to stop while it goes on (`kedge.executor.ask_from_outside`)."""
        return os.path.join(self.folder, "control")

    @property
    def failure_kind(self) -> str | None:
        """The kind of failure, None unless one happened."""
        return self.failure["kind"] if self.failure else None

    @property
    def ended_yet(self) -> bool:
        """Whether the run is over."""
        return self.status not in ALIVE

    def to_json(self) -> dict[str, Any]:
        """The whole record as JSON data; its schema is `kedge.run.schema.run_schema`."""
        record = {name: _plain(getattr(self, name)) for name in _FIELDS if name != "holder"}
        return record | {
            "host": self.holder.host,
            "boot_id": self.holder.boot_id,
            "pid": self.holder.pid,
            "pid_started": self.holder.pid_started,
            "failure_kind": self.failure_kind,
            "folder": self.folder,
        }


_json: Final = json.JSONEncoder(allow_nan=False).encode
_FIELDS: Final = Run.__fields__
_LEASE: Final = Lease.__fields__
_LISTS: Final = frozenset(("input_files", "warnings"))
_OBJECTS: Final = frozenset(
    ("inputs", "outputs", "output_files", "artifacts", "resources", "measured", "failure", "source")
)
_JSON: Final = _LISTS | _OBJECTS
_FACTS: Final = frozenset(_FIELDS) - {
    "id",
    "status",
    "created",
    "holder",
    "failure",
    "contract",
    "kedge",
}
_OWN: Final = tuple(name for name in _FIELDS if name != "holder")
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


def create(*, late: bool = False, **facts: Any) -> Run:
    """A new run with a folder of its own, held by this process.

    Args:
        late: whether it is recorded when it ends, or a moment after now; it has a folder from `settle` on.
        facts: what is known already, by the names of `Run`'s fields.

    Raises:
        StoreError: the store or the folder cannot be written.

    >>> create(package="bolts", function="size", inputs={"diameter": 12.0}).status
    'created'
    """
    _known(facts)
    run = Run(id=new_id(), status="created", created=now(), holder=lease(), **facts)
    if late:
        _unwritten.add(run)
        return run
    connection().write_many(_INSERT, [_row(run)])
    # The record first: a folder that no record knows would never be found and removed.
    try:
        _make_folder(run)
    except StoreError:
        connection().write("DELETE FROM runs WHERE id = ?", (run.id,))
        raise
    return run


def settle(run: Run) -> None:
    """Record a late run now, and make its folder.

    Raises:
        StoreError: the store or the folder cannot be written.
    """
    _unwritten.write(run)
    _make_folder(run)


def update(
    run: Run, *, status: str | None = None, holder: Lease | None = None, **facts: Any
) -> Run:
    """Record what became known of a run that goes on; `running` also records when it started.

    Args:
        run: the run as it was.
        status: `preparing` or `running`.
        holder: another process that takes the run over (`kedge.run.lease.lease()` in that process).
        facts: changed fields, by the names of `Run`'s.

    Returns:
        The changed run; as it stands in the store when it ended meanwhile.
    """
    _known(facts)
    if status is not None:
        if status not in ALIVE:
            raise ValueError(f"a run is ended by finish(), not by status={status!r}")
        facts["status"] = status
    if status == "running":
        facts.setdefault("started", now())
    if holder is not None:
        facts["holder"] = holder
    now_known = replace(run, **facts)
    if _unwritten.change(now_known):
        return now_known
    changed = {name: _STORED[name](value) for name, value in facts.items() if name != "holder"}
    if holder is not None:
        changed |= {name: _text(value) for name, value in asdict(holder).items()}
    return now_known if _write(run, changed) else get(run.id)


def finish(
    run: Run,
    failure: RunFailed | None = None,
    *,
    log: "events.EventLog | None" = None,
    **facts: Any,
) -> Run:
    """End a run: succeeded without `failure`, else cancelled or failed by its kind.

    Args:
        run: the run as it was.
        failure: why it did not succeed.
        log: its events; the one of its end is added, and those that wait are recorded with it.
        facts: what is known at the end (outputs, measured, …), by the names of `Run`'s fields.

    Returns:
        The ended run; as it stands in the store when it had ended before.
    """
    _known(facts)
    return _ended(run, failure, facts, log) or get(run.id)


def discard(run: Run) -> None:
    """Forget a run that was never started; nothing when it was, or had ended."""
    rows = connection().write(
        "DELETE FROM runs WHERE id = ? AND status IN ('created', 'preparing')", (run.id,)
    )
    if rows:
        remove(run.folder)


def get(name: str) -> Run:
    """The run with this id, with an id that starts so, or the last one for `last`.

    Raises:
        UnknownName: there is none, or more than one.
    """
    _unwritten.write_all()
    if name == LAST:
        found = _rows("ORDER BY number DESC LIMIT 1")
        if not found:
            raise UnknownName("there is no run yet", hint="`kedge run PACKAGE` makes one")
        return found[0]
    wanted = name.strip().lower()
    if wanted and not set(wanted) - set(_ALPHABET):
        limit = _NAMED + 1
        found = _rows("WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", wanted, wanted + "~", limit)
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(name, [run.id for run in found])
    raise _unknown(name)


def paths(output_file: Any) -> Any:
    """The path of a File output as it is on record, or the paths where the port has several."""
    if isinstance(output_file, list):
        return [one["path"] for one in output_file]
    return output_file["path"]


def list_runs(
    limit: int = 20,
    *,
    package: str | None = None,
    function: str | None = None,
    status: str | None = None,
) -> list[Run]:
    """The newest runs, the newest first, of one package, function or status where given.

    Raises:
        UsageError: `status` is not one that a run can have.
    """
    if status is not None and status not in STATUSES:
        raise UsageError(
            f"`{status[:80]}` is not a status of a run", hint=f"one of {', '.join(STATUSES)}"
        )
    _unwritten.write_all()
    wanted = {"package": package, "function": function, "status": status}
    given = {name: value for name, value in wanted.items() if value is not None}
    condition = " AND ".join(f"{name} = ?" for name in given)
    where = f"WHERE {condition} " if given else ""
    values = [_text(value) for value in given.values()]
    return _rows(f"{where}ORDER BY number DESC LIMIT ?", *values, limit)


def settle_lost(clear: Callable[[Run], None] = lambda _: None) -> list[Run]:
    """End every run whose holder is gone, as `lost`; the runs that were ended so.

    Called at the start of whatever works with runs. It costs one query when there is nothing to do.

    Args:
        clear: removes what such a run has left; before its record is ended, since nobody looks for it
            after that.
    """
    settled = []
    for run in _rows(f"WHERE {IS_ALIVE} ORDER BY number"):
        reason = lost_because(run.holder)
        if reason is None:
            continue
        clear(run)
        failure = Lost(
            f"run `{run.id}` was lost: {reason} while it was {run.status}",
            evidence={"noticed": now(), "pid": run.holder.pid, "boot_id": run.holder.boot_id},
            hint="run it again; what it wrote was not collected",
        )
        ended = _ended(run, failure, {}, events.EventLog(run.id))
        if ended is not None:  # else another process settled it at the same moment
            settled.append(ended)
    return settled


def _ended(
    run: Run,
    failure: RunFailed | None,
    facts: Mapping[str, Any],
    log: "events.EventLog | None" = None,
) -> Run | None:
    """The run, ended by this call; None when it had been ended before."""
    facts = {"ended": now(), **facts, "status": _status(failure), "failure": None}
    if failure is not None:
        facts["failure"] = failure.to_json() | {"run": run.id}
    ended = replace(run, **facts)
    if log is not None:
        log.add("ended", {"status": ended.status, "kind": ended.failure_kind})
    if _unwritten.end(ended, log):
        return ended
    changed = {name: _STORED[name](value) for name, value in facts.items()}
    changed["failure_kind"] = failure.kind if failure else None
    if log is None:
        return ended if _write(run, changed) else None
    with connection().transaction():
        if not _write(run, changed):
            return None
        log.write()
    return ended


def _status(failure: RunFailed | None) -> str:
    if failure is None:
        return "succeeded"
    return "cancelled" if failure.kind == "cancelled" else "failed"


def _row(run: Run) -> tuple[str | int | None, ...]:
    own, held = vars(run), vars(run.holder)
    return (
        *[stored(own[name]) for name, stored in _STORED.items()],
        *[_text(held[name]) for name in _LEASE],
        run.failure_kind,
    )


def _insert_late(place: str, entries: Sequence[Entry]) -> None:
    rows = [_late_row(run) for run, _ in entries]
    store = connection(place)
    with store.transaction():
        store.write_many(_INSERT_AGAIN, rows)
        events.write_first(store, [log for _, log in entries if log is not None])


def _late_row(run: Run) -> tuple[str | int | None, ...]:
    """A late run's row, come what may: it is none of the runs' that it is recorded with."""
    try:
        return _row(run)
    except (TypeError, ValueError, RecursionError) as error:  # such as a number of 5000 digits
        said = f"what it was given and gave cannot be recorded: {error}"
        return _row(replace(run, inputs={}, outputs={}, warnings=(*run.warnings, said)))


def _make_folder(run: Run) -> None:
    try:
        folder("runs")
        os.mkdir(run.folder, 0o700)
    except OSError as error:
        raise StoreError(
            f"the run's folder `{run.folder}` cannot be made: {error.strerror}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error


_unwritten: Final = Unwritten(_insert_late)


def _known(facts: Mapping[str, Any]) -> None:
    if not facts.keys() <= _FACTS:
        unknown = ", ".join(sorted(facts.keys() - _FACTS))
        raise TypeError(f"not facts of a run that can be given: {unknown}")


def _write(run: Run, changed: Mapping[str, str | int | None]) -> bool:
    """Change the row of a run that goes on; False when it had ended or another process took it."""
    if not changed:
        return True
    assignments = ", ".join(f"{name} = ?" for name in changed)
    held = run.holder
    rows = connection().write(
        f"UPDATE runs SET {assignments} WHERE id = ? AND pid = ? AND pid_started = ? "
        f"AND {IS_ALIVE}",
        (*changed.values(), run.id, held.pid, held.pid_started),
    )
    return rows > 0


def _rows(rest: str, *values: str | int | float | bytes | None) -> list[Run]:
    return [_loaded(row) for row in connection().rows(_SELECT + rest, values)]


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
    return "{}" if value == {} else _json(value)  # most are empty


def _list(value: Any) -> str:
    return "[]" if value == () else _json(value)


_STORED: Final[dict[str, Callable[[Any], Any]]] = {
    name: _list if name in _LISTS else _object if name in _OBJECTS else _text for name in _OWN
}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def new_id() -> str:
    """A name that no other run has."""
    try:
        return _ids.pop()
    except IndexError:  # many at once: to ask the system lets other threads go first
        letters = os.urandom(_ID_LENGTH * _IDS).translate(_LETTERS).decode()
        made = [letters[at : at + _ID_LENGTH] for at in range(0, len(letters), _ID_LENGTH)]
        _ids.extend(made[1:])
        return made[0]


_ids: Final[list[str]] = []
os.register_at_fork(after_in_child=_ids.clear)


def _ambiguous(name: str, ids: list[str]) -> UnknownName:
    more = " and more" if len(ids) > _NAMED else ""
    return UnknownName(
        f"`{name}` is the start of several runs: {', '.join(ids[:_NAMED])}{more}",
        hint="give one more character",
    )


def _unknown(name: str) -> UnknownName:
    newest = connection().rows("SELECT id FROM runs ORDER BY number DESC LIMIT ?", (_NEAREST_OF,))
    near = nearest(name[: 2 * _ID_LENGTH].lower(), [row[0] for row in newest])
    shown = name if len(name) <= 80 else name[:80] + "…"
    return UnknownName(
        f"there is no run `{shown}`",
        hint=f"did you mean `{near}`?" if near else "`kedge runs` lists them; `last` is the newest",
    )
