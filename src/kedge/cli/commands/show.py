"""`kedge show`: one run's record, or what a function's runs needed."""

from typing import TYPE_CHECKING, Any

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table

if TYPE_CHECKING:
    from kedge.run.history import Summary


@click.command("show")
@click.argument("run", metavar="RUN|FUNCTION")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
def command(run: str, as_json: bool) -> None:
    """Show one run's record, or what a function's runs needed.

    RUN is an id, the beginning of one, or `last`; FUNCTION its name, or package#function.
    """
    from kedge.run import core, history, record

    core.settle()
    package, mark, name = run.rpartition("#")
    summary = None
    if run != record.LAST:
        summary = history.summary(name, package if mark else None)
    if summary is not None:  # before the beginning of an id, which can be given a character more
        _show_summary(summary, as_json=as_json)
        return
    found = record.get(run)
    if as_json:
        write_json(found.to_json())
        return
    write_text(_text(found))
    if found.failure and found.failure.get("traceback"):
        say("")
        say(found.failure["traceback"].rstrip("\n"))


def _show_summary(summary: "Summary", *, as_json: bool) -> None:
    if as_json:
        write_json(summary.to_json())
        return
    package = f"{summary.package}#" if summary.package else ""
    rows = [["function", f"{package}{summary.function}"]]
    rows += [[f"runs {status}", str(count)] for status, count in summary.counts.items()]
    if (needs := summary.needs) is not None:
        rows += [
            ["looked at", f"the last {needs.runs} that succeeded"],
            ["wall time", f"{needs.wall_s:.3g} s, at most {needs.wall_most_s:.3g} s"],
            ["CPU time", f"{needs.cpu_s:.3g} s"],
            ["memory", f"{needs.memory_mb:.0f} MiB, at most {needs.memory_most_mb:.0f} MiB"],
            ["tier that would do", needs.tier or "none: give cpu, memory_mb and timeout"],
        ]
    write_text(table(rows))


def _text(run: Any) -> str:
    from kedge.cli.result import size_text, value_text

    rows = [
        ["run", run.id],
        ["status", run.status],
        ["function", f"{run.package}#{run.function or '?'}" if run.package else run.function],
        ["created", run.created],
        ["source", run.source],
        ["handler", run.handler],
        ["python", run.interpreter],
        ["executor", run.executor],
        ["environment", run.environment],
        ["snapshot", run.snapshot],
        ["folder", run.folder],
    ]
    rows += [[f"input {name}", value_text(value)] for name, value in run.inputs.items()]
    rows += [[f"output {name}", value_text(value)] for name, value in run.outputs.items()]
    for name, entry in run.output_files.items():
        for one in entry if isinstance(entry, list) else [entry]:
            rows.append([f"output {name}", f"{one['path']} ({size_text(one['size'])})"])
    rows += [
        [f"artifact {name}", f"{entry['uri'].removeprefix('file://')} ({size_text(entry['size'])})"]
        for name, entry in run.artifacts.items()
    ]
    rows += [
        [f"measured {name}", f"{value:.3g}"]
        for name, value in run.measured.items()
        if value is not None
    ]
    rows += [["warning", text] for text in run.warnings]
    if run.failure:
        rows.append(["failure", f"{run.failure['kind']}: {run.failure['message']}"])
        rows += [
            ["problem", problem["message"]]
            for problem in run.failure["problems"]
            if len(run.failure["problems"]) > 1
        ]
        if run.failure["hint"]:
            rows.append(["hint", run.failure["hint"]])
    return table([[name, value] for name, value in rows if value is not None])
