"""The runner as it is really started: a compiled file, an isolated interpreter, a workspace folder."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
RUNNER = HERE.parents[1] / "src" / "kedge" / "contract" / "runner.py"
RUN_LIMIT_S = 60.0


def _load_pythons() -> ModuleType:
    """tests/support/pythons.py, which no import path leads to."""
    if "kedge_test_pythons" not in sys.modules:
        path = HERE.parent / "support" / "pythons.py"
        spec = importlib.util.spec_from_file_location("kedge_test_pythons", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["kedge_test_pythons"] = module
        spec.loader.exec_module(module)
    return sys.modules["kedge_test_pythons"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `python` runs on every version found; it is the path of that interpreter."""
    if "python" in metafunc.fixturenames:
        found = _load_pythons().found()
        metafunc.parametrize("python", found, ids=[one.version for one in found], scope="session")


@dataclass
class Ended:
    """What a run of the runner left behind."""

    code: int
    stdout: str
    stderr: str
    out: Path
    data: Any = None
    error: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        root = self.out / "files"
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


class Workspace:
    """A workspace folder and an interpreter: write a package, run its handlers."""

    def __init__(self, root: Path, python: str, runner: str) -> None:
        self.root = root
        self.python = python
        self.runner = runner
        for name in ("in/files", "out/files", "out/artifacts", "scratch"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def write(self, files: dict[str, str] | None = None, /, **sources: str) -> "Workspace":
        """Writes files of the package: `write(bolts="def …")` makes bolts.py."""
        for name, text in {**(files or {}), **{f"{n}.py": s for n, s in sources.items()}}.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def start(
        self, command: str, instructions: dict[str, Any], **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Starts the runner as an executor does."""
        env = {"PATH": os.defpath, "LANG": "C.UTF-8", "KEDGE_WORKSPACE": str(self.root)}
        return subprocess.Popen(
            [self.python, "-I", "-B", self.runner, command, json.dumps(instructions)],
            cwd=self.root, env=env, stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def run(
        self, handler: str, values: dict[str, Any] | None = None, /, **instructions: Any
    ) -> Ended:
        """Runs a handler; keyword arguments are the instructions besides its name."""
        (self.root / "in" / "data.json").write_text(json.dumps(values or {}))
        instructions = {"outputs": {}, "open": not instructions.get("outputs"), **instructions}
        return self.ended(
            self.start("run", {"handler": handler, "inputs": {}, "convert": [], **instructions})
        )

    def ended(self, process: "subprocess.Popen[bytes]") -> Ended:
        """Waits for the end and reads what is there."""
        stdout, stderr = process.communicate(timeout=RUN_LIMIT_S)
        out = self.root / "out"
        ended = Ended(process.returncode, (stdout or b"").decode(), stderr.decode(), out)
        if (out / "data.json").exists():
            ended.data = json.loads((out / "data.json").read_text("utf-8"))
        if (out / "_runner_error.json").exists():
            ended.error = json.loads((out / "_runner_error.json").read_text("utf-8"))
        return ended

    def result(
        self, handler: str, values: dict[str, Any] | None = None, /, **instructions: Any
    ) -> Any:
        """The outputs of a run that must succeed."""
        ended = self.run(handler, values, **instructions)
        assert ended.code == 0, ended.stderr
        assert not ended.error
        return ended.data

    def describe(self, *handlers: str) -> dict[str, Any]:
        """The descriptions of handlers, by handler."""
        ended = self.ended(self.start("describe", {"handlers": {name: name for name in handlers}}))
        assert ended.code == 0, ended.stderr
        functions: dict[str, Any] = ended.data["functions"]
        return functions


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The runner compiled by a given interpreter, once for each."""
    made: dict[str, str] = {}

    def compile_for(path: str) -> str:
        if path not in made:
            target = tmp_path_factory.mktemp("runner") / "runner.pyc"
            program = "import py_compile, sys; py_compile.compile(*sys.argv[1:3], 'runner.py', doraise=True)"
            subprocess.run([path, "-I", "-c", program, str(RUNNER), str(target)], check=True)
            made[path] = str(target)
        return made[path]

    return compile_for


@pytest.fixture
def everywhere(python: Any, compiled: Any, tmp_path: Path) -> Workspace:
    """A workspace on each Python version in turn."""
    return Workspace(tmp_path / "workspace", python.path, compiled(python.path))


@pytest.fixture
def workspace(compiled: Any, tmp_path: Path) -> Workspace:
    """A workspace on one bare Python: the version that runs the tests, or the newest found."""
    found = _load_pythons().found()
    same = [one for one in found if one.minor == sys.version_info.minor]
    path = (same or found)[-1].path
    return Workspace(tmp_path / "workspace", path, compiled(path))


@pytest.fixture
def equipped(compiled: Any, tmp_path: Path) -> Workspace:
    """A workspace on the Python that runs the tests, which has pydantic."""
    return Workspace(tmp_path / "workspace", sys.executable, compiled(sys.executable))
