"""What a signature leaves open is told with the port it is about, unless the manifest settles it."""

from pathlib import Path
from typing import Any


def test_a_warning_names_its_port_and_keeps_still_about_declared_ones(
    kedge: Any, tmp_path: Path
) -> None:
    (tmp_path / "m.py").write_text("def f(known, unknown) -> int:\n    return 1\n")
    (tmp_path / "kedge.yml").write_text(
        'name: half\nruntime: {kind: python, version: "3.12"}\n'
        "functions:\n  f:\n    handler: m:f\n    inputs: {known: Float}\n"
    )
    said = kedge("inspect", tmp_path).err
    assert "warning: `f`: `unknown`: no annotation; any value is accepted\n" in said
    assert "`known`" not in said
