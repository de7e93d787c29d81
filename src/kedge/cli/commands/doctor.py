"""`kedge doctor`: what works on this machine, and what would lift the rest."""

import click

from kedge.cli.report import write_json, write_text
from kedge.cli.text import indented, table


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Say what works on this machine, why not more, and what to do about it.

    Exits with 0 when functions can run here, with 3 when none can.
    """
    from kedge.run.health import examine

    found = examine()
    if as_json:
        write_json({"can_run": found.can_run, "checks": [one.to_json() for one in found.checks]})
    else:
        write_text(table([[one.name, one.state, one.what] for one in found.checks]))
        for one in found.checks:
            for hint in one.hints:
                write_text(f"hint: {one.name}: {indented(hint)}")
    return 0 if found.can_run else 3
