"""Signatures that cannot be read: told by `check`, and read again at the next chance."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(x: float) -> float:\n    return x +\n", "SyntaxError"),
        ("import os\nos.kill(os.getpid(), 9)\ndef f() -> int:\n    return 1\n", "ended while"),
    ],
)
def test_check_refuses_what_cannot_be_imported(
    kedge: Any, tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "m.py").write_text(code)
    (tmp_path / "kedge.yml").write_text(
        'name: broken\nruntime: {kind: python, version: "3.12"}\n'
        "functions:\n  f:\n    handler: m:f\n"
    )
    ended = kedge("check", tmp_path, code=2)
    assert "error[manifest]: `f`: its signature could not be read: " in ended.err
    assert said in ended.err
    assert "kedge.yml:4:" in ended.err
    assert ended.out == ""


def test_a_signature_that_could_not_be_read_is_read_again(
    kedge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    script = tmp_path / "needs.py"
    script.write_text(
        f"open({str(data / 'table')!r}).close()\n\ndef f(x: int = 1) -> int:\n    return x\n"
    )
    assert "could not be read" in kedge("inspect", script).err
    data.mkdir()
    (data / "table").write_text("1")
    monkeypatch.setenv("KEDGE_SANDBOX_PATHS", str(data))
    ended = kedge("inspect", script)
    assert "could not be read" not in ended.err
    assert "Integer" in ended.out
