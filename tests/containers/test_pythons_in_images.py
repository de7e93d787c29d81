"""The runner on the Pythons of the base images: the same answers, files and failures in each."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

RUNNER = Path(__file__).parents[2] / "src" / "kedge" / "contract" / "runner.py"
RUN_LIMIT_S = 60.0
PYTHONS = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13", "forky": "3.14"}

MODULE = """\
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import kedge


@dataclass
class Load:
    day: date
    newtons: float


def total(mesh: Path, loads: list) -> dict:
    for step, line in enumerate(mesh.read_text().splitlines(), 1):
        kedge.progress(step, 2, line)
    target = kedge.out_path("copy", ".txt")
    target.write_text(mesh.read_text().upper())
    last = Load(date(2024, 2, 29), sum(loads))
    return {
        "python": "%d.%d" % sys.version_info[:2],
        "total": sum(loads),
        "last": last,
        "copy": target,
    }


def fails(load: float) -> float:
    raise OverflowError("too much: %g" % load)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with the module and a file for it."""
    for name in ("in/files", "out/files", "out/artifacts", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "in" / "files" / "mesh.txt").write_text("first\nsecond\n")
    return tmp_path


@pytest.fixture
def run(any_engine: Engine, base_image: Any, workspace: Path) -> Any:
    """Calls a function of the module by the runner, on a base image's own Python."""

    def runs(suite: str, function: str, values: dict[str, Any], **instructions: Any) -> Any:
        (workspace / "in" / "data.json").write_text(json.dumps(values))
        told = {"handler": f"module:{function}", "convert": [], **instructions}
        return subprocess.run(
            [
                *(any_engine.path, "run", "--rm", "--network", "none"),
                *("--user", f"{os.geteuid()}:{os.getegid()}", "--cap-drop", "ALL", "--read-only"),
                *("--volume", f"{workspace}:/workspace", "--workdir", "/workspace"),
                *("--volume", f"{RUNNER}:/runner.py:ro", "--env", "KEDGE_WORKSPACE=/workspace"),
                *(base_image(any_engine, suite), "python3", "-I", "-B", "/runner.py", "run"),
                json.dumps(told),
            ],
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
        )

    return runs


@pytest.mark.parametrize(("suite", "version"), PYTHONS.items())
def test_values_files_and_progress_cross_the_boundary(
    run: Any, workspace: Path, suite: str, version: str
) -> None:
    value = {"kind": "value", "extensions": []}
    ended = run(
        suite,
        "total",
        {"loads": [1.5, 2]},
        inputs={"mesh": "file"},
        outputs={
            **dict.fromkeys(("python", "total", "last"), value),
            "copy": {"kind": "file", "extensions": ["txt"]},
        },
        open=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads((workspace / "out" / "data.json").read_text()) == {
        "python": version,
        "total": 3.5,
        "last": {"day": "2024-02-29", "newtons": 3.5},
    }
    assert (workspace / "out" / "files" / "copy.txt").read_text() == "FIRST\nSECOND\n"
    lines = (workspace / "out" / "progress.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(one["step"], one["total"], one["message"]) for one in told] == [
        (1, 2, "first"),
        (2, 2, "second"),
    ]


@pytest.mark.parametrize("suite", PYTHONS)
def test_an_exception_is_told_with_the_authors_frames(
    run: Any, workspace: Path, suite: str
) -> None:
    ended = run(suite, "fails", {"load": 3}, inputs={}, outputs={}, open=True)
    assert ended.returncode == 1
    error = json.loads((workspace / "out" / "_runner_error.json").read_text())
    assert (error["type"], error["error"]) == ("OverflowError", "too much: 3")
    lines = error["traceback"].splitlines()
    assert lines[1].endswith('module.py", line 30, in fails') and "runner" not in error["traceback"]
    assert not (workspace / "out" / "data.json").exists()
