"""Machines that are full, closed, or wrong about the time: a clear error or a good run, and nothing lost."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
FINE = [PACKAGES / "hostile", "fine"]

CLOCK = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() - {days} * 86400
time.time_ns = lambda: _time_ns() - {days} * 86400 * 10**9
"""


@pytest.fixture
def on_a_disk(
    kedge_home: Path, tmp_path: Path, small_disk: Callable[[Path, str], list[str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs shell lines with a small disk mounted at KEDGE_HOME; `kedge` is the command line there."""
    word = tmp_path / "kedge"
    word.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kedge "$@"\n')
    word.chmod(0o755)

    def runs(script: str, size_kb: int) -> subprocess.CompletedProcess[str]:
        disk = small_disk(kedge_home, f"{size_kb}k")
        return subprocess.run(
            [*disk, "sh", "-c", script, "sh", *map(str, FINE)],
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            check=False,
            timeout=300,
        )

    return runs


@pytest.mark.parametrize("size_kb", [4, 64, 150, 250, 400, 700, 1200, 2000])
def test_a_full_disk_is_a_clear_error_and_room_heals_it(on_a_disk: Any, size_kb: int) -> None:
    done = on_a_disk(
        'kedge run "$@" --json > "$KEDGE_HOME.out" 2> "$KEDGE_HOME.err"; echo "code $?"\n'
        'cat "$KEDGE_HOME.out" "$KEDGE_HOME.err"\n'
        'mount -o remount,size=200m "$KEDGE_HOME"\n'
        'kedge run "$@" --json 2>&1 | grep result && kedge runs 2>&1',
        size_kb,
    )
    assert "Traceback" not in done.stdout, done.stdout
    first, _, rest = done.stdout.partition("\n")
    if first == "code 3":
        assert '"hint": "' in rest
        assert (
            '"code": "store"' in rest or '"environment_error"' in rest or '"start_failed"' in rest
        )
    else:
        assert first == "code 0", done.stdout
    assert '"result": 1' in rest, done.stdout
    assert done.returncode == 0, done.stdout


def test_a_disk_that_becomes_full_meanwhile_is_out_of_disk_on_record(on_a_disk: Any) -> None:
    package, _ = FINE
    done = on_a_disk(
        f"kedge run '{package}' fine > /dev/null\n"
        f"kedge run '{package}' fill mb=150 --json; echo \"code $?\"\n"
        f"kedge show last --json && kedge run '{package}' fine",
        100 << 10,
    )
    assert "in the supervisor" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert "code 1" in done.stdout, done.stdout
    assert '"failure_kind": "out_of_disk"' in done.stdout, done.stdout


def test_a_home_that_is_read_only(tmp_path: Path, own_mounts: list[str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = {name: text for name, text in os.environ.items() if name != "KEDGE_HOME"}
    env = {name: text for name, text in env.items() if not name.startswith("XDG_")}
    command = f"mount --bind '{home}' '{home}' && mount -o remount,ro,bind '{home}' && exec \"$@\""
    done = subprocess.run(
        [
            *own_mounts,
            "sh",
            "-c",
            command,
            "sh",
            sys.executable,
            "-m",
            "kedge",
            "run",
            *map(str, FINE),
        ],
        env=env | {"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error[store]: ")
    assert "hint: set KEDGE_HOME to a folder that you can write to" in done.stderr


@pytest.mark.parametrize("place", ["/proc/kedge", "/dev/null", "/dev/null/kedge"])
def test_a_kedge_home_that_cannot_be_written(
    kedge_alone: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("KEDGE_HOME", place)
    for command in (["run", *FINE], ["runs"], ["show", "last"], ["logs", "last"]):
        said = kedge_alone(*command, code=3).err
        assert said.startswith("error[store]: ")
        assert "hint: " in said


def test_a_clock_that_was_set_back(
    kedge_alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kedge_alone("run", *FINE, "--json").json["_run"]["id"]
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(days=20))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"))
    second = kedge_alone("run", *FINE, "--json").json["_run"]["id"]
    runs = kedge_alone("runs", "--json").json
    assert [run["id"] for run in runs] == [second, first]
    assert runs[0]["created"] < runs[1]["created"]  # as its clock had it
    assert kedge_alone("show", "last", "--json").json["id"] == second
    for run in runs:
        assert all(value >= 0 for value in run["measured"].values() if value is not None)
        assert run["status"] == "succeeded"
    kedge_alone("gc")
    assert len(kedge_alone("runs", "--json").json) == 2


def test_a_run_of_an_earlier_boot_is_settled(kedge_alone: Any, kedge_home: Path) -> None:
    run = kedge_alone("run", *FINE, "--json").json["_run"]["id"]
    with sqlite3.connect(kedge_home / "kedge.db") as database:
        database.execute(
            "UPDATE runs SET status = 'running', boot_id = 'another', ended = NULL WHERE id = ?",
            (run,),
        )
    database.close()
    folder = kedge_home / "runs" / run
    (folder / "workspace" / "scratch").mkdir(parents=True)
    os.mkfifo(folder / "control")
    record = kedge_alone("show", run, "--json").json
    assert record["failure_kind"] == "lost"
    assert "the machine was restarted" in record["failure"]["message"]
    assert sorted(os.listdir(folder)) == ["log"]


def test_too_few_open_files(kedge_alone: Any) -> None:
    kedge_alone("run", *FINE)
    refused = []
    for number in range(14, 46, 5):  # where it ends differs: looking, staging, starting
        bounded = ("sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", *kedge_alone.words)
        ended = subprocess.run(
            [*bounded, "run", *FINE], capture_output=True, text=True, timeout=600
        )
        assert "Traceback" not in ended.stderr
        if ended.returncode:
            assert ended.returncode == 3, ended.stderr
            assert "Too many open files" in ended.stderr and "hint: " in ended.stderr
            refused.append(number)
    assert len(refused) >= 4
    runs = kedge_alone("runs", "--json").json
    assert {run["status"] for run in runs} == {"succeeded", "failed"}
    kedge_alone("run", *FINE)
