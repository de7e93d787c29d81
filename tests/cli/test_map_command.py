"""`kedge map`: one function over a table, bounded, resumable, every row in the table of results."""

import csv
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 120.0

SCRIPT = """
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kedge


@dataclass
class Bolt:
    d: float
    grade: str = "8.8"


def area(width: float, height: float = 2.0) -> float:
    if width < 0:
        raise ValueError("a negative width")
    return width * height


def bolt(bolt: Bolt, factor: float = 1.0) -> dict[str, Any]:
    return {"d": bolt.d * factor, "grade": bolt.grade}


def lines(file: Path) -> dict:
    copy = kedge.out_path("copy", ".txt")
    Path(copy).write_text(file.read_text())
    return {"count": len(file.read_text().splitlines())}


def slow(width: float) -> float:
    time.sleep(1000 if width > 10 else 0)
    return width


def spans(number: int) -> list[float]:
    start = time.time()
    time.sleep(0.5)
    return [start, time.time()]
"""

PACKAGE = """
name: shapes
runtime: {kind: python, version: "3.12"}
resources: {cpu: 1, memory_mb: 256}
functions:
  area:
    handler: shapes:area
    inputs: {width: "Length[mm]", height: {type: "Length[mm]", default: 2.0}}
  bolt:
    handler: shapes:bolt
  lines:
    handler: shapes:lines
    inputs: {file: "File[txt]"}
    outputs: {count: Integer, copy: "File[txt]"}
  slow:
    handler: shapes:slow
  spans:
    handler: shapes:spans
  secret:
    handler: shapes:area
    inputs: {width: Float, height: Float, token: {type: Secret, required: false}}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "shapes.py").write_text(SCRIPT)
    (folder / "kedge.yml").write_text(PACKAGE)
    return folder


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return tmp_path / "cases.csv"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def rows(path: Path) -> list[dict[str, str]]:
    """A table of results."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_is_run_and_stands_in_the_results_in_its_order(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width,height\n1,3\n2 cm,\n-1,1\n4,1\n")
    ended = kedge("map", package, "area", "--inputs", cases, "--out", out, "-j", 2, code=1)
    found = rows(out)
    assert [(row["width"], row["result"], row["_status"]) for row in found] == [
        ("1", "3.0", "succeeded"),
        ("2 cm", "40.0", "succeeded"),
        ("-1", "", "failed"),
        ("4", "4.0", "succeeded"),
    ]
    assert list(found[0]) == ["width", "height", "result", "_status", "_run", "_wall_s", "_error"]
    assert "a negative width" in found[2]["_error"] and found[0]["_error"] == ""
    assert "3 succeeded, 1 failed" in ended.err and "row 3: function_error" in ended.err
    record = kedge("show", found[1]["_run"], "--json").json
    assert record["inputs"] == {"width": 20.0} and record["status"] == "succeeded"


