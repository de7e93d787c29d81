"""Lock files that are uv's: a uv.lock with groups and extras, and a pylock.toml."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uv

PROJECT = """
[project]
name = "demo"
version = "1"
requires-python = ">=3.8"
dependencies = ["tiny=={version}"]

[dependency-groups]
dev = ["one==1.0"]

[project.optional-dependencies]
more = ["two==1.0"]
"""


@pytest.fixture(scope="module")
def index(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a package index with the wheels."""
    folder = tmp_path_factory.mktemp("index")
    for wheel in wheels["1.0"].parent.glob("*.whl"):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        page = folder / wheel.name.partition("-")[0] / "index.html"
        page.parent.mkdir(exist_ok=True)
        shutil.copy(wheel, page.parent)
        with page.open("a") as stream:
            stream.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(checkout: Any, index: str) -> Callable[[str], None]:
    """Lock the project to a version of its dependency, by a uv.lock and a pylock.toml."""

    def write(version: str) -> None:
        project = checkout.root / "pyproject.toml"
        project.write_text(PROJECT.format(version=version))
        checkout.variables["UV_DEFAULT_INDEX"] = index
        for command in (["lock"], ["export", "--frozen", "--no-dev", "--output-file=pylock.toml"]):
            subprocess.run(
                [uv.find_uv_bin(), *command, "--quiet", "--python", sys.executable],
                cwd=checkout.root,
                env=checkout.variables,
                check=True,
            )

    write("1.0")
    return write


def configure(checkout: Any, lock: str = "uv.lock", **own: Any) -> None:
    """Have the environment made of another lock file."""
    checkout.configure(environments={"app": {"lock": lock, "paths": ["src"], **own}})


def test_a_uv_lock_is_installed_without_the_project_and_its_groups(
    checkout: Any, lock: Callable[[str], None]
) -> None:
    configure(checkout)
    report = checkout.report()
    assert report["tiny"] == "1.0"
    assert set(os.listdir(report["packages"])) & {"one.py", "two.py", "demo.py"} == set()
    assert not (checkout.root / ".venv").exists()
    assert checkout.report()["said"] == ""


def test_groups_and_extras_are_those_that_are_named(
    checkout: Any, lock: Callable[[str], None]
) -> None:
    configure(checkout, groups=["dev"], extras=["more"])
    packages = Path(checkout.report()["packages"])
    assert (packages / "one.py").exists()
    assert (packages / "two.py").exists()
    configure(checkout, groups=["dev"])
    report = checkout.report()
    assert "changed: primer.json\n" in report["said"]
    assert "two.py" not in os.listdir(report["packages"])


def test_an_edited_uv_lock_makes_it_anew(checkout: Any, lock: Callable[[str], None]) -> None:
    configure(checkout)
    checkout.report()
    lock("2.0")
    report = checkout.report()
    assert report["tiny"] == "2.0"
    assert "changed: uv.lock\n" in report["said"]


def test_a_wrong_hash_in_a_uv_lock_is_refused(checkout: Any, lock: Callable[[str], None]) -> None:
    configure(checkout)
    file = checkout.root / "uv.lock"
    file.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", file.read_text()))
    ended = checkout.start()
    assert ended.returncode == 3
    assert "`uv.lock` cannot be installed by " in ended.stderr
    assert "ash mismatch" in ended.stderr


def test_another_python_version_that_a_file_pins_does_not_replace_it(
    checkout: Any, lock: Callable[[str], None]
) -> None:
    configure(checkout)
    (checkout.root / ".python-version").write_text("3.9\n")
    assert checkout.report()["version"] == f"3.{sys.version_info.minor}"


def test_a_pylock_is_installed(checkout: Any, lock: Callable[[str], None]) -> None:
    configure(checkout, "pylock.toml")
    assert checkout.report()["tiny"] == "1.0"
    assert checkout.report()["said"] == ""


def test_without_uv_a_uv_lock_says_so(
    checkout: Any, lock: Callable[[str], None], tools: Path, pythons: dict[str, str]
) -> None:
    (tools / "uv").unlink()
    configure(checkout)
    able = [path for path in pythons.values() if has_pip(path)]
    (tools / "python3").symlink_to(able[0])
    checkout.configure(python=">=3.8", environments={"app": {"lock": "uv.lock"}})
    ended = checkout.start()
    assert ended.returncode == 3
    assert "`uv.lock` cannot be installed by pip, and there is no uv" in ended.stderr


def has_pip(python: str) -> bool:
    """Whether an interpreter can give an environment pip."""
    command = [python, "-I", "-c", "import ensurepip"]
    return subprocess.call(command, stderr=subprocess.DEVNULL) == 0
