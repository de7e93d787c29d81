"""Manifests that are wrong in thousands of places are refused with the first problems of them."""

from pathlib import Path

import pytest

from kedge.errors import ManifestError
from kedge.package.compare import compare
from kedge.package.manifest import load
from kedge.ports.wording import MOST_PROBLEMS

HEAD = """\
name: a
runtime: {kind: python, version: "3.12"}
functions:
  f:
    handler: a:f
"""


@pytest.mark.parametrize(
    "row",
    [
        "    handlr%d: 1",
        "inputs",
        "  f%d: {handler: absent:f}",
        "  f%d: {handler: absent}",
        "  -f%d: {handler: a:f}",
        "  f%d: {handlr: 1}",
    ],
    ids=["keys", "ports", "modules", "handlers", "names", "keys of functions"],
)
def test_of_thousands_of_problems_the_first_are_told_with_their_places(
    tmp_path: Path, row: str
) -> None:
    count = 2000
    if row == "inputs":
        ports = "".join(f"      p{number}: Flaot\n" for number in range(count))
        rows = f"    inputs:\n{ports}"
    else:
        rows = "\n".join(row % number for number in range(count))
    (tmp_path / "a.py").write_text("")
    (tmp_path / "kedge.yml").write_text(HEAD + rows)
    with pytest.raises(ManifestError) as refused:
        load(str(tmp_path))
    problems = refused.value.problems
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].message.startswith("there are more problems")
    assert [problem.where.line for problem in problems if problem.where] == sorted(
        problem.where.line or 0 for problem in problems if problem.where
    )
    assert all(problem.hint and problem.where for problem in problems)


def test_of_thousands_of_unknown_keys_the_first_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "kedge.yml").write_text(HEAD + "\n".join(f"key{at}: 1" for at in range(2000)))
    assert len(load(str(tmp_path)).warnings) == MOST_PROBLEMS + 1


def test_a_name_without_end_is_cut_where_outputs_differ() -> None:
    (difference,) = compare({"x" * 5000: 1}, {})
    assert len(difference) < 200
