"""The page on what `import kedge` gives says what the code says, all of it."""

import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import kedge

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "reference.py"))
PAGE = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
CALLABLES = [name for name in kedge.__all__ if callable(getattr(kedge, name))]


def test_the_page_is_what_the_docstrings_say() -> None:
    assert SCRIPT["page"]() == PAGE, "write it anew: ./kedge python scripts/reference.py"


def test_every_public_name_has_its_section_once() -> None:
    assert sorted(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE)) == sorted(kedge.__all__)


@pytest.mark.parametrize("name", CALLABLES)
def test_every_parameter_is_explained_and_no_other(name: str) -> None:
    thing = getattr(kedge, name)
    taken, base = SCRIPT["parameters"](thing), SCRIPT["public_base"](thing)
    if base and taken == SCRIPT["parameters"](base) and not explained(thing):
        return  # they are there
    names = {one.name for one in taken if one.kind is not one.VAR_KEYWORD}
    if len(names) == len(taken):
        assert explained(thing) == names
    else:  # some may go by names of their own
        assert explained(thing) >= names


def explained(thing: Any) -> set[str]:
    """The parameters that a docstring explains."""
    part = (inspect.getdoc(thing) or "").partition("Args:\n")[2].partition("\n\n")[0]
    firsts = re.findall(r"^    (\w+(?:, \w+)*): ", part, re.MULTILINE)
    return {name for first in firsts for name in first.split(", ")}


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_name_has_an_example_that_is_run_or_is_a_kind_of_one_that_has(
    name: str,
) -> None:
    section = PAGE.partition(f"### `{name}`\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    base = SCRIPT["public_base"](getattr(kedge, name))
    assert "```pycon run\n>>> " in section or (base and issubclass(base, kedge.KedgeError))
    assert ">>>" not in re.sub(
        r"^```pycon run\n.*?^```$", "", section, flags=re.MULTILINE | re.DOTALL
    )
