"""`kedge run`: how values are given, and what comes back."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from kedge.executor import cgroups

PACKAGES = Path(__file__).parents[1] / "packages"
BOLTS = PACKAGES / "seed-short"

ECHO = """
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Bolt:
    d: float
    grade: str = "8.8"


def echo(value: Any = None) -> Any:
    return value


def text(value: str) -> str:
    return value


def number(value: float = 1.0, other: int = 2) -> dict[str, float]:
    return {"value": value, "other": other}


def bolt(bolt: Bolt) -> dict[str, Any]:
    return {"d": bolt.d, "grade": bolt.grade}


def read(file: Path) -> str:
    return file.read_text()
"""


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script whose functions give back what they are given."""
    script = tmp_path_factory.mktemp("echo") / "echo.py"
    script.write_text(ECHO)
    return script


@pytest.fixture(scope="session")
def result_schema() -> Any:
    """The published schema of `kedge run --json`."""
    from kedge.run.schema import result_schema

    return jsonschema_rs.validator_for(result_schema())


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        ("echo", ["value=12"], 12),
        ("echo", ['value=[1, {"a": null}]'], [1, {"a": None}]),
        ("echo", ["value=not json"], "not json"),
        ("echo", ["value=a=b"], "a=b"),
        ("text", ["value=12"], "12"),
        ("text", ["value="], ""),
        ("text", ["value=@@home"], "@home"),
        ("text", ["value=Träger 😀"], "Träger 😀"),
        ("text", ["value=-x"], "-x"),
    ],
)
def test_a_value_is_json_where_it_can_be_else_text(
    kedge: Any, echo: Path, function: str, given: list[str], expected: object
) -> None:
    assert kedge("run", f"{echo}:{function}", *given, "--json").json["result"] == expected


def test_fields_of_a_struct_are_given_one_by_one(kedge: Any, echo: Path) -> None:
    ended = kedge("run", echo, "bolt", "bolt.d=12", "bolt.grade=10.9", "--json").json
    assert (ended["d"], ended["grade"]) == (12.0, "10.9")


def test_a_file_is_given_by_its_path_with_or_without_a_sign(
    kedge: Any, echo: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("inside")
    for text in ("file=a.txt", "file=@a.txt", f"file={tmp_path / 'a.txt'}"):
        ended = kedge("run", echo, "read", text, "--json", cwd=tmp_path)
        assert ended.json["result"] == "inside"


def test_inputs_come_from_a_file_or_standard_input_and_words_win(
    kedge: Any, echo: Path, tmp_path: Path
) -> None:
    whole = json.dumps({"value": 3, "other": 4})
    (tmp_path / "in.json").write_text(whole)
    words = ["run", echo, "number", "--json", "--inputs"]
    assert kedge(*words, tmp_path / "in.json").json["other"] == 4
    ended = kedge(*words, "-", "value=5", input=whole.encode())
    assert (ended.json["value"], ended.json["other"]) == (5, 4)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "3", '{"value": NaN}', "\xff", "[" * 100_000, '{"value": 1e999}']
)
def test_inputs_that_are_no_object_are_refused(kedge: Any, echo: Path, text: str) -> None:
    ended = kedge(
        "run", echo, "number", "--inputs", "-", "--json", input=text.encode("latin-1"), code=2
    )
    assert ended.json["error"]["hint"]


def test_a_run_is_like_another_but_for_what_is_given(kedge: Any, echo: Path) -> None:
    first = kedge("run", echo, "number", "value=7", "other=8", "--json").json["_run"]["id"]
    ended = kedge("run", echo, "number", "--like", first, "other=9", "--json").json
    assert (ended["value"], ended["other"]) == (7, 9)


def test_outputs_are_one_json_object_of_the_published_schema(
    kedge: Any, tmp_path: Path, result_schema: Any
) -> None:
    source = tmp_path / "notes.txt"
    source.write_text("hello\n")
    given = [f"source={source}", "--out", tmp_path / "deep" / "results", "--json", "-v"]
    ended = kedge("run", PACKAGES / "file-in-file-out", "upper", *given)
    result_schema.validate(ended.json)
    assert ended.json["copy"]["size"] == 6
    assert len(ended.json["copy"]["sha256"]) == 64
    assert (tmp_path / "deep" / "results" / "copy.txt").read_text() == "HELLO\n"
    ended = kedge("run", PACKAGES / "progress-artifacts", "artifacts", "--json", "--out", tmp_path)
    result_schema.validate(ended.json)
    assert (tmp_path / "artifacts" / "plots" / "a.svg").read_text() == "<svg/>\n"


