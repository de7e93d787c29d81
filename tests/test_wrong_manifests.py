"""Every manifest of `tests/packages/wrong` is refused where and as its own comments say."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from kedge.errors import ManifestError
from kedge.package import manifest

WRONG = Path(__file__).parent / "packages" / "wrong"
COMMENT = re.compile(r"^# problem (\d+):(\d+) ?(.*)$", re.MULTILINE)


class Expected(NamedTuple):
    """Where a problem is reported, and words that its message or hint holds."""

    line: int
    column: int
    words: str


@pytest.mark.parametrize("file", sorted(WRONG.glob("*.yml")), ids=lambda file: file.stem)
def test_a_wrong_manifest_is_refused_where_the_mistake_is(file: Path, tmp_path: Path) -> None:
    expected = [
        Expected(int(a), int(b), words) for a, b, words in COMMENT.findall(file.read_text())
    ]
    assert expected, f"{file.name} does not say what is wrong with it"
    shutil.copy(file, tmp_path / "kedge.yml")

    with pytest.raises(ManifestError) as refused:
        manifest.load(str(tmp_path))

    problems = refused.value.problems
    assert refused.value.exit_code == 2
    assert all(problem.hint for problem in problems)
    for line, column, words in expected:
        here = [
            problem
            for problem in problems
            if problem.where and (problem.where.line, problem.where.column) == (line, column)
        ]
        assert here, f"nothing at {line}:{column}, only {[str(problem) for problem in problems]}"
        assert any(words in f"{problem.message} {problem.hint}" for problem in here), (
            f"`{words}` is not in {[(problem.message, problem.hint) for problem in here]}"
        )