def test_of_many_failed_rows_the_first_are_told_and_the_others_counted(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n" + "-1\n" * 7)
    said = kedge("map", package, "area", "--inputs", cases, "--out", out, code=1).err
    assert said.count("a negative width") == 5
    assert f"\nand 2 more: see `_error` in {out}\n" in said


def test_the_same_command_again_runs_only_what_has_not_succeeded(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n-1\n3\n")
    command = ("map", package, "area", "--inputs", cases, "--out", out, "--json")
    assert kedge(*command, code=1).json == {
        "total": 3, "succeeded": 2, "failed": 1, "skipped": 0, "out": str(out)
    }  # fmt: skip
    first = rows(out)
    again = kedge(*command, code=1).json
    assert (again["succeeded"], again["failed"], again["skipped"]) == (0, 1, 2)
    second = rows(out)
    assert [second[0], second[2]] == [first[0], first[2]]
    assert second[1]["_run"] != first[1]["_run"]

    cases.write_text("width\n5\n3\n1\n1\n")  # in another order, with one more of the same
    third = kedge(*command).json
    assert (third["succeeded"], third["skipped"]) == (2, 2)
    assert [row["result"] for row in rows(out)] == ["10.0", "6.0", "2.0", "2.0"]
    assert rows(out)[1]["_run"] == first[2]["_run"]


def test_a_changed_package_runs_again(kedge: Any, package: Path, cases: Path, out: Path) -> None:
    cases.write_text("width\n1\n")
    command = ("map", package, "area", "--inputs", cases, "--out", out, "--json")
    kedge(*command)
    (package / "shapes.py").write_text(SCRIPT.replace("width * height", "7.0"))
    assert kedge(*command).json["skipped"] == 0
    assert rows(out)[0]["result"] == "7.0"


def test_a_changed_input_file_runs_again_and_paths_count_from_the_tables_folder(
    kedge: Any, package: Path, tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "a.txt").write_text("one\n")
    (tables / "b.txt").write_text("one\ntwo\n")
    (tables / "cases.csv").write_text("file\na.txt\nb.txt\n")
    out = tmp_path / "results.csv"
    command = ("map", package, "lines", "--inputs", tables / "cases.csv", "--out", out, "--json")
    kedge(*command)
    first = rows(out)
    assert [row["count"] for row in first] == ["1", "2"]
    assert Path(first[0]["copy"]).read_text() == "one\n"
    (tables / "a.txt").write_text("one\ntwo\nthree\n")
    Path(first[1]["copy"]).unlink()
    assert kedge(*command).json["skipped"] == 0
    assert [row["count"] for row in rows(out)] == ["3", "2"]
    assert kedge(*command).json["skipped"] == 2


def test_columns_are_fields_and_words_are_for_all_rows(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text('bolt.d,bolt.grade\n12,\n16,"10.9"\n')
    kedge("map", package, "bolt", "factor=2", "--inputs", cases, "--out", out)
    found = [(row["d"], row["grade"]) for row in rows(out)]
    assert found == [("24.0", "8.8"), ("32.0", "10.9")]


def test_json_lines_in_and_out(kedge: Any, package: Path, tmp_path: Path) -> None:
    cases, out = tmp_path / "cases.jsonl", tmp_path / "results.jsonl"
    cases.write_text('{"width": 1}\n\n{"width": "2 cm", "height": 1}\n')
    kedge("map", package, "area", "--inputs", cases, "--out", out)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["result"] for row in found] == [2.0, 20.0]
    assert found[1] | {"_run": "", "_wall_s": 0} == {
        "width": "2 cm", "height": 1, "result": 20.0,
        "_status": "succeeded", "_run": "", "_wall_s": 0, "_error": None,
    }  # fmt: skip
    again = kedge("map", package, "area", "--inputs", cases, "--out", out, "--json").json
    assert again["skipped"] == 2


def test_everything_wrong_is_told_at_once_with_rows_before_anything_starts(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width,height,colour\n1,2,red\nwide,2,red\n1,1 kg,red\n1\n")
    ended = kedge("map", package, "area", "--inputs", cases, "--out", out, "--json", code=2)
    told = [problem["message"] for problem in ended.json["error"]["problems"]]
    assert len(told) == 4
    assert "`colour`" in told[0]
    assert told[1].startswith("row 2: `width`") and told[2].startswith("row 3:")
    assert "3 columns" in told[3] and told[3].startswith("row 4")
    assert not out.exists()


def test_a_table_of_wrong_rows_is_told_by_the_first_and_their_number(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n" + "wide\n" * 200)
    ended = kedge("map", package, "area", "--inputs", cases, "--out", out, code=2)
    assert ended.err.count("error[input]") == 21 and "and 180 more" in ended.err


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("height\n1\n", "no column gives the input `width`"),
        ("width;height\n1;2\n", "separated by semicolons"),
        ("width,width\n1,2\n", "stands there twice"),
        ('width\n"1\n', "cannot be read"),
    ],
)
def test_a_table_that_is_none_is_told(
    kedge: Any, package: Path, cases: Path, out: Path, table: str, said: str
) -> None:
    cases.write_text(table)
    assert said in kedge("map", package, "area", "--inputs", cases, "--out", out, code=2).err


def test_a_file_that_is_no_table_of_results_is_never_overwritten(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n")
    out.write_text("mine,and mine alone\n1,2\n")
    ended = kedge("map", package, "area", "--inputs", cases, "--out", out, code=2)
    assert "no table of results" in ended.err and out.read_text().startswith("mine")
    assert (
        "overwrite" in kedge("map", package, "area", "--inputs", cases, "--out", cases, code=2).err
    )
    out.unlink()
    kedge("map", package, "area", "--inputs", cases, "--out", out)
    other = kedge("map", package, "slow", "--inputs", cases, "--out", out, code=2)
    assert "shapes#area" in other.err


def test_secrets_are_masked(kedge: Any, package: Path, cases: Path, out: Path) -> None:
    cases.write_text("width,height,token\n1,2,sesame\n")
    (package / "shapes.py").write_text(
        SCRIPT.replace("height: float = 2.0)", "height: float = 2.0, token: str = '')")
    )
    ended = kedge("map", package, "secret", "--inputs", cases, "--out", out)
    assert rows(out)[0]["token"] == "***"
    assert "sesame" not in out.read_text() + ended.out + ended.err


def test_fail_fast_stops_at_the_first_failure(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n-1\n1\n2\n3\n")
    command = ("map", package, "area", "--inputs", cases, "--out", out, "-j", 1, "--json")
    stopped = kedge(*command, "--fail-fast", code=1).json
    assert (stopped["failed"], stopped["succeeded"]) == (1, 0)
    assert kedge(*command, code=1).json["succeeded"] == 3


def test_never_more_than_jobs_run_at_once(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("number\n" + "".join(f"{number}\n" for number in range(6)))
    kedge("map", package, "spans", "--inputs", cases, "--out", out, "-j", 2)
    moments = []
    for row in rows(out):
        start, end = json.loads(row["result"])
        moments += [(start, 1), (end, -1)]
    at_once = most = 0
    for _, change in sorted(moments):
        at_once += change
        most = max(most, at_once)
    assert most == 2


def until_started(kedge: Any, package: Path, number: int) -> None:
    """Wait until so many rows of `slow` are at work."""
    until = time.monotonic() + PATIENCE_S
    while True:
        if len(kedge.runs_of(package, "--status", "running")) >= number:
            return
        assert time.monotonic() < until


def test_ctrl_c_cancels_what_runs_and_the_same_command_goes_on(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n100\n2\n3\n")
    command = ("map", package, "slow", "--inputs", cases, "--out", out, "-j", 1)
    running = kedge.start(*command)
    while len(rows(out) if out.exists() else []) < 1:
        time.sleep(0.02)
    until_started(kedge, package, 1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, said
    assert [row["_status"] for row in rows(out)] == ["succeeded", "cancelled"]
    assert b"not run yet" in said

    cases.write_text("width\n1\n2\n3\n")
    again = kedge(*command, "--json").json
    assert (again["skipped"], again["succeeded"]) == (1, 2)


def test_a_kill_leaves_a_table_that_can_be_read_and_what_succeeded_is_not_run_again(
    kedge_alone: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n2\n100\n3\n")
    command = ("map", package, "slow", "--inputs", cases, "--out", out, "-j", 1)
    running = kedge_alone.start(*command)
    while len(rows(out) if out.exists() else []) < 2:
        time.sleep(0.02)
    until_started(kedge_alone, package, 1)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for process in map(int, children):  # first its supervisor, which would write one more row
        os.kill(process, signal.SIGKILL)
    running.kill()
    running.communicate()
    assert [row["result"] for row in rows(out)] == ["1.0", "2.0"]
    with open(out, "a") as file:  # the half of a row, as a full disk or a power cut may leave it
        file.write('3,"3.')
    cases.write_text("width\n1\n2\n3\n")
    again = kedge_alone(*command, "--json").json
    assert (again["skipped"], again["succeeded"]) == (2, 1)
    assert [row["result"] for row in rows(out)] == ["1.0", "2.0", "3.0"]


def test_a_run_whose_row_was_not_written_any_more_is_known_by_its_record(
    kedge_alone: Any, package: Path, cases: Path, out: Path, kedge_home: Path
) -> None:
    cases.write_text("width\n1\n2\n")
    command = ("map", package, "area", "--inputs", cases, "--out", out, "-j", 1)
    kedge_alone(*command)
    whole = out.read_text().splitlines(keepends=True)
    (journal,) = (kedge_home / "sweeps").iterdir()
    journal.write_text(f"{rows(out)[1]['_run']}\ntorn")
    out.write_text("".join(whole[:2]))  # as when the kill came before the second row
    again = kedge_alone(*command, "--json").json
    assert (again["skipped"], again["succeeded"]) == (2, 0)
    assert out.read_text() == "".join(whole)


def test_a_table_or_a_row_that_is_removed_is_run_again(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n2\n")
    command = ("map", package, "area", "--inputs", cases, "--out", out, "--json")
    kedge(*command)
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:2]))
    assert kedge(*command).json["succeeded"] == 1
    out.unlink()
    assert kedge(*command).json["succeeded"] == 2


def test_two_commands_never_write_one_table(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n100\n")
    command = ("map", package, "slow", "--inputs", cases, "--out", out)
    first = kedge.start(*command)
    until_started(kedge, package, 1)
    assert "another `kedge map`" in kedge(*command, code=3).err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE_S)


def test_progress_is_a_live_line_on_a_terminal(
    kedge: Any, package: Path, cases: Path, out: Path
) -> None:
    cases.write_text("width\n1\n-1\n")
    master, slave = pty.openpty()
    running = subprocess.Popen(
        [*kedge.words, "map", str(package), "area", "--inputs", str(cases), "--out", str(out)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(slave)
    said = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        said += data
    os.close(master)
    assert running.wait() == 1
    assert b"running area" in said and b"(2/2)" in said and b"1 failed" in said


def test_rows_that_differ_in_a_secret_alone_are_not_taken_for_one_another(
    kedge: Any, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "m.py").write_text(
        "def f(x: float, token: str) -> str:\n"
        "    if token == 'bad':\n        raise ValueError('bad')\n    return f'of {token}'\n"
    )
    (tmp_path / "kedge.yml").write_text(
        'name: tokens\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {f: {handler: "m:f", inputs: {x: Float, token: Secret}}}\n'
    )
    table = tmp_path / "cases.csv"
    table.write_text("x,token\n1,bad\n1,good\n")
    for _ in range(2):
        kedge("map", tmp_path, "f", "--inputs", table, "--out", out, code=1)
        assert [row["result"] for row in rows(out)] == ["", "of good"]