def test_results_that_cannot_be_copied_are_still_kept(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = ["--out", tmp_path / "file" / "below", "--json"]
    ended = kedge("run", PACKAGES / "progress-artifacts", "artifacts", *given, code=2)
    kept = ended.json["error"]["hint"].removeprefix("they are kept in ")
    assert (Path(kept) / "artifacts" / "log.txt").read_text() == "hello\n"


def test_outputs_for_people_have_units_and_errors_go_elsewhere(kedge: Any) -> None:
    ended = kedge("run", PACKAGES / "units", "area", "width=2 cm", "height=1")
    assert ended.out == "result  20.0 mm**2\n"
    assert "run " in ended.err


def test_quiet_says_nothing_and_verbose_names_the_run(kedge: Any) -> None:
    given = ["run", BOLTS, "sizing", "diameter_mm=12", "load_n=15000"]
    assert kedge(*given, "-q").err == ""
    assert "running sizing (run " in kedge(*given, "-v").err
    failed = kedge("run", PACKAGES / "raises", "raises", "-q", code=1)
    assert failed.err.count("Traceback") == 2  # the cause and the error, once each
    assert "error[function_error]" in failed.err
    assert failed.out == ""


def test_the_timeout_of_the_command_line_ends_a_run(kedge: Any) -> None:
    ended = kedge("run", PACKAGES / "stubborn", "sleeps", "--timeout", "0.5", "--json", code=124)
    assert ended.json["error"]["kind"] == "timeout"
    assert "0.5 s" in ended.json["error"]["message"]


@pytest.mark.parametrize(("text", "expected"), [("300", "300"), ("200m", "200"), ("1G", "1024")])
def test_memory_is_an_amount_with_or_without_its_unit(kedge: Any, text: str, expected: str) -> None:
    given = ["run", PACKAGES / "mecapy-manifest", "limits", "--memory", text, "--json"]
    assert kedge(*given).json["MECAPY_MEM_LIMIT_MB"] == expected


def test_the_workspace_is_kept_when_asked(kedge: Any) -> None:
    ended = kedge("run", PACKAGES / "progress-artifacts", "steps", "n=2", "--keep", "--json")
    record = kedge("show", ended.json["_run"]["id"], "--json").json
    workspace = Path(record["folder"]) / "workspace"
    assert json.loads((workspace / "in" / "data.json").read_text()) == {"n": 2}
    assert str(workspace) in json.dumps(record["warnings"])
    ended = kedge("run", PACKAGES / "progress-artifacts", "steps", "n=2", "--json")
    record = kedge("show", ended.json["_run"]["id"], "--json").json
    assert not (Path(record["folder"]) / "workspace").exists()


def test_progress_is_shown_as_lines_without_a_terminal(kedge: Any) -> None:
    ended = kedge("run", PACKAGES / "progress-artifacts", "steps", "n=3", "--json")
    assert "progress: 3/3 step 3" in ended.err


def test_a_zip_of_a_package_runs(kedge: Any, tmp_path: Path) -> None:
    archive = tmp_path / "bolts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("kedge.yml", "bolts.py"):
            file.write(BOLTS / name, f"bolts/{name}")
    given = ["run", archive, "sizing", "diameter_mm=12", "load_n=15000", "--json"]
    assert kedge(*given).json["stress_mpa"] == pytest.approx(132.69639, rel=1e-6)


def test_the_process_executor_runs_the_same(kedge: Any) -> None:
    given = ["run", BOLTS, "sizing", "diameter_mm=12", "load_n=15000", "--json"]
    one = kedge(*given, "--executor", "process").json
    record = kedge("show", one["_run"]["id"], "--json").json
    assert record["executor"] == "process"
    assert one["stress_mpa"] == kedge(*given, "--executor", "sandbox").json["stress_mpa"]


def test_the_network_is_there_when_the_caller_allows_it(kedge: Any) -> None:
    given = ["run", PACKAGES / "environment-variables", "seen", "--json"]
    assert kedge(*given, "--network").json["variables"]["SOLVER_MODE"] == "fast"


@pytest.mark.skipif(
    os.geteuid() != 0 or "pids" not in cgroups.look().available.controllers,
    reason="no control groups that count processes",
)
def test_a_run_that_reached_its_limit_of_processes_is_told_so(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(
        "import os, time\ndef f(n: int) -> int:\n"
        "    for _ in range(n):\n        if not os.fork():\n            time.sleep(3600)\n"
        "    raise ValueError('all were born')\n"
    )
    (tmp_path / "kedge.yml").write_text(
        'name: forks\nruntime: {kind: python, version: "3.12"}\n'
        "functions: {f: {handler: 'forks:f', resources: {memory_mb: 256, pids: 20}}}\n"
    )
    error = kedge("run", tmp_path, "n=100", "--json", code=1).json["error"]
    assert error["type"] == "BlockingIOError"
    assert error["hint"] == "it reached its limit of 20 processes; raise `pids` in resources"
    assert error["evidence"]["forks_refused"] == 1
    error = kedge("run", tmp_path, "n=5", "--json", code=1).json["error"]
    assert error["type"] == "ValueError"
    assert error["hint"] is None


def test_locked_refuses_to_resolve(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        '# /// script\n# dependencies = ["tomli-w==1.2.0"]\n# ///\ndef f() -> int:\n    return 1\n'
    )
    ended = kedge("run", tmp_path / "one.py", "--locked", "--json", code=2)
    assert ended.json["error"]["code"] == "lock"
    assert not list(tmp_path.glob("*.lock"))
