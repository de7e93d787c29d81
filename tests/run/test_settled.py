"""A manifest that says all there is to say of its ports: nothing is imported to read signatures."""

from pathlib import Path
from typing import Any

import pytest

from kedge.package.source import open_package
from kedge.run.prepare import described, prepare

SIDES = {
    "inputs": "{part: {type: File, required: true}}",
    "outputs": "{size: {type: Integer, required: true}}",
}
CODE = "import os\n\n\ndef main(part):\n    return {'size': os.path.getsize(part)}\n"


def package(folder: Path, code: str = CODE, **sides: str) -> Path:
    """A package with a function `main` whose ports are declared so."""
    lines = "".join(f"    {side}: {text}\n" for side, text in (SIDES | sides).items() if text)
    (folder / "kedge.yml").write_text(
        'name: sizes\nruntime: {kind: python, version: "3.12", requirements: false}\n'
        f"functions:\n  main:\n    handler: m:main\n{lines}"
    )
    (folder / "m.py").write_text(code)
    return folder


def steps(folder: Path) -> list[str]:
    """What preparing it tells."""
    told: list[str] = []
    prepare(open_package(str(folder)), told.append)
    return told


def test_a_run_of_it_imports_nothing_before(kedge: Any, tmp_path: Path) -> None:
    folder = package(tmp_path)
    assert "reading signatures" not in steps(folder)
    (tmp_path / "part.txt").write_text("seven b")
    assert kedge("run", folder, f"part={tmp_path}/part.txt", "--json").json["size"] == 7
    assert "reading signatures" not in steps(folder)


@pytest.mark.parametrize(
    "sides",
    [
        {"inputs": ""},
        {"outputs": ""},
        {"inputs": "{part: File}"},
        {"outputs": "{size: Integer}"},
        {"inputs": "{part: {type: Integer, required: true}}"},
    ],
)
def test_a_manifest_that_leaves_something_open_has_signatures_read(
    tmp_path: Path, sides: dict[str, str]
) -> None:
    assert "reading signatures" in steps(package(tmp_path, **sides))


@pytest.mark.parametrize(
    "code",
    [
        "def main(part, tolerance: float = 1e-6): pass\n",
        "def main(other): pass\n",
        "def main(part, **others): pass\n",
        "@staticmethod\ndef main(part): pass\n",
        "def main(part): pass\nmain = lambda part, *, more: 0\n",
        "def main(part): pass\nfrom os.path import *\n",
        "if True:\n    def main(part): pass\n",
        "from os.path import basename as main\n",
        "def main(part):\n",
    ],
)
def test_a_handler_that_takes_something_else_has_its_signature_read(
    tmp_path: Path, code: str
) -> None:
    assert "reading signatures" in steps(package(tmp_path, code))


def test_what_cannot_be_imported_is_told_to_whoever_looks(kedge: Any, tmp_path: Path) -> None:
    folder = package(tmp_path, f"import nothing_of_that_name\n{CODE}")
    assert "reading signatures" not in steps(folder)
    ended = kedge("check", folder, code=2)
    assert "its signature could not be read: ModuleNotFoundError" in ended.err
    (function,) = described(open_package(str(package(folder)))).functions.values()
    assert list(function.inputs["properties"]) == ["part"]
