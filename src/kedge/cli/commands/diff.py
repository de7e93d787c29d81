"""`kedge diff`: what differs between two runs."""

from typing import TYPE_CHECKING, Any, Final

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table

if TYPE_CHECKING:
    from kedge.run.compare import Difference

_SHOWN: Final = 40  # characters of a value in a column; `--json` has all of it
_DIGEST: Final = 12  # characters of a digest that tell two apart
_TITLES: Final = {
    "facts": "",
    "packages": "package ",
    "files": "file ",
    "inputs": "input ",
    "input_files": "input ",
    "outputs": "output ",
    "output_files": "output ",
    "artifacts": "artifact ",
    "resources": "resource ",
    "measured": "measured ",
    "warnings": "warning ",
    "failure": "failure ",
}


@click.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(first: str, second: str, as_json: bool) -> None:
    """Compare two runs; what is the same is left out. RUN is an id, the beginning of one, or `last`."""
    from kedge.run import core, record
    from kedge.run.compare import compare

    core.settle()
    found = compare(record.get(first), record.get(second))
    if as_json:
        write_json(found.to_json())
        return
    if found.differences:
        rows = [_row(one) for one in found.differences]
        write_text(table(rows, ["", found.first.id, found.second.id, "change"]))
    else:
        say("the two runs do not differ in anything that is recorded")
    for text in found.unknown:
        say(f"not known: {text}")


def _row(one: "Difference") -> list[str]:
    name = f"{_TITLES[one.part]}{one.name}"
    return [name, _value(one, one.first), _value(one, one.second), _change(one)]


def _value(one: "Difference", value: Any) -> str:
    from kedge.cli.result import size_text, value_text

    if value is None:
        return ""
    if one.part in ("input_files", "output_files", "artifacts"):
        size = size_text(value["size"]) if "size" in value else ""
        return f"{value.get('sha256', '')[:_DIGEST]} {size}".strip() or "there"
    if one.part == "files":
        kind, _, content = value.partition(" ")
        return f"{kind} {content[:_DIGEST]}"
    if one.name in ("environment", "snapshot"):
        return str(value[:_DIGEST])
    if one.part == "warnings":
        return "yes"
    text = f"{value:.4g}" if one.part == "measured" else value_text(value)
    text = text.replace("\n", " ")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _change(one: "Difference") -> str:
    if one.absolute is None:
        if one.first is None and one.second is None:
            return "changed"
        return "added" if one.first is None else "removed" if one.second is None else "changed"
    if one.part == "measured":
        return f"×{one.second / one.first:.3g}" if one.first else f"{one.absolute:+.4g}"
    relative = "" if one.relative is None else f" ({100 * one.relative:+.3g} %)"
    return f"{one.absolute:+.6g}{relative}"
