"""Functions that are decorated in the test's own process, and scripts that decorate some."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kedge

type Script = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of all tests, so that each environment is made once."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


@pytest.fixture(scope="session")
def decorated() -> Callable[..., Any]:
    """`kedge.function` with one name for all, so that their packages are few."""
    return partial(kedge.function, name="tested")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes files, by their paths, into a new folder."""

    def write(files: dict[str, str]) -> Path:
        folder = tmp_path / "project"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return write


@pytest.fixture
def start(
    written: Callable[[dict[str, str]], Path], program: Callable[..., Any]
) -> Callable[..., Any]:
    """Starts a script that has other files beside it."""

    def begin(text: str, files: dict[str, str] | None = None, **options: Any) -> Any:
        folder = written((files or {}) | {"main.py": text})
        return program(folder / "main.py", **options)

    return begin


@pytest.fixture
def script(start: Callable[..., Any]) -> Script:
    """Runs a script that has other files beside it; the lines that it prints."""

    def run(text: str, files: dict[str, str] | None = None, **options: Any) -> list[str]:
        code, out, err = start(text, files, **options).ended()
        assert code == 0, err
        lines: list[str] = out.splitlines()
        return lines

    return run
