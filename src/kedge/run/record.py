"""The durable record of a run: what was asked, on what it ran, what came of it.

A record is written before anything acts on it, so that a kill at any instant leaves one that is true
once `settle_lost` has been called. Only `finish` and `settle_lost` end a run, and an ended run never
changes again.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge.contract.ownership import remove
from kedge.data import replace
from kedge.errors import Lost, RunFailed, StoreError, UnknownName, UsageError, nearest
from kedge.home import folder
from kedge.run import events, rows
from kedge.run.clock import now
from kedge.run.entry import ALIVE, STATUSES, Run
from kedge.run.lease import Lease, lease, lost_because
from kedge.run.unwritten import Unwritten
from kedge.store import connection

__all__ = [
    "LAST", "Run", "create", "discard", "finish", "get", "list_runs", "new_id", "paths", "settle",
    "settle_lost", "update",
]  # fmt: skip

LAST: Final = "last"

# Crockford's: no i l o u, so none looks like another.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS: Final = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
_ID_LENGTH: Final = 12  # 60 random bits
_IDS: Final = 64  # made at once
_NEAREST_OF: Final = 1000  # a mistyped id is looked for among this many newest runs
_NAMED: Final = 8  # ids that a message lists before it says how many more there are
_FACTS: Final = frozenset(Run.__fields__) - {
    "id",
    "status",
    "created",
    "holder",
    "failure",
    "contract",
    "kedge",
}


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
    rows.insert(run)
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
    return now_known if rows.change(run, facts) else get(run.id)


def goes_on(run: Run, started: str | None) -> bool:
    """Record that a run is running, since then; False where it was ended, or another process took it."""
    return rows.change(run, {"status": "running", "started": started})


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
    gone = connection().write(
        "DELETE FROM runs WHERE id = ? AND status IN ('created', 'preparing')", (run.id,)
    )
    if gone:
        remove(run.folder)


def get(name: str) -> Run:
    """The run with this id, with an id that starts so, or the last one for `last`.

    Raises:
        UnknownName: there is none, or more than one.
    """
    _unwritten.write_all()
    if name == LAST:
        found = rows.select("ORDER BY number DESC LIMIT 1")
        if not found:
            raise UnknownName("there is no run yet", hint="`kedge run PACKAGE` makes one")
        return found[0]
    wanted = name.strip().lower()
    if wanted and not set(wanted) - set(_ALPHABET):
        limit = _NAMED + 1
        found = rows.select(
            "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", wanted, wanted + "~", limit
        )
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
    return rows.select(f"{where}ORDER BY number DESC LIMIT ?", *given.values(), limit)


def settle_lost(clear: Callable[[Run], None] = lambda _: None) -> list[Run]:
    """End every run whose holder is gone, as `lost`; the runs that were ended so.

    Called at the start of whatever works with runs. It costs one query when there is nothing to do.

    Args:
        clear: removes what such a run has left; before its record is ended, since nobody looks for it
            after that.
    """
    settled = []
    for run in rows.select(f"WHERE {rows.IS_ALIVE} ORDER BY number"):
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
    if log is None:
        return ended if rows.change(run, facts) else None
    with connection().transaction():
        if not rows.change(run, facts):
            return None
        log.write()
    return ended


def _status(failure: RunFailed | None) -> str:
    if failure is None:
        return "succeeded"
    return "cancelled" if failure.kind == "cancelled" else "failed"


def _make_folder(run: Run) -> None:
    try:
        folder("runs")
        os.mkdir(run.folder, 0o700)
    except OSError as error:
        raise StoreError(
            f"the run's folder `{run.folder}` cannot be made: {error.strerror}",
            hint="make room, or set KEDGE_HOME to a folder that you can write to",
        ) from error


_unwritten: Final = Unwritten(rows.insert_late)


def _known(facts: Mapping[str, Any]) -> None:
    if not facts.keys() <= _FACTS:
        unknown = ", ".join(sorted(facts.keys() - _FACTS))
        raise TypeError(f"not facts of a run that can be given: {unknown}")


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
