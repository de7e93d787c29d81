"""One run, from a command's words to what is printed of it."""

from collections.abc import Mapping
from typing import Any

import click

from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.supervised import supervised
from kedge.errors import RunFailed


def single(command: str, asked: Mapping[str, Any], *, quiet: bool, verbose: bool) -> None:
    """Have one run made, show how it goes, and print its outputs.

    Args:
        command: a module of `kedge.cli.work`.
        asked: what it is given; with `as_json`, its answer is a `document`, else `text`.
        quiet: whether to show errors only.
        verbose: whether to show every step.

    Raises:
        KedgeError: what the work raised.
    """
    as_json = asked["as_json"]
    with Display(-1 if quiet else int(verbose)) as display:
        try:
            answer = supervised(command, asked, display.show)
        except RunFailed as failure:
            printed = failure.evidence.get("source") != "_error.json"  # the runner prints it
            if failure.traceback and (quiet or not printed) and not as_json:
                say(failure.traceback.rstrip("\n"))
            raise
    if as_json:
        write_json(answer["document"])
        return
    if answer["text"]:
        write_text(answer["text"])
    if not quiet:
        click.echo(f"run {answer['id']}: {answer['wall_s'] or 0.0:.2f} s", err=True)
