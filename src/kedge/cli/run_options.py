"""Options of `kedge run` that other commands take as well, with the same words and checks."""

from collections.abc import Callable

import click

from kedge.cli.commands import run


def options_of_run(*names: str) -> Callable[[click.Command], click.Command]:
    """Gives a command the options of `kedge run` with these parameter names (`timeout`, `cpu`, …)."""

    def add(command: click.Command) -> click.Command:
        command.params += [option for option in run.command.params if option.name in names]
        return command

    return add
