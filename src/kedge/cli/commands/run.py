"""`kedge run`: the main job."""

import math
from typing import Any, override

import click

from kedge.cli.complete import package_words
from kedge.cli.single import single
from kedge.cli.values import memory_mb, read_inputs, split_words


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
@click.option(
    "--executor", metavar="KIND", help="How to run it: auto, sandbox, process, docker, podman."
)
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

    asked = {
        "package": package,
        "function": function,
        "pairs": pairs,
        "given": given,
        "like": like,
        "overrides": overrides,
        "executor": executor,
        "network": network,
        "locked": locked,
        "keep": keep,
        "out": out,
        "as_json": as_json,
    }
    single("run", asked, quiet=quiet, verbose=verbose)
