"""`kedge python`: Kedge's own interpreter."""

import os
import sys

import click


@click.command("python", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Start Kedge's own Python, with kedge importable. ARGUMENTS are Python's own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])
