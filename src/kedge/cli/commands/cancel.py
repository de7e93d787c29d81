"""`kedge cancel`: stop a run that goes on, from anywhere on its machine."""

import time
from typing import TYPE_CHECKING

import click

from kedge.cli.report import say, write_json
from kedge.errors import Unavailable, UnknownName

if TYPE_CHECKING:
    from kedge.run.entry import Run

_POLL_S = 0.02
_DEAF_S = 2.0  # for a run that was recorded this instant to begin listening, or to end
_MORE_S = 30.0  # above its grace period, for a run to collect what it wrote


@click.command("cancel")
@click.argument("run")
@click.option("--force", is_flag=True, help="Kill it at once, without the grace period.")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
def command(run: str, force: bool, as_json: bool) -> None:
    """Stop a run that goes on and wait for its end. RUN is an id, the beginning of one, or `last`."""
    from kedge.run import core, record

    core.settle()
    found = record.get(run)
    ended_before = found.ended_yet
    if not ended_before:
        found = _ended(found, force=force)
    if as_json:
        write_json(found.to_json())
    elif ended_before:
        say(f"run {found.id} had ended already: {found.failure_kind or found.status}")
    else:
        say(f"run {found.id}: {found.failure_kind or found.status}")


def _ended(run: "Run", *, force: bool) -> "Run":
    """The run after its end, which is asked for here."""
    from kedge.executor import ask_from_outside
    from kedge.run import core

    path = run.control
    deaf_until = time.monotonic() + _DEAF_S
    while not ask_from_outside(path, force=force):
        run = _known(run)
        if run.ended_yet:
            return run
        if time.monotonic() > deaf_until:
            raise Unavailable(
                f"run `{run.id}` cannot be reached: process {run.holder.pid} of"
                f" `{run.holder.host}` holds it and does not listen here",
                hint="cancel it on that machine, or end that process",
            )
        time.sleep(_POLL_S)
    asked = time.monotonic()
    while not (run := _known(run)).ended_yet:
        # Its grace is on record once it is prepared.
        if time.monotonic() > asked + float(run.resources.get("grace") or 0.0) + _MORE_S:
            raise Unavailable(
                f"run `{run.id}` was asked to stop and has not ended",
                hint="`kedge cancel --force` kills it without waiting",
            )
        core.settle()
        time.sleep(_POLL_S)
    return run


def _known(run: "Run") -> "Run":
    from kedge.run import record

    try:
        return record.get(run.id)
    except UnknownName:
        raise UnknownName(
            f"run `{run.id}` was not begun: its inputs were refused",
            hint="there is nothing to cancel",
        ) from None
