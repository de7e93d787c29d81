"""`kedge logs`: what a run wrote, as it wrote it."""

import os

import click

from kedge.cli.report import safe_stderr, write_bytes, write_json


@click.command("logs")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Wait for more while the run goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print lines with their time and stream.")
def command(run: str, follow: bool, as_json: bool) -> None:
    """Print what a run wrote: its standard output there, everything else on standard error."""
    from kedge.run import core, record
    from kedge.run.log import read_log

    core.settle()
    found = record.get(run)
    path = os.path.join(found.folder, "log")

    def over() -> bool:
        return record.get(found.id).ended_yet

    records = read_log(path, follow=follow, stop=over) if os.path.exists(path) else iter(())
    if as_json:
        write_json(
            [
                {"ms": ms, "stream": stream, "text": data.decode("utf-8", "replace")}
                for ms, stream, data in records
            ]
        )
        return
    for _, stream, data in records:
        if stream == "stdout":
            write_bytes(data)
        else:
            safe_stderr(data)
