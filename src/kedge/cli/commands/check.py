"""`kedge check`: everything that is wrong with a package, and nothing run."""

import click

from kedge.cli.display import Display
from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import indented
from kedge.errors import ManifestError


@click.command("check")
@click.argument("package")
@click.option("--json", "as_json", is_flag=True, help="Print the warnings as JSON.")
@click.option("--static", is_flag=True, help="Read signatures from the source alone.")
def command(package: str, as_json: bool, static: bool) -> None:
    """List every problem of a package's manifest and signatures."""
    from kedge.package.manifest import load
    from kedge.package.source import open_package
    from kedge.package.testcases import load_cases
    from kedge.run.described import problems_of
    from kedge.run.prepare import described

    source = open_package(package)
    with Display() as display:
        description = described(source, display.step, static=static)
    if problems := problems_of(description):
        raise ManifestError.of(problems, f"the signatures of `{description.name}`")
    load_cases(load(source.root))
    warnings = [
        *description.warnings,
        *(text for function in description.functions.values() for text in function.warnings),
    ]
    if as_json:
        names = list(description.functions)
        write_json({"name": description.name, "functions": names, "warnings": warnings})
        return
    for warning in warnings:
        say(f"warning: {indented(warning)}")
    number = len(description.functions)
    write_text(f"{description.name}: {number} function{'s' if number != 1 else ''}, no problems")
