"""A package index of this machine's own, and interpreters looked for once."""

import base64
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kedge.environment import interpreters
from kedge.environment.interpreters import Interpreter
from kedge.errors import EnvironmentFailed

MakeWheel = Callable[..., Path]


@pytest.fixture(scope="session")
def known_interpreters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of interpreters, found once for all tests of this process."""
    home = tmp_path_factory.mktemp("known")
    before = os.environ.get("KEDGE_HOME")
    os.environ["KEDGE_HOME"] = str(home)
    try:
        for minor in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
            try:
                interpreters.find(minor)
            except EnvironmentFailed:
                continue
    finally:
        if before is None:
            del os.environ["KEDGE_HOME"]
        else:
            os.environ["KEDGE_HOME"] = before
    return home / "interpreters.json"


@pytest.fixture
def pythons(known_interpreters: Path, kedge_home: Path) -> dict[str, Interpreter]:
    """The interpreters of this machine by minor version, known to this test's Kedge home."""
    import json

    kedge_home.mkdir(exist_ok=True)
    shutil.copy(known_interpreters, kedge_home / "interpreters.json")
    found = {}
    for key in json.loads(known_interpreters.read_text())["chosen"]:
        minor = json.loads(key)[0]
        found[minor] = interpreters.find(minor)
    return found


@pytest.fixture
def python312(pythons: dict[str, Interpreter]) -> Interpreter:
    """The interpreter that most tests use: Kedge itself needs one of 3.12 or later."""
    return pythons.get("3.12") or max(pythons.values(), key=lambda one: one.minor.split("."))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWheel:
    """The only package index there is: a folder, filled by calling this with wheels to make."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def make(
        name: str,
        version: str = "1.0",
        files: Mapping[str, str] | None = None,
        requires: tuple[str, ...] = (),
        tag: str = "py3-none-any",
        scripts: Mapping[str, str] | None = None,
        record: Mapping[str, str] | None = None,
    ) -> Path:
        content = dict(files or {f"{name}.py": f"VERSION = {version!r}\n"})
        info = f"{name}-{version}.dist-info"
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        content[f"{info}/METADATA"] = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        content[f"{info}/WHEEL"] = (
            f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        if scripts:
            lines = "".join(f"{script} = {target}\n" for script, target in scripts.items())
            content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
        rows = []
        for path, text in content.items():
            claimed = (record or {}).get(path, text)
            value = base64.urlsafe_b64encode(hashlib.sha256(claimed.encode()).digest())
            rows.append(f"{path},sha256={value.decode().rstrip('=')},{len(text)}\n")
        content[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
        wheel = folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)
        return wheel

    return make
