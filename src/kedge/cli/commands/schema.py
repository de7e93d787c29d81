"""`kedge schema`: the published JSON Schemas."""

from typing import Any

import click

from kedge.cli.report import write_json


def _manifest() -> dict[str, Any]:
    from kedge.package.schema import manifest_schema

    return manifest_schema()


def _run() -> dict[str, Any]:
    from kedge.run.schema import run_schema

    return run_schema()


def _result() -> dict[str, Any]:
    from kedge.run.schema import result_schema

    return result_schema()


def _task() -> dict[str, Any]:
    from kedge.client.definition import schema

    return schema()


_SCHEMAS = {"manifest": _manifest, "run": _run, "result": _result, "task": _task}


@click.command("schema")
@click.argument("name", type=click.Choice(list(_SCHEMAS)))
def command(name: str) -> None:
    """Print a published JSON Schema.

    manifest: kedge.yml. run: `kedge show --json`. result: `kedge run --json`. task: what `kedge task run` takes.
    """
    write_json(_SCHEMAS[name]())
