"""`kedge runs`: what ran, the newest first."""

import click

from kedge.cli.report import write_json, write_text
from kedge.cli.text import table

_MOST = 1_000_000  # runs that one answer may list


@click.command("runs")
@click.option("-n", "--limit", type=click.IntRange(1, _MOST), default=20, show_default=True)
@click.option("--package", metavar="NAME", help="Only of this package.")
@click.option("--function", metavar="NAME", help="Only of this function.")
@click.option("--status", metavar="STATUS", help="Only with this status.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
def command(
    limit: int, package: str | None, function: str | None, status: str | None, as_json: bool
) -> None:
    """List runs, the newest first."""
    from kedge.run import core, record

    core.settle()
    found = record.list_runs(limit, package=package, function=function, status=status)
    if as_json:
        write_json([run.to_json() for run in found])
        return
    rows = []
    for run in found:
        wall = run.measured.get("wall_s")
        name = f"{run.package or run.source or ''} {run.function or ''}".strip()
        time = run.created.replace("T", " ").partition(".")[0]
        took = f"{wall:.2f} s" if wall is not None else ""
        rows.append([run.id, time, run.failure_kind or run.status, took, name])
    if rows:
        write_text(table(rows, ["run", "created (UTC)", "status", "took", "function"]))
