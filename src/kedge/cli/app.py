"""The `kedge` command: finds a command by name, runs it, and turns errors into words and exit codes."""

import importlib
import os
import signal
import sys
from typing import Any, override

import click

from kedge.cli.refusal import refusal
from kedge.cli.report import OutputRefused, ReaderGoneError, wants_json, write_error
from kedge.cli.streams import open_closed_streams
from kedge.errors import KedgeError
from kedge.version import __version__

# name → (one line for `kedge --help`); each lives in kedge.cli.commands.<name> as `command`
COMMANDS = {
    "run": "Run a function.",
    "task": "Run a single task that is written in a file.",
    "inspect": "Show a package's functions, ports, resources and runtime.",
    "check": "List every problem of a package's manifest and signatures.",
    "test": "Run a package's test cases in its real runtime.",
    "conform": "Try whether a function honours the contract.",
    "init": "Make a new package that runs.",
    "build": "Make a package's environment ready.",
    "lock": "Write or refresh a package's lock.",
    "map": "Run a function on every row of a table.",
    "debug": "Open a shell where a function runs.",
    "agent": "Keep processes warm between commands.",
    "serve-dev": "Serve a decorated function, anew whenever its files change.",
    "runs": "List runs.",
    "show": "Show one run's record.",
    "logs": "Print what a run wrote.",
    "cancel": "Stop a run that goes on.",
    "diff": "Compare two runs.",
    "gc": "Remove what no run needs any more.",
    "secret": "Keep secrets for packages that ask for them by name.",
    "doctor": "Say what works on this machine, and what would lift the rest.",
    "schema": "Print a published JSON Schema.",
    "plugins": "List runtimes, executors, targets, kinds of ports and the plug-ins that bring more.",
    "config": "Show the configuration and where each value comes from.",
    "python": "Start Kedge's own Python, with kedge importable.",
    "primer": "Give a repository one command that works on a bare machine.",
    "completion": "Print the completion script for a shell.",
}


class _Commands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"kedge.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = ctx.resilient_parsing or args[0] in COMMANDS  # completion asks without complaining
        if not known and not args[0].startswith("-"):
            from kedge.errors import UsageError, nearest

            close = nearest(args[0], list(COMMANDS))
            raise UsageError(
                f"unknown command `{args[0]}`",
                hint=f"did you mean `{close}`?" if close else "`kedge --help` lists the commands",
            )
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="kedge", message="%(prog)s %(version)s")
def app() -> None:
    """Kedge runs any function in the runtime it needs."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 fine, else the code of the error's kind.

    Args:
        arguments: the words after `kedge`; those of this process when not given.
    """
    words = sys.argv[1:] if arguments is None else arguments
    open_closed_streams()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not ignored, as under nohup
            signal.signal(number, signal.default_int_handler)  # nothing is left half-made
    sys.exit(_exit_code(words))


def _exit_code(words: list[str]) -> int:
    try:
        result: Any = app.main(args=words, prog_name="kedge", standalone_mode=False)
        sys.stdout.flush()
    except KedgeError as error:
        as_json = wants_json(words) and not isinstance(error, OutputRefused)
        write_error(error, as_json=as_json)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        from kedge.cli.report import usage_error

        write_error(usage_error(error), as_json=wants_json(words))
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        from kedge.errors import RunCancelled

        stopped = RunCancelled("interrupted before anything was run", hint="give the command again")
        write_error(stopped, as_json=wants_json(words))
        return stopped.exit_code
    except ReaderGoneError:  # `kedge runs | head`: not an error
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _drop_output()
        refused = refusal(error)
        write_error(refused, as_json=wants_json(words))
        return refused.exit_code
    return result if isinstance(result, int) else 0


def _drop_output() -> None:
    """Send what standard output still holds nowhere, when it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
