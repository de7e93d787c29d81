"""A test that lacks something is skipped on a user's machine, and fails where nothing may be lacking."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_nothing_is_lacking():
    pass

def test_it_finds_out_by_itself():
    pytest.skip("there is no engine")

@pytest.mark.skipif(True, reason="there is no compiler")
def test_it_is_marked():
    pass

@pytest.fixture
def engine():
    pytest.skip("there is no engine")

def test_what_it_needs_finds_out(engine):
    pass
"""


@pytest.mark.parametrize(
    ("wanted", "summary"), [("", "1 passed, 3 skipped"), ("1", "1 failed, 1 passed, 2 errors")]
)
def test_a_skipped_test_fails_where_all_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, summary: str
) -> None:
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_these.py").write_text(TESTS)
    monkeypatch.setenv("KEDGE_TEST_ALL_ENGINES", wanted)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_these.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == int(wanted or 0)
    assert summary in done.stdout
    assert ("there is no compiler" in done.stdout) == (wanted == "1")
