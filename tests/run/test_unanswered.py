"""A program that ends well although its function never returned has not succeeded."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import os\n\ndef f() -> dict:\n    os._exit(0)\n",
        "import os\nos._exit(0)\n\ndef f() -> dict:\n    return {}\n",
    ],
)
def test_leaving_with_zero_is_not_an_answer(kedge: Any, tmp_path: Path, code: str) -> None:
    script = tmp_path / "leaves.py"
    script.write_text(code)
    ended = kedge("run", script, code=1)
    assert "error[contract_error]: `out/data.json` is missing" in ended.err


def test_an_empty_answer_is_one(kedge: Any, tmp_path: Path) -> None:
    script = tmp_path / "returns.py"
    script.write_text("def f() -> dict:\n    return {}\n\n\ndef g() -> None:\n    pass\n")
    kedge("run", f"{script}:f")
    kedge("run", f"{script}:g")
