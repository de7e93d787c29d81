"""Requirements without end: what is wrong with them is said in a few words all the same."""

from pathlib import Path

import pytest

from kedge.environment.requirements import declared
from kedge.errors import ManifestError

LONG = "a" * 5000


@pytest.mark.parametrize(
    "line", [LONG, f"-r {LONG}", f"--{LONG}", f"-e {LONG}", f"-c https://{LONG}"]
)
def test_a_line_without_end_is_shortened_where_it_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(line)
    with pytest.raises(ManifestError) as refused:
        declared(str(tmp_path), True, "3.12")
    assert all(len(problem.message) < 400 for problem in refused.value.problems)
