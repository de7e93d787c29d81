"""What every test stands on: a Kedge home of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def kedge_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private, empty KEDGE_HOME; no other KEDGE_* variable of the caller reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("KEDGE_") and not name.startswith("KEDGE_TEST_"):
            monkeypatch.delenv(name)
    home = tmp_path / "kedge-home"
    monkeypatch.setenv("KEDGE_HOME", str(home))
    return home
