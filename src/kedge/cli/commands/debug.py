"""`kedge debug`: a shell where a function runs, for a run that was or for one that could be."""

import os
from typing import Any, Final, Literal

import click

from kedge.cli.complete import package_words
from kedge.cli.display import Display
from kedge.cli.report import say
from kedge.cli.run_options import options_of_run
from kedge.cli.values import memory_mb, named, read_inputs, split_words, with_pairs
from kedge.errors import RunCancelled, UsageError

_PORT: Final = 5678  # what debugpy's clients are set to unless told otherwise


@options_of_run("inputs", "cpu", "memory", "executor", "network", "locked")
@click.command("debug")
@click.argument("package", metavar="RUN|PACKAGE")
@click.argument("words", nargs=-1, metavar="[FUNCTION] [NAME=VALUE]…", shell_complete=package_words)
@click.option(
    "--attach",
    type=click.IntRange(1, 65535),
    is_flag=False,
    flag_value=_PORT,
    metavar="[PORT]",
    help=f"Start it under debugpy on 127.0.0.1, port {_PORT} if not given.",
)
def command(
    package: str,
    words: tuple[str, ...],
    attach: int | None,
    inputs: str | None,
    cpu: float | None,
    memory: str | None,
    executor: str | None,
    network: bool,
    locked: bool,
) -> int:
    """Open a shell where a function runs: its files, inputs, environment, limits and isolation.

    For a RUN these are the files, environment and inputs of that run; NAME=VALUE changes an input. No
    run is recorded, and what the shell leaves is removed with it.
    """
    from kedge.run import debugging

    function, pairs = split_words(words)
    overrides = {"cpu": cpu, "memory_mb": memory_mb(memory)}
    given = read_inputs(inputs) if inputs is not None else {}
    mode: Literal["auto", "locked"] = "locked" if locked else "auto"
    with Display() as display:
        prepared, described, values, kind = (
            _of_package(package, function, display, mode)
            if _is_package(package)
            else _of_run(package, function, display)
        )
        values = with_pairs(values | given, pairs, described.input_ports)
        debugger = None
        if attach is not None:
            debugger = debugging.Debugger(_debugger(prepared.python.python, display), attach)
    where = f"{prepared.description.name}#{described.name}"

    def opening() -> None:
        if debugger is None:
            say(f"a shell where {where} runs; `exit` ends it, and what it leaves is removed")
            say(
                f"`{debugging.COMMAND}` runs the function on what is in in/, and shows out/data.json"
            )
            say(f"`{debugging.COMMAND} -i` opens Python with `function` and `inputs`")
        else:
            say(f"{where} starts when a debugger has come to 127.0.0.1:{debugger.port}")
            say("warning: for that it has the network of this machine")

    try:
        return debugging.debug(
            prepared,
            described,
            values,
            lambda text: say(f"warning: {text}"),
            opening,
            overrides=overrides,
            executor=executor or kind,
            network=network,
            debugger=debugger,
        )
    except KeyboardInterrupt:  # of SIGTERM or SIGHUP: what is typed goes to the shell
        raise RunCancelled("the session was ended", hint="what it left is removed") from None


def _is_package(word: str) -> bool:
    """Whether the first word names something on disk; what looks like a path is never taken for a run."""
    return os.path.exists(word) or os.sep in word or "." in word


def _of_package(
    package: str, function: str | None, display: Display, mode: Literal["auto", "locked"]
) -> tuple[Any, Any, dict[str, Any], str | None]:
    from kedge.package.source import open_package
    from kedge.run.prepare import prepare

    source = open_package(package)
    prepared = prepare(source, display.step, mode=mode)
    described = prepared.description.function(named(source.function, function))
    for warning in (*prepared.description.warnings, *described.warnings):
        display.notice(warning)
    return prepared, described, {}, None


def _of_run(
    name: str, function: str | None, display: Display
) -> tuple[Any, Any, dict[str, Any], str | None]:
    from kedge.run import record
    from kedge.run.again import again

    run = record.get(name)
    if function is not None:
        raise UsageError(
            f"run `{run.id}` is of one function, and `{function}` is named besides",
            hint="give the run alone, or the package and the function",
        )
    found = again(run)
    for notice in found.notices:
        display.notice(notice)
    return found.prepared, found.function, dict(found.inputs), run.executor


def _debugger(python: str, display: Display) -> str:
    """The folder of debugpy for the interpreter of an environment."""
    from kedge.environment import interpreters
    from kedge.environment.debugger import debugger_for
    from kedge.errors import Unavailable

    interpreter = interpreters.known(os.path.realpath(python))
    if interpreter is None:
        raise Unavailable(
            f"the interpreter of `{python}` is not known any more",
            hint="`kedge build` looks for it",
        )
    return debugger_for(interpreter, display.step)
