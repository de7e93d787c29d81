"""`--inputs`: one JSON object, read without trusting it."""

import re
from pathlib import Path

import pytest

from kedge.cli.values import read_inputs
from kedge.errors import UsageError


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"x": 1, "x": 2}', "has the key `x` twice"),
        (b"[1]", "is a list, not a JSON object"),
        (b'{"x": NaN}', "holds NaN, which is not JSON"),
        (b'{"x": 1e400}', "holds the number 1e400, which is too large"),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b'{"x": 1,}', "is not valid JSON"),
        (b"", "is not valid JSON"),
    ],
)
def test_an_inputs_file_that_is_no_object_says_why(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "inputs.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(said)):
        read_inputs(str(path))


def test_an_endless_inputs_file_is_read_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kedge.cli.values.INPUTS_LIMIT", 1 << 20)
    with pytest.raises(UsageError, match="has more than 1048576 bytes"):
        read_inputs("/dev/zero")
