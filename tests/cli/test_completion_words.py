"""What completion proposes: one line each, whatever a package's descriptions hold."""

from pathlib import Path

import click

from kedge.cli.complete import package_words


def test_descriptions_stay_on_one_line_and_are_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(x: float) -> float:\n    return x\n")
    (tmp_path / "kedge.yml").write_text(
        'name: words\nruntime: {kind: python, version: "3.12"}\nfunctions:\n  f:\n    handler: m:f\n'
        '    inputs: {x: {type: Float, description: "\\e[31mred\\nplain\\ny=\\n"}}\n'
    )
    context = click.Context(click.Command("run"))
    context.params = {"package": str(tmp_path), "words": ()}
    [item] = package_words(context, click.Argument(["words"]), "")
    assert (item.value, item.help) == ("x=", r"\x1b[31mred")
