"""`kedge inspect`, `check`, `init`, `build`, `lock`: what they say of a package, and what they write."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = PACKAGES / "seed-short"


def test_inspect_shows_ports_resources_and_where_they_come_from(kedge: Any) -> None:
    shown = kedge("inspect", BOLTS).out
    assert shown.startswith("bolt-sizing: python 3.12\n")
    for words in ("sizing  bolts:size", "diameter_mm  Float", "memory_mb  512", "function"):
        assert words in shown
    assert "width" in kedge("inspect", PACKAGES / "units").out


def test_inspect_gives_json_schemas(kedge: Any) -> None:
    document = kedge("inspect", PACKAGES / "units", "area", "--json").json
    assert list(document["functions"]) == ["area"]
    area = document["functions"]["area"]
    inputs = area["inputs"]
    assert inputs["required"] == ["width"]
    assert inputs["properties"]["height"]["default"] == 10.0
    jsonschema_rs.meta.validate(inputs)
    jsonschema_rs.meta.validate(area["outputs"])
    assert area["resources"]["timeout"].keys() == {"value", "from"}


def test_inspect_reads_the_source_alone_without_building(
    kedge_alone: Any, kedge_home: Path
) -> None:
    document = kedge_alone("inspect", PACKAGES / "numpy-one", "solve", "--static", "--json").json
    assert "matrix" in document["functions"]["solve"]["inputs"]["properties"]
    assert not (kedge_home / "environments").exists()


def test_inspect_works_for_kinds_that_cannot_run_here(kedge: Any) -> None:
    assert "mesh_file" in kedge("inspect", PACKAGES / "dockerfile-package").out
    assert "thermal" in kedge("inspect", PACKAGES / "image-package").out


@pytest.mark.parametrize("static", [[], ["--static"]])
def test_check_finds_nothing_wrong(kedge: Any, static: list[str]) -> None:
    assert kedge("check", BOLTS, *static).out == "bolt-sizing: 1 function, no problems\n"
    document = kedge("check", BOLTS, "--json", *static).json
    assert document == {"name": "bolt-sizing", "functions": ["sizing"], "warnings": []}


@pytest.mark.parametrize(
    "name",
    ["two_problems_at_once", "version_without_quotes", "duplicate_key", "reserved_port_names"],
)
def test_check_names_every_problem_of_a_manifest_with_its_place(
    kedge: Any, tmp_path: Path, name: str
) -> None:
    source = PACKAGES / "wrong" / f"{name}.yml"
    wanted = [
        line.split()[2] for line in source.read_text().splitlines() if line.startswith("# problem ")
    ]
    shutil.copy(source, tmp_path / "kedge.yml")
    ended = kedge("check", tmp_path, "--static", code=2)
    for place in wanted:
        assert f"  at {tmp_path}/kedge.yml:{place}" in ended.err
    assert ended.err.count("error[manifest]") == ended.err.count("hint: ") >= len(wanted)
    problems = kedge("check", tmp_path, "--static", "--json", code=2).json["error"]["problems"]
    assert len(problems) == ended.err.count("error[manifest]")


@pytest.mark.parametrize("static", [[], ["--static"]])
def test_check_names_what_cannot_be_called(kedge: Any, static: list[str]) -> None:
    ended = kedge("check", PACKAGES / "not-functions", *static, "--json", code=2)
    places = [problem["where"] for problem in ended.json["error"]["problems"]]
    assert places
    assert all("kedge.yml:" in place for place in places)


def test_check_reads_the_test_cases_too(kedge: Any, tmp_path: Path) -> None:
    shutil.copytree(BOLTS, tmp_path / "p")
    (tmp_path / "p" / "tests").mkdir()
    (tmp_path / "p" / "tests" / "test_bad.json").write_text("{")
    ended = kedge("check", tmp_path / "p", "--static", code=2)
    assert "test_bad.json" in ended.err


@pytest.mark.parametrize(
    "name",
    [
        "bolt-sizing",
        "Odd Name's",
        "1st",
        "Träger",
        "class",
        "json",
        "kedge",
        "tests",
        "日本",
        "a.b",
    ],
)
def test_a_new_package_passes_its_own_check(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("init", name)
    assert said.code == 0
    for path in said.out.splitlines():
        assert Path(path).is_file()
    assert call("check", name, "--static").code == 0


@pytest.mark.parametrize("name", ["brand-new", "json", "it's new"])
def test_a_new_package_runs_and_passes_its_test(kedge: Any, tmp_path: Path, name: str) -> None:
    told = kedge("init", name, cwd=tmp_path).err.removeprefix("try: kedge ")
    import shlex

    assert kedge(*shlex.split(told), cwd=tmp_path).out == "result  250.0 mm^2\n"
    assert kedge("test", name, cwd=tmp_path).out.count("passed") == 2


def test_new_packages_of_the_other_kinds_are_valid(kedge: Any, tmp_path: Path) -> None:
    kedge("init", "made", "--kind", "dockerfile", cwd=tmp_path)
    assert os.access(tmp_path / "made" / "area.sh", os.X_OK)
    kedge("init", "pulled", "--kind", "image", "--image", "solver:1.0", cwd=tmp_path)
    for name in ("made", "pulled"):
        assert "no problems" in kedge("check", name, cwd=tmp_path).out


@pytest.mark.parametrize("there", ["kedge.yml", "kedge.yaml", "mecapy.yml", "tests/area.json"])
def test_init_overwrites_nothing(call: Callable[..., Any], tmp_path: Path, there: str) -> None:
    file = tmp_path / "p" / there
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    said = call("init", tmp_path / "p")
    assert said.code == 2
    assert there in said.err
    assert file.read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == before


def test_init_in_a_place_that_is_a_file_is_refused(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    said = call("init", tmp_path / "file" / "p")
    assert said.code == 2
    assert "error[package]" in said.err


def test_build_says_what_it_would_do_then_does_it(
    kedge_alone: Any, kedge_home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "one.py"
    script.write_text("def f() -> int:\n    return 1\n")
    planned = kedge_alone("build", script, "--print", "--json").json
    assert planned["state"].startswith("would be built")
    assert not (kedge_home / "runs").exists()
    built = kedge_alone("build", script, "--json").json
    assert built["state"] == "built"
    assert built["environment"] == planned["environment"]
    assert Path(built["folder"]).is_dir()
    assert kedge_alone("build", script, "--json").json["state"] == "was ready"
    assert kedge_alone("build", script, "--print", "--json").json["state"] == "ready"
    assert "was ready" in kedge_alone("build", script).out
    (name,) = kedge_alone("inspect", script, "--json").json["functions"]
    assert name == "f"


SCRIPT = '# /// script\n# requires-python = ">=3.12"\n# dependencies = {}\n# ///\n'


def with_requirements(path: Path, *requirements: str) -> Path:
    """A script that needs these."""
    body = "def f() -> str:\n    import tomli_w\n    return tomli_w.dumps({'a': 1})\n"
    path.write_text(SCRIPT.format(json.dumps(requirements)) + body)
    return path


def test_a_lock_is_written_kept_and_renewed(kedge: Any, tmp_path: Path) -> None:
    script = with_requirements(tmp_path / "needs.py", "tomli-w>=1.1")
    locked = kedge("lock", script, "--json").json
    lock = Path(locked["lock"])
    assert lock == tmp_path / "needs.py.kedge.lock"
    assert [name.partition("==")[0] for name in locked["packages"]] == ["tomli-w"]
    before = lock.read_text()
    assert "--hash=sha256:" in before
    assert kedge("run", script, "--locked", "--json").json["result"] == "a = 1\n"
    assert lock.read_text() == before
    for upgrade in (["--upgrade"], ["--upgrade", "tomli-w"]):
        assert kedge("lock", script, *upgrade).out == f"{lock}: 1 package\n"

    with_requirements(script, "tomli-w==1.1.0")
    refused = kedge("run", script, "--locked", "--json", code=2)
    assert refused.json["error"]["code"] == "lock"
    assert lock.read_text() == before
    ended = kedge("run", script)
    assert "lock" in ended.err
    assert "tomli-w==1.1.0" in lock.read_text()


def test_a_lock_keeps_its_python_until_the_script_refuses_it(kedge: Any, tmp_path: Path) -> None:
    script = with_requirements(tmp_path / "needs.py", "tomli-w==1.2.0")
    newest = script.read_text()
    older = newest.replace(">=3.12", "==3.11.*")
    script.write_text(older)
    lock = Path(kedge("lock", script, "--json").json["lock"])
    before = lock.read_text()
    assert before.splitlines()[0].endswith(", Python 3.11")

    script.write_text(newest.replace(">=3.12", ">=3.9"))
    ran = kedge("run", script, "--locked", "--json").json
    assert ran["result"] == "a = 1\n"
    assert kedge("show", ran["_run"]["id"], "--json").json["interpreter"].startswith("3.11.")
    assert lock.read_text() == before

    script.write_text(newest)
    kedge("run", script, "--locked", code=2)
    kedge("run", script)
    assert not lock.read_text().splitlines()[0].endswith(", Python 3.11")


def test_there_is_nothing_to_lock_without_requirements(kedge: Any) -> None:
    assert kedge("lock", BOLTS).out == "nothing to lock: no requirements\n"
    assert kedge("lock", BOLTS, "--json").json["lock"] is None


def test_upgrading_what_is_not_locked_is_refused(kedge: Any, tmp_path: Path) -> None:
    script = with_requirements(tmp_path / "needs.py", "tomli-w==1.2.0")
    ended = kedge("lock", script, "--upgrade", "numppy", "--json", code=2)
    assert "numppy" in ended.json["error"]["message"]


@pytest.fixture
def silent_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The only package index takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        yield


@pytest.mark.parametrize("where", ["machine", "package"])
def test_preparing_ends_at_its_own_timeout(
    kedge_alone: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    silent_index: None,
    where: str,
) -> None:
    (tmp_path / "main.py").write_text("def f() -> int:\n    return 1\n")
    own = "build_timeout: 1.5, " if where == "package" else ""
    (tmp_path / "kedge.yml").write_text(
        f"name: slow\nruntime: {{kind: python, version: '3.12', {own}"
        "requirements: [kedge-is-not-there]}\nfunctions: {f: {handler: 'main:f'}}\n"
    )
    monkeypatch.setenv("KEDGE_ENVIRONMENT_BUILD_TIMEOUT", "1.5" if where == "machine" else "3600")
    began = time.monotonic()
    ended = kedge_alone("run", tmp_path, "--json", code=3)
    assert time.monotonic() - began < 60
    error = ended.json["error"]
    assert error["code"] == "environment_error"
    assert "took longer than 1.5 s" in error["message"] and "`build_timeout`" in error["hint"]
    (run,) = kedge_alone("runs", "--json").json
    assert run["status"] == "failed" and run["measured"]["preparing_s"] >= 1.5
