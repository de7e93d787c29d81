"""Which Python versions fit, and which can read the proto file."""

import ast
import re
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("3.12.1", ">=3.12", True),
        ("3.12.0", ">=3.12,<3.13", True),
        ("3.13.0", ">=3.12,<3.13", False),
        ("3.9.18", ">=3.12", False),
        ("3.12.1", "==3.12.*", True),
        ("3.13.1", " == 3.12.* ", False),
        ("3.12.1", "==3.12.1", True),
        ("3.12.1", ">=3.12,!=3.12.1", False),
        ("3.100.0", ">=3.12", True),
    ],
)
def test_a_version_fits(proto: ModuleType, version: str, wanted: str, expected: bool) -> None:
    assert proto.fits(version, wanted) is expected


@given(wanted=st.text(max_size=12) | st.from_regex(r"[><=!~]{1,2}\d[\d.*, ]{0,6}", fullmatch=True))
def test_what_cannot_be_read_is_refused_in_words(proto: ModuleType, wanted: str) -> None:
    try:
        assert proto.fits("3.12.1", wanted) in (True, False)
    except proto.SetUpError as error:
        assert re.search("write it like", str(error))


def test_the_file_is_read_in_one_sitting_and_parses_on_old_pythons() -> None:
    text = (Path(__file__).parents[2] / "primer/proto.py").read_text()
    assert text.count("\n") <= 400
    ast.parse(text, feature_version=(3, 6))
