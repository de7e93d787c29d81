"""`kedge map`: one function over a table of inputs, a run each row."""

from collections.abc import Mapping
from typing import Any

import click

from kedge.cli.complete import package_words
from kedge.cli.display import Display
from kedge.cli.report import say, write_json
from kedge.cli.run_options import options_of_run
from kedge.cli.supervised import supervised
from kedge.cli.values import memory_mb, split_words
from kedge.errors import RunCancelled


@options_of_run("timeout", "cpu", "memory", "executor", "network", "locked")
@click.command("map")
@click.argument("package")
@click.argument("words", nargs=-1, metavar="[FUNCTION] [NAME=VALUE]…", shell_complete=package_words)
@click.option("--inputs", metavar="FILE", required=True, help="The cases: .csv, .tsv or .jsonl.")
@click.option("--out", metavar="FILE", required=True, help="The results: .csv or .jsonl.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Runs at once; as the CPUs allow.")
@click.option(
    *("--keep-going", "keep_going"),
    flag_value=True,
    type=bool,
    default=True,
    help="Run the other rows after one has failed (the default).",
)
@click.option(
    *("--fail-fast", "keep_going"),
    flag_value=False,
    type=bool,
    help="Stop at the first that fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def command(
    package: str,
    words: tuple[str, ...],
    inputs: str,
    out: str,
    jobs: int | None,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
    timeout: float | None,
    cpu: float | None,
    memory: str | None,
    executor: str | None,
    network: bool,
    locked: bool,
) -> int:
    """Run a function on every row of a table.

    The columns are its inputs; NAME=VALUE gives one for all rows. What has succeeded is not run again by
    the same command, so a sweep that was stopped goes on where it was.
    """
    function, pairs = split_words(words)
    overrides = {"timeout": timeout, "cpu": cpu, "memory_mb": memory_mb(memory)}
    asked = {
        "package": package,
        "function": function,
        "pairs": pairs,
        "inputs": inputs,
        "out": out,
        "jobs": jobs,
        "fail_fast": not keep_going,
        "overrides": overrides,
        "executor": executor,
        "network": network,
        "locked": locked,
    }
    with Display(-1 if quiet else 0) as display:
        running = _Showing(display)
        answer = supervised("map", asked, running.show)
    summary = answer["summary"]
    if as_json:
        write_json(summary)
    elif not quiet:
        for line in answer["failures"]:
            say(line)
        if (more := summary["failed"] - len(answer["failures"])) > 0:
            say(f"and {more} more: see `_error` in {out}")
        say(_summed(summary))
    if answer["stopped"]:
        return RunCancelled.exit_code
    return 1 if summary["failed"] else 0


class _Showing:
    """Shows what is told of a sweep; from its first row on the live line says that it runs."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._running = False

    def show(self, name: str, payload: Any) -> None:
        if name == "progress" and not self._running:
            self._running = True
            self._display.show("started", {"function": payload["function"]})
        self._display.show(name, payload)


def _summed(summary: Mapping[str, Any]) -> str:
    words = [f"{summary['succeeded']} succeeded", f"{summary['failed']} failed"]
    if summary["skipped"]:
        words.append(f"{summary['skipped']} had succeeded before")
    left = summary["total"] - summary["succeeded"] - summary["failed"] - summary["skipped"]
    if left:
        words.append(f"{left} not run yet (the same command goes on with them)")
    return f"{', '.join(words)}: {summary['out']}"
