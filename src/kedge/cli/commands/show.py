"""`kedge show`: one run's record."""

from typing import Any

import click

from kedge.cli.report import say, table, write_json, write_text


@click.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
def command(run: str, as_json: bool) -> None:
    """Show one run's record. RUN is an id, the beginning of one, or `last`."""
    from kedge.run import core, record

    core.settle()
    found = record.get(run)
    if as_json:
        write_json(found.to_json())
        return
    write_text(_text(found))
    if found.failure and found.failure.get("traceback"):
        say("")
        say(found.failure["traceback"].rstrip("\n"))


def _text(run: Any) -> str:
    from kedge.cli.result import size_text, value_text

    rows = [
        ["run", run.id],
        ["status", run.status],
        ["function", f"{run.package or '?'}#{run.function or '?'}"],
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
