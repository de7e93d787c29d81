"""`kedge runs`, `show`, `logs`: what is known of the runs there were, and of one that goes on."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from kedge.run.schema import run_schema

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = ["run", PACKAGES / "seed-short", "sizing", "diameter_mm=12"]


def test_runs_are_listed_and_filtered(kedge_alone: Any) -> None:
    kedge = kedge_alone
    assert kedge("runs").out == ""
    assert kedge("runs", "--json").json == []
    for load in ("1", "2"):
        kedge(*BOLTS, f"load_n={load}")
    kedge("run", PACKAGES / "raises", "raises", code=1)

    listed = kedge("runs", "--json").json
    assert [run["function"] for run in listed] == ["raises", "sizing", "sizing"]
    assert [run["inputs"].get("load_n") for run in listed[1:]] == [2, 1]
    for words, number in (
        (["-n", "2"], 2),
        (["--package", "bolt-sizing"], 2),
        (["--function", "raises"], 1),
        (["--status", "failed"], 1),
        (["--status", "succeeded", "--function", "raises"], 0),
    ):
        assert len(kedge("runs", "--json", *words).json) == number
    table = kedge("runs").out.splitlines()
    assert table[0].split()[0] == "run"
    assert "function_error" in table[1] and "raises raises" in table[1]

    last = kedge("show", "last", "--json").json
    assert last == listed[0]
    assert kedge("show", listed[1]["id"][:8], "--json").json == listed[1]
    assert kedge("show", listed[1]["id"].upper(), "--json").json == listed[1]


@pytest.mark.parametrize(
    ("package", "function", "code"),
    [
        ("seed-short", "sizing", 2),
        ("raises", "raises", 1),
        ("raises", "unserialisable", 1),
        ("progress-artifacts", "artifacts", 0),
        ("impossible-pin", "never", 3),
    ],
)
def test_records_honour_the_published_schema(
    kedge_alone: Any, package: str, function: str, code: int
) -> None:
    kedge_alone("run", PACKAGES / package, function, code=code)
    if code == 2:
        kedge_alone(*BOLTS, "load_n=3")
    record = kedge_alone("show", "last", "--json").json
    jsonschema_rs.validator_for(run_schema()).validate(record)
    assert record["status"] == ("failed" if code in (1, 3) else "succeeded")


def test_a_record_for_people_has_inputs_outputs_and_the_failure(kedge: Any) -> None:
    good = kedge(*BOLTS, "load_n=15000", "--json").json["_run"]["id"]
    shown = kedge("show", good).out
    for words in ("succeeded", "bolt-sizing#sizing", "input load_n", "output stress_mpa", "132.69"):
        assert words in shown
    bad = kedge("run", PACKAGES / "raises", "raises", "--json", code=1).json["error"]["run"]
    shown = kedge("show", bad)
    assert "function_error: " in shown.out
    assert "the screw cannot carry" in shown.out
    assert "in divide" in shown.err


def test_logs_keep_streams_and_bytes_apart(kedge: Any) -> None:
    run = kedge("run", PACKAGES / "print-flood", "both", "n=3", "--json").json["_run"]["id"]
    ended = kedge("logs", run)
    assert ended.out == "out 0\nout 1\nout 2\n"
    assert ended.err == "err 0\nerr 1\nerr 2\n"
    lines = kedge("logs", run, "--json").json
    assert {line["stream"] for line in lines} == {"stdout", "stderr"}
    run = kedge("run", PACKAGES / "print-flood", "bytes", "--json").json["_run"]["id"]
    raw = subprocess.run([*kedge.words, "logs", run], capture_output=True, check=True).stdout
    assert raw == b"caf\xe9 \xff\xfe \x1b[31mred\x1b[0m\n"


def test_logs_follow_a_run_that_goes_on(kedge_alone: Any, tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(
        "import time\ndef f() -> None:\n    print('first', flush=True)\n    time.sleep(3600)\n"
    )
    run = kedge_alone.start("run", script, "-v")
    assert run.stderr is not None
    while not (line := run.stderr.readline()).startswith(b"first"):
        assert line, "the run ended"
    follower = kedge_alone.start("logs", "last", "-f")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"first\n"
    assert follower.poll() is None
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(60) == 130
    follower.communicate(timeout=60)
    assert follower.returncode == 0
    run.communicate()
