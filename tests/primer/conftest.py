"""A small project of its own that starts itself by the primer, with real interpreters and real uv."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uv

from kedge.primer.repository.entry import Entry, shell_script

REPOSITORY = Path(__file__).resolve().parents[2]
FINISHED_SECONDS = 120  # A start that takes longer hangs.

DEMO = """
import json, os, signal, sys
import tiny

WHOSE = "first"

def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "exit":
        return int(sys.argv[2])
    if command == "raise":
        raise LookupError("of the project")
    if command == "wait":
        print(os.getpid(), flush=True)
        signal.pause()
    if command == "interrupted":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        print("waiting", flush=True)
        signal.sigwait({signal.SIGINT})
        print("answered", flush=True)
        return 9
    if command == "echo":
        sys.stdout.write(sys.stdin.read())
        return 0
    import sysconfig
    print(json.dumps({
        "argv": sys.argv, "cwd": os.getcwd(), "pid": os.getpid(), "prefix": sys.prefix,
        "base": sys.base_prefix, "version": "%d.%d" % sys.version_info[:2], "file": __file__,
        "whose": WHOSE, "tiny": tiny.VERSION, "environ": dict(os.environ), "path": sys.path,
        "packages": sysconfig.get_path("purelib"),
    }))
"""


@dataclass
class Checkout:
    """A checkout of the small project, and the variables that it is started with."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, entry: Path | str = "", **options: Any) -> Any:
        """Run the entry script to its end; `options` are those of subprocess.run."""
        given: dict[str, Any] = {"cwd": self.root, "env": self.variables, **options}
        given.setdefault("timeout", FINISHED_SECONDS)
        command = [str(entry or self.root / "app"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, **given)

    def report(self, *arguments: str, **options: Any) -> Any:
        """What the project's main says of itself; its standard error is in `said`."""
        ended = self.start(*arguments, **options)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) | {"said": ended.stderr}

    def begin(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Start the entry script without waiting for it, in a process group of its own."""
        given: dict[str, Any] = {"cwd": self.root, "env": self.variables, **options}
        given |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [str(self.root / "app"), *arguments]
        process: subprocess.Popen[str] = subprocess.Popen(command, start_new_session=True, **given)
        return process

    def lock(self, wheel: Path) -> None:
        """Lock the project to one wheel."""
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        text = f"tiny @ {wheel.as_uri()} \\\n    --hash=sha256:{digest}\n"
        (self.root / "requirements").mkdir(exist_ok=True)
        (self.root / "requirements/app.txt").write_text(text)

    def configure(self, file: str = "primer.json", **options: Any) -> None:
        """Write a configuration; without options the usual one."""
        usual = {
            "python": ">=3.12",
            "environments": {"app": {"lock": "requirements/app.txt", "paths": ["src"]}},
        }
        (self.root / file).write_text(
            json.dumps(usual | options if file == "primer.json" else options)
        )

    def made(self) -> list[str]:
        """The environments that stand in the checkout."""
        return sorted(os.listdir(self.root / ".primer/made/app"))


def small_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module that knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{information}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            f"{information}/RECORD",
            f"{name}.py,,\n{information}/METADATA,,\n{information}/WHEEL,,\n{information}/RECORD,,\n",
        )
    return path


@pytest.fixture(scope="session")
def proto() -> ModuleType:
    """primer/proto.py as a module."""
    spec = importlib.util.spec_from_file_location("proto", REPOSITORY / "primer/proto.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_more()
    return module


@pytest.fixture(scope="session")
def pythons(proto: ModuleType) -> dict[str, str]:
    """One interpreter for each minor version of Python on this machine: "3.8" -> its path."""
    found: dict[str, str] = {}
    for path, version in proto.interpreters():
        if version:
            found.setdefault(version.rpartition(".")[0], os.path.realpath(path))
    return found


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels of the small project's dependency by version, in a folder with some of others."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("one", "two"):
        small_wheel(folder, name, "1.0")
    return {version: small_wheel(folder, "tiny", version) for version in ("1.0", "2.0")}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kedge's own wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    words = [uv.find_uv_bin(), "build", "--wheel", "--out-dir", str(folder)]
    words += ["--python", sys.executable, str(REPOSITORY)]
    built = subprocess.run(words, capture_output=True, text=True, timeout=FINISHED_SECONDS)
    assert built.returncode == 0, built.stderr
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uv cache for all tests of this process."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with uv and the one Python that fits, under its versioned name."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "uv").symlink_to(uv.find_uv_bin())
    name = f"python3.{sys.version_info.minor}"
    (folder / name).symlink_to(os.path.realpath(sys.executable))
    return folder


def write_checkout(root: Path, wheel: Path) -> Checkout:
    """Write the small project's files."""
    (root / "src").mkdir(parents=True)
    (root / "src/demo.py").write_text(DEMO)
    (root / "primer").mkdir()
    shutil.copy(REPOSITORY / "primer/proto.py", root / "primer")
    (root / "app").write_text(shell_script(Entry("start", "demo:main", "app")))
    (root / "app").chmod(0o755)
    checkout = Checkout(root)
    checkout.lock(wheel)
    checkout.configure()
    return checkout


@pytest.fixture
def checkout(tmp_path: Path, tools: Path, wheels: dict[str, Path], uv_cache: Path) -> Checkout:
    """A fresh checkout of the small project, an empty home, and a PATH that is known."""
    checkout = write_checkout(tmp_path / "checkout", wheels["1.0"])
    (tmp_path / "home").mkdir()
    dropped = ("PRIMER_", "KEDGE_", "XDG_", "PYTHON", "PYTEST", "PYENV", "VIRTUAL_ENV", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    checkout.variables = kept | {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{tools}:/usr/bin:/bin",
        "UV_CACHE_DIR": str(uv_cache),
    }
    return checkout
