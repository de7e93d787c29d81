"""`kedge run`: the main job."""

import math
from typing import TYPE_CHECKING, Any, Literal, override

import click

from kedge.cli.complete import package_words
from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.supervised import supervised
from kedge.cli.values import read_inputs, split_words, with_pairs
from kedge.errors import RunFailed, UsageError

if TYPE_CHECKING:
    from kedge.executor import Cancel
    from kedge.ports import Ports
    from kedge.run.execution import Observer


class _Amount(click.FloatRange):
    """A number above 0; `nan` and `inf`, which Python reads as numbers too, are none."""

    name = "number"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.argument("package")
@click.argument("words", nargs=-1, metavar="[FUNCTION] [NAME=VALUE]…", shell_complete=package_words)
@click.option("--inputs", metavar="FILE", help="Inputs from a JSON file; - for standard input.")
@click.option("--like", metavar="RUN", help="Start from the inputs of another run.")
@click.option("--json", "as_json", is_flag=True, help="Print the outputs as one JSON object.")
@click.option("--out", metavar="DIR", help="Copy File outputs and artifacts there.")
@click.option("--timeout", type=_Amount(), help="Seconds it may take.")
@click.option("--cpu", type=_Amount(), help="CPUs it may use.")
@click.option("--memory", metavar="MB", help="Memory it may use: 512, 512M, 2G.")
@click.option("--executor", metavar="KIND", help="How to run it: auto, sandbox or process.")
@click.option("--network", is_flag=True, help="Allow the network.")
@click.option("--locked", is_flag=True, help="Refuse to resolve requirements again.")
@click.option("--keep", is_flag=True, help="Keep the workspace.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("-v", "--verbose", is_flag=True, help="Show every step.")
def command(
    package: str,
    words: tuple[str, ...],
    inputs: str | None,
    like: str | None,
    as_json: bool,
    out: str | None,
    timeout: float | None,
    cpu: float | None,
    memory: str | None,
    executor: str | None,
    network: bool,
    locked: bool,
    keep: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Run a function.

    PACKAGE is a folder, a .zip, a Python file or file.py:function. FUNCTION may be left out when there
    is one. Values are JSON where they can be, else text: load=1200, diameter="12 mm", mesh=part.med,
    bolt.d=12.
    """
    function, pairs = split_words(words)
    overrides = {"timeout": timeout, "cpu": cpu, "memory_mb": memory_mb(memory)}
    given = read_inputs(inputs) if inputs is not None else {}

    def work(observer: "Observer", cancel: "Cancel") -> dict[str, Any]:
        from kedge.cli import result as results
        from kedge.package.source import open_package
        from kedge.run import core

        core.settle()
        source = open_package(package)
        name = named(source.function, function)
        mode: Literal["auto", "locked"] = "locked" if locked else "auto"
        with core.ready(source, name, observer, cancel, mode=mode) as ready:
            description = ready.prepared.description
            described = description.function(name)
            for warning in (*description.warnings, *described.warnings):
                observer.notice(warning)
            ports = described.input_ports
            request = core.Request(
                function=described.name,
                values=with_pairs(_like(like, ports) | given, pairs, ports),
                overrides=overrides,
                executor=executor,
                network=network,
                keep=keep,
            )
            result = core.run(ready, request, observer, cancel)
        if out is not None:
            results.copy_out(result, out)
        if result.failure is not None:
            raise result.failure
        return {
            "id": result.run.id,
            "wall_s": result.run.measured.get("wall_s"),
            "document": results.document(result) if as_json else None,
            "text": "" if as_json else results.text(result, described.output_ports),
        }

    with Display(-1 if quiet else int(verbose)) as display:
        try:
            answer = supervised(work, display.show)
        except RunFailed as failure:
            if failure.traceback and quiet and not as_json:  # else it was shown as it was printed
                say(failure.traceback.rstrip("\n"))
            raise
    if as_json:
        write_json(answer["document"])
        return
    if answer["text"]:
        write_text(answer["text"])
    if not quiet:
        click.echo(f"run {answer['id']}: {answer['wall_s'] or 0.0:.2f} s", err=True)


def named(of_source: str | None, given: str | None) -> str | None:
    """The function's name, from `file.py:function` or from the word after the package.

    Raises:
        UsageError: it is named in both places.
    """
    if of_source is not None and given is not None:
        raise UsageError(
            f"both `{of_source}` and `{given}` are named", hint="name the function once"
        )
    return of_source or given


_DIGITS = 18  # of an amount of memory: more is no number that anything else here can hold


def memory_mb(text: str | None) -> int | None:
    """MiB from `512`, `512M` or `2G`.

    Raises:
        UsageError: it is none of these.
    """
    if text is None:
        return None
    scale = {"M": 1, "G": 1024}.get(text[-1:].upper())
    number = text[:-1] if scale else text
    good = number.isascii() and number.isdigit() and len(number) <= _DIGITS
    if not good or int(number) == 0:
        raise UsageError(f"`{text[:40]}` is no amount of memory", hint="write 512, 512M or 2G")
    return int(number) * (scale or 1)


def _like(like: str | None, ports: "Ports") -> dict[str, Any]:
    """The inputs of another run, but for secrets: a record has a mask in their place."""
    if like is None:
        return {}
    from kedge.ports.shapes import holds_secret
    from kedge.run import record

    return {
        name: value
        for name, value in record.get(like).inputs.items()
        if not holds_secret(ports.schema_of(name) or {})
    }
