"""Packages of kind image, on each engine: the same contract as everywhere, and nothing left behind."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

IMAGE = "localhost/kedge-test/debian:bookworm"
SHELL = Path(__file__).parents[1] / "packages" / "shell-image"


@pytest.fixture
def run(kedge_alone: Any, containers: Any, engine: Engine) -> Any:
    """Runs a function on the engine; afterwards no container of it is there."""

    def runs(function: str, *words: object, code: int = 0) -> Any:
        return kedge_alone(
            "run", SHELL, function, *words, "--executor", engine.kind, "--json", code=code
        )

    yield runs
    assert containers() == []


def test_files_values_progress_and_artifacts_cross_the_boundary(
    run: Any, kedge_alone: Any, tmp_path: Path
) -> None:
    mesh = tmp_path / 'a, "b" é.txt'
    mesh.write_text("nodes")
    ended = run("double", "x=21", f"mesh={mesh}")
    assert ended.json["y"] == 42
    assert Path(ended.json["copy"]["path"]).read_text() == "nodes"
    assert ended.json["_artifacts"]["note"]["size"] == 5
    assert "progress: 1/2 half" in ended.err
    record = kedge_alone("show", ended.json["_run"]["id"], "--json").json
    assert record["environment"].startswith("sha256:")
    assert record["measured"]["wall_s"] > 0
    logged = kedge_alone("logs", record["id"])
    assert "said on stdout" in logged.out and "said on stderr" in logged.err
    for place, _, names in os.walk(record["folder"]):
        assert all(os.stat(os.path.join(place, name)).st_uid == os.geteuid() for name in names)


def test_a_failure_for_want_of_the_network_says_that_it_is_off(run: Any) -> None:
    hint = "it ran without a network: `network: true` in the manifest"
    failed = run("fetches", code=1).json["error"]
    assert "gaierror" in failed["message"] and hint in failed["hint"]
    assert hint not in run("fetches", "--network", code=1).json["error"]["hint"]


def test_the_program_is_shut_in(run: Any) -> None:
    found = run("probe").json["found"]
    assert found["uid"] not in (0, None) and found["gid"] != 0
    assert found["groups"] in ([], [found["gid"]])
    assert int(found["capabilities"], 16) == int(found["bounding"], 16) == 0
    assert found["no_new_privileges"] == "1" and found["seccomp"] == "2"
    assert found["root"] != "done" and found["in"] != "done"
    assert found["scratch"] == found["tmp"] == "done"
    assert found["network"] != "done" and found["interfaces"] == ["lo"]
    assert found["own"] == "a b\nc" and found["home"] == "/workspace/scratch"
    assert found["workspace"] == ["in", "out", "scratch"]


@pytest.mark.parametrize(
    ("function", "code", "kind", "words"),
    [
        ("fails", 1, "function_error", "exit code 4: bad"),
        ("explains", 1, "function_error", "no convergence"),
        ("crashes", 1, "function_error", "SIGSEGV"),
        ("nowhere", 3, "start_failed", "/opt/nowhere"),
        ("owes", 1, "contract_error", "`y`"),
        ("eats", 1, "out_of_memory", "128 MiB"),
    ],
)
def test_each_failure_is_of_its_kind(
    run: Any, function: str, code: int, kind: str, words: str
) -> None:
    error = run(function, code=code).json["error"]
    assert (error["kind"], words in error["message"]) == (kind, True), error


def test_a_timeout_lets_the_program_tidy_up(run: Any, kedge_alone: Any) -> None:
    error = run("tidies", code=124).json["error"]
    assert error["kind"] == "timeout"
    record = kedge_alone("show", error["run"], "--json").json
    assert list(record["artifacts"]) == ["state"]


@pytest.mark.parametrize("whom", ["cancel", "face", "both"])
def test_whoever_is_ended_nothing_is_left(
    kedge_alone: Any, containers: Any, engine: Engine, whom: str
) -> None:
    process = kedge_alone.start("run", SHELL, "deaf", "--executor", engine.kind)
    for raw in process.stderr:
        if raw.startswith(b"progress: 1/1"):
            break
    (listed,) = kedge_alone("runs", "--json").json
    (name,) = containers()
    assert listed["id"] in name
    if whom == "cancel":
        began = time.monotonic()
        kedge_alone("cancel", listed["id"])
        assert time.monotonic() - began < 30
    else:
        supervisor = kedge_alone("show", listed["id"], "--json").json["pid"]
        if whom == "both":
            os.kill(supervisor, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    until = time.monotonic() + 30
    while kedge_alone("show", listed["id"], "--json").json["status"] == "running":
        assert time.monotonic() < until
    record = kedge_alone("show", listed["id"], "--json").json
    assert record["failure_kind"] == ("cancelled" if whom == "cancel" else "lost")
    while containers():
        assert time.monotonic() < until
    assert not (Path(record["folder"]) / "workspace").exists()


def test_an_image_that_is_not_there_is_said(
    kedge_alone: Any, engine: Engine, tmp_path: Path
) -> None:
    text = (SHELL / "kedge.yml").read_text().replace(IMAGE, "localhost/kedge-test/nothing:1")
    (tmp_path / "kedge.yml").write_text(text)
    ended = kedge_alone("run", tmp_path, "fails", "--executor", engine.kind, "--json", code=3)
    error = ended.json["error"]
    assert error["code"] == "environment_error"
    assert "localhost/kedge-test/nothing:1" in error["message"] and error["hint"]


def test_an_image_does_not_run_in_the_sandbox(kedge_alone: Any) -> None:
    ended = kedge_alone("run", SHELL, "fails", "--executor", "sandbox", code=2)
    assert "runs no images" in ended.err and "docker" in ended.err


def test_what_nobody_gave_has_its_default(kedge_alone: Any, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "kedge.yml").write_text(
        f"name: given\nruntime: {{kind: image, image: {IMAGE!r}}}\n"
        "functions:\n  f:\n"
        '    entrypoint: [sh, -c, "cp /workspace/in/data.json /workspace/out/artifacts/in; echo {} > /workspace/out/data.json"]\n'
        '    inputs: {length: {type: "Length[mm]", default: 210}, n: {type: Integer, default: 1},'
        " word: {type: String, required: false}}\n"
        "    outputs: {}\n"
    )
    ended = kedge_alone("run", tmp_path, "f", "n=2", "--executor", engine.kind, "--json").json
    given = json.loads(Path(ended["_artifacts"]["in"]["uri"].removeprefix("file://")).read_text())
    assert given == {"length": 210, "n": 2}
