"""What Kedge shows of its kinds, and what the sample plug-in shows of its own, in French."""

import ast
import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import executors
from kedge.runtime import runtimes
from kedge.target import targets
from kedge.task import port_types
from kedge.translation import Text

ROOT = Path(__file__).parents[2]
KEDGE = ROOT / "src" / "kedge"
SAMPLE = ROOT / "examples" / "plugin" / "src" / "kedge_sample"
CATALOGUES = [
    folder / "locales" / "fr" / "LC_MESSAGES" / f"{folder.name}.po" for folder in (KEDGE, SAMPLE)
]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "catalogues"))

# Before these stands a space that no line is broken at; straight quotes are of typewriters.
UNTIDY = re.compile("(?<![\u00a0\u202f])[:;!?»]|«(?![\u00a0\u202f])|['\"]|  |\\.\\.\\.| $|^ ")


def marked(folder: Path) -> set[str]:
    """Every text in the modules of a package that is marked with `_(…)`."""
    return {
        node.args[0].value
        for module in folder.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "_"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def translations(catalogue: Path) -> dict[str, str]:
    """The texts of a catalogue and their translations."""
    found: dict[str, str] = SCRIPT["entries"](catalogue.read_text("utf-8"))
    return {source: text for source, text in found.items() if source}


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda one: one.stem)
def test_the_compiled_catalogue_is_that_of_its_source(catalogue: Path) -> None:
    compiled = SCRIPT["compiled"](catalogue.read_text("utf-8"))
    assert catalogue.with_suffix(".mo").read_bytes() == compiled, "run scripts/catalogues"


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda one: one.stem)
def test_every_text_is_translated_and_no_translation_is_of_a_text_that_is_gone(
    catalogue: Path,
) -> None:
    assert {source for source, text in translations(catalogue).items() if text} == marked(
        catalogue.parents[3]
    )
    assert all(translations(catalogue).values())


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda one: one.stem)
def test_translations_are_set_as_french_is(catalogue: Path) -> None:
    found = translations(catalogue)
    assert [text for text in found.values() if UNTIDY.search(text)] == []
    assert [
        text for source, text in found.items() if source.endswith(".") != text.endswith(".")
    ] == []


@pytest.mark.parametrize(
    "registry", [runtimes, executors, targets, port_types], ids=lambda one: one.noun
)
def test_every_kind_of_kedge_has_a_name_and_a_description_in_french(
    registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "fr")
    found = translations(CATALOGUES[0])
    for kind, module in registry._builtin.items():
        import_module(module)
        cls = registry.get(kind)
        for text in (cls.kind_name, cls.kind_description):
            assert isinstance(text, Text), f"{kind}: {text!r} is not translated"
            assert str(text) in found.values()


def test_a_catalogue_that_is_not_understood_is_not_compiled() -> None:
    for text in (
        'msgid "a"\nmsgstr "b"\nmsgid "c"\nmsgstr "d"\n',
        'msgctxt "x"\nmsgid "a"\nmsgstr "b"\n',
        'msgid "a"\nmsgstr b\n',
        'msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n',
    ):
        with pytest.raises(SystemExit):
            SCRIPT["entries"](text)


def test_texts_of_several_lines_are_compiled_and_those_in_doubt_are_not() -> None:
    text = '#. a note\nmsgid ""\n"one "\n"two"\nmsgstr "un\\ndeux"\n\n#, fuzzy\nmsgid "c"\nmsgstr "d"\n'
    assert SCRIPT["entries"](text) == {"one two": "un\ndeux"}
