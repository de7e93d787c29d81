"""`kedge doctor`: what works on this machine, and what would lift the rest."""

from typing import TYPE_CHECKING

import click

from kedge.cli.report import write_json, write_text
from kedge.cli.text import indented, table

if TYPE_CHECKING:
    from kedge.run.health import Check


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Say what works on this machine, why not more, and what to do about it.

    Exits with 0 when functions can run here, with 3 when none can.
    """
    from kedge.run.health import examine

    found = examine()
    checks = (*found.checks, _agent())
    if as_json:
        write_json({"can_run": found.can_run, "checks": [one.to_json() for one in checks]})
    else:
        write_text(table([[one.name, one.state, one.what] for one in checks]))
        for one in checks:
            for hint in one.hints:
                write_text(f"hint: {one.name}: {indented(hint)}")
    return 0 if found.can_run else 3


def _agent() -> "Check":
    """Whether commands find what earlier ones have imported."""
    from kedge.cli import agent
    from kedge.run.health import Check

    found = agent.status()
    if found is None:
        return Check(
            "agent", "ok", "none: what a command imports ends with it; `kedge agent start` keeps it"
        )
    return Check("agent", "ok", f"process {found.pid}, which keeps {len(found.kept)}")
