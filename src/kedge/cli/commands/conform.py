"""`kedge conform`: what of the contract a function was seen to honour."""

import click

from kedge.cli.complete import package_words
from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.supervised import supervised
from kedge.cli.text import indented
from kedge.cli.values import read_inputs, split_pairs, split_words


@click.command("conform")
@click.argument("package")
@click.argument("words", nargs=-1, metavar="[FUNCTION] [NAME=VALUE]…", shell_complete=package_words)
@click.option("--inputs", metavar="FILE", help="Inputs from a JSON file; - for standard input.")
@click.option("--failing", metavar="NAME=VALUE", multiple=True, help="A value that it fails on.")
@click.option("--long", metavar="NAME=VALUE", multiple=True, help="A value that takes it seconds.")
@click.option("--executor", metavar="KIND", help="How to run it, as for run.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds a run may take.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(
    package: str,
    words: tuple[str, ...],
    inputs: str | None,
    failing: tuple[str, ...],
    long: tuple[str, ...],
    executor: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Try whether a function honours the contract.

    It is run a few times: on values that it takes, given as for `run` or else those of its first test
    case; on these changed by --failing, or those of a case with `raises`; and once to be asked to stop.
    """
    function, pairs = split_words(words)
    asked = {
        "package": package,
        "function": function,
        "pairs": pairs,
        "given": read_inputs(inputs) if inputs is not None else {},
        "failing": split_pairs(failing),
        "long": split_pairs(long),
        "executor": executor,
        "timeout": timeout,
    }
    with Display(output=False) as display:
        answer = supervised("conform", asked, display.show)
    checks = answer["document"]
    if as_json:
        write_json(checks)
    else:
        write_text(answer["text"])
        for check in checks:
            if check["hint"] and check["result"] != "passed":
                say(f"hint: {check['check']}: {indented(check['hint'])}")
        results = [check["result"] for check in checks]
        say(", ".join(f"{results.count(one)} {one}" for one in ("passed", "failed", "not tried")))
    return 1 if any(check["result"] == "failed" for check in checks) else 0
