"""`kedge task`: a single task that is written in a file."""

import click

from kedge.cli.single import single


@click.group("task", no_args_is_help=True)
def command() -> None:
    """Run a single task that is written in a file."""


@command.command("run")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Show every step.")
def run(file: str, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Run the task in FILE, which is YAML or JSON."""
    single("task", {"file": file, "as_json": as_json}, quiet=quiet, verbose=verbose)
