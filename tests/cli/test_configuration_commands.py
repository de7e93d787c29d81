"""`kedge config`, `schema`, `python`, `completion`."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

PACKAGES = Path(__file__).parents[1] / "packages"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which is the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_each_setting_says_where_it_comes_from(
    call: Callable[..., Any], project: Path, kedge_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kedge_home.mkdir()
    (kedge_home / "kedge.toml").write_text('executor = "process"\n[python]\ndownload = true\n')
    (project / "kedge.toml").write_text("[python]\ndownload = false\n")
    monkeypatch.setenv("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "60")
    found = json.loads(call("config", "--json").out)
    assert found["home"] == str(kedge_home)
    told = {name: (entry["value"], entry["from"]) for name, entry in found["settings"].items()}
    assert told["executor"] == ("process", str(kedge_home / "kedge.toml"))
    assert told["python.download"] == (False, str(project / "kedge.toml"))
    assert told["environment.build_timeout"] == (60.0, "KEDGE_ENVIRONMENT_BUILD_TIMEOUT")
    assert told["sandbox.paths"] == ([], "default")
    shown = call("config").out
    assert str(project / "kedge.toml") in shown
    assert found["settings"]["executor"]["description"] in shown


def test_a_project_may_not_widen_what_runs_may_do(call: Callable[..., Any], project: Path) -> None:
    (project / "kedge.toml").write_text('executor = "process"\n')
    said = call("config", "--json")
    error = json.loads(said.out)["error"]
    assert (said.code, error["code"]) == (2, "config")
    assert "executor" in error["message"]
    assert "KEDGE_EXECUTOR" in error["hint"]


def test_a_misspelt_setting_is_named_with_the_nearest(
    call: Callable[..., Any], project: Path
) -> None:
    (project / "kedge.toml").write_text("[python]\ndownlod = true\n")
    said = call("config")
    assert said.code == 2
    assert "did you mean `python.download`?" in said.err


@pytest.mark.parametrize("name", ["manifest", "run", "result", "task"])
def test_published_schemas_are_schemas(call: Callable[..., Any], name: str) -> None:
    schema = json.loads(call("schema", name).out)
    jsonschema_rs.meta.validate(schema)
    assert schema["title"]


def test_kedges_own_python_has_kedge_and_takes_any_argument(kedge: Any) -> None:
    ended = kedge("python", "-c", "import kedge, sys; print(sys.argv[1:])", "--json", "-h")
    assert ended.out == "['--json', '-h']\n"
    assert kedge("python", "--version").out.startswith("Python 3.")
    kedge("python", "-c", "raise SystemExit(7)", code=7)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(call: Callable[..., Any], shell: str) -> None:
    said = call("completion", shell)
    assert said.code == 0
    assert f"_KEDGE_COMPLETE={shell}_complete" in said.out


def test_the_bash_script_is_bash(call: Callable[..., Any]) -> None:
    script = call("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ru", ["run", "runs"]),
        ("task ", ["run"]),
        ("schema ", ["manifest", "run", "result", "task"]),
        ("completion z", ["zsh"]),
        ("ag", ["agent"]),
        ("agent ", ["start", "status", "stop"]),
        ("agent sta", ["start", "status"]),
        ("agent status --j", ["--json"]),
        (f"run {PACKAGES}/units ", ["area", "declared"]),
        (f"run {PACKAGES}/units ar", ["area"]),
        (f"run {PACKAGES}/units area ", ["width=", "height="]),
        (f"run {PACKAGES}/units area width=1 ", ["height="]),
        (f"run {PACKAGES}/units area h", ["height="]),
        (f"run {PACKAGES}/scripts/plain.py ", ["x="]),
        (f"run {PACKAGES}/two-manifests ", []),
        ("run there-is-none ", []),
    ],
)
def test_words_are_completed(kedge: Any, typed: str, offered: list[str]) -> None:
    words = ["kedge", *typed.split(" ")]
    env = os.environ | {
        "_KEDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    ended = kedge(env=env)
    assert [line.partition(",")[2] for line in ended.out.split()] == offered
    assert ended.err == ""


def test_completion_after_an_unknown_command_complains_about_nothing(kedge: Any) -> None:
    env = os.environ | {
        "_KEDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "kedge nope ",
        "COMP_CWORD": "2",
    }
    assert kedge(env=env).err == ""


def test_completion_runs_nothing_of_the_package(kedge_alone: Any, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    script = tmp_path / "s.py"
    script.write_text(f"open({str(mark)!r}, 'w')\ndef f(x: int) -> int:\n    return x\n")
    env = os.environ | {
        "_KEDGE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"kedge run {script} ",
        "COMP_CWORD": "3",
    }
    assert kedge_alone(env=env).out == "plain,x=\n"
    assert not mark.exists()
