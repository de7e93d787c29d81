"""Python packages in containers: the same function, its environment in an image, its code beside it."""

from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

pytestmark = pytest.mark.usefixtures("cleared")

MANIFEST = """\
name: counted
runtime: {{kind: python, version: "{version}", requirements: {requirements}{more}}}
functions:
  count: {{handler: "counted:count"}}
"""
CODE = """\
import json
import os
import sys
from pathlib import Path

import helper

def count(words: Path, times: int = 2) -> dict[str, str]:
    text = words.read_text()
    status = Path("/proc/self/status").read_text()
    return {
        "said": helper.repeated(text, times),
        "python": "%d.%d" % sys.version_info[:2],
        "uid": str(os.getuid()),
        "capabilities": status.split("CapBnd:")[1].split()[0],
        "files": ",".join(sorted(os.listdir("."))),
    }
"""
HELPER = """\
import six

def repeated(text, times):
    return six.text_type(text) * times
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one requirement and a module of its own."""
    folder = tmp_path / "counted package"
    folder.mkdir()
    write(folder)
    (folder / "counted.py").write_text(CODE)
    (folder / "helper.py").write_text(HELPER)
    (folder / "words.txt").write_text("ab")
    return folder


def write(folder: Path, version: str = "3.11", requirements: str = "[six]", more: str = "") -> None:
    text = MANIFEST.format(version=version, requirements=requirements, more=more)
    (folder / "kedge.yml").write_text(text)


@pytest.fixture
def run(kedge_alone: Any, package: Path) -> Any:
    """Runs the function on an engine."""

    def runs(kind: str, *words: str, code: int = 0) -> Any:
        file = f"words={package / 'words.txt'}"
        return kedge_alone(
            "run", package, "count", file, *words, "--executor", kind, "--json", code=code
        )

    return runs


def test_it_gives_what_it_gives_in_the_sandbox_and_code_builds_nothing(
    run: Any, kedge_alone: Any, engine: Engine, package: Path
) -> None:
    first = run(engine.kind)
    assert "preparing: building" in first.err
    plain = run("sandbox").json
    assert first.json["said"] == plain["said"] == "abab"
    assert first.json["python"] == plain["python"] == "3.11"
    assert first.json["files"] == plain["files"]
    assert first.json["uid"] != "0" and int(first.json["capabilities"], 16) == 0
    record = kedge_alone("show", first.json["_run"]["id"], "--json").json
    assert record["environment"].startswith("sha256:") and record["executor"] == engine.kind
    again = run(engine.kind)
    assert "preparing" not in again.err
    # A line inside a function: nothing is built, and no signature read.
    helper = package / "helper.py"
    helper.write_text(HELPER.replace("* times", "* (times + 1)"))
    changed = run(engine.kind)
    assert changed.json["said"] == "ababab" and "preparing" not in changed.err
    # A signature: read again, and nothing built.
    code = package / "counted.py"
    code.write_text(CODE.replace("times: int = 2", "times: int = 1"))
    other = run(engine.kind)
    assert other.json["said"] == "abab"
    assert "reading signatures" in other.err and "building" not in other.err


def test_a_failure_has_its_kind_and_traceback(run: Any, engine: Engine, package: Path) -> None:
    write(package, requirements="false")
    code = "def count(words, times=2):\n    raise ArithmeticError('no count')\n"
    (package / "counted.py").write_text(code)
    error = run(engine.kind, code=1).json["error"]
    assert error["kind"] == "function_error" and "no count" in error["message"]
    assert 'counted.py", line 2' in error["traceback"]


def test_what_has_no_wheel_is_built_in_the_image(
    run: Any, kedge_alone: Any, any_engine: Engine, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(package, requirements="[six, docopt==0.6.2]")
    (package / "helper.py").write_text("import docopt\n" + HELPER)
    with monkeypatch.context() as allowed:
        allowed.setenv("KEDGE_ENVIRONMENT_ALLOW_BUILDS", "true")  # which locking it takes
        kedge_alone("lock", package)
    assert run(any_engine.kind).json["said"] == "abab"
    assert "`docopt` has no wheel" in run("sandbox", code=3).json["error"]["message"]
    lock = package / "kedge.lock"
    head, hashed, rest = lock.read_text().partition("docopt==0.6.2 \\\n    --hash=sha256:")
    assert hashed
    lock.write_text(head + hashed + "0" * 64 + rest[64:])
    error = run(any_engine.kind, code=3).json["error"]
    assert error["message"].startswith(
        "`docopt`: there is no wheel, and the image cannot build one:"
    )
    assert "HASHES" in error["message"] and "runtime.system" in error["hint"]


@pytest.mark.parametrize("version", ["3.9", "3.13", "3.14"])
def test_it_runs_on_the_python_of_its_base(
    run: Any, any_engine: Engine, package: Path, version: str
) -> None:
    write(package, version=version)
    assert run(any_engine.kind).json["python"] == version


def test_without_that_python_here_its_files_are_compiled_in_the_image(
    run: Any, any_engine: Engine, package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.setenv("KEDGE_PYTHON_DOWNLOAD", "false")
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "HOME"):
        monkeypatch.setenv(name, str(nowhere))
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    write(package, version="3.13")
    ended = run(any_engine.kind)
    assert ended.json["said"] == "abab" and ended.json["python"] == "3.13"


def test_a_base_with_another_python_is_refused(
    run: Any, any_engine: Engine, monkeypatch: pytest.MonkeyPatch, base_image: Any
) -> None:
    monkeypatch.setenv("KEDGE_IMAGES_BASE", base_image(any_engine, "trixie"))
    error = run(any_engine.kind, code=3).json["error"]
    assert error["code"] == "environment_error"
    assert "has Python 3.13" in error["message"] and "3.11 is asked for" in error["message"]


def test_debian_packages_need_a_container_and_get_one(
    kedge_alone: Any, any_engine: Engine, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(package, requirements="false", more=", system: [hello]")
    (package / "counted.py").write_text(
        "import subprocess\n"
        "def count() -> str:\n"
        "    return subprocess.run(['hello'], capture_output=True, text=True).stdout.strip()\n"
    )
    monkeypatch.setenv("KEDGE_EXECUTOR", any_engine.kind)
    ended = kedge_alone("run", package, "count", "--json")
    assert ended.json["result"] == "Hello, world!"
    monkeypatch.delenv("KEDGE_EXECUTOR")
    refused = kedge_alone("run", package, "count", "--executor", "sandbox", code=2)
    assert "hello" in refused.err and "docker" in refused.err
    write(package, requirements="false", more=", system: [no-such-thing]")
    failed = kedge_alone(
        "run", package, "count", "--executor", any_engine.kind, "--json", code=3
    ).json["error"]
    assert "no-such-thing" in failed["message"] and "Unable to locate" in failed["message"]
    assert failed["where"] == "runtime.system"


@pytest.mark.parametrize(
    "base", ["--help", "--cpu-profile=/tmp/kedge-profile", "debian:12\nRUN id", "a b"]
)
def test_a_base_that_is_no_reference_never_reaches_an_engine(
    run: Any, any_engine: Engine, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("KEDGE_IMAGES_BASE", base)
    error = run(any_engine.kind, code=3).json["error"]
    assert "is not the name of an image" in error["message"]
    assert not Path("/tmp/kedge-profile").exists()
