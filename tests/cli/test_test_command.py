"""`kedge test`: a table for people, a report for machines, an exit code for both."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

CASES = Path(__file__).parents[1] / "packages" / "test-cases"


def test_a_table_has_one_line_a_case(kedge: Any) -> None:
    ended = kedge("test", CASES, "root")
    lines = ended.out.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("passed  root") for line in lines)
    assert ended.err.endswith("6 passed, 0 failed\n")


def test_failures_are_explained_and_reported(kedge: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    ended = kedge("test", CASES, "failing", "--junit", report, "-j", "1", code=1)
    assert ended.out.count("FAILED") == 3
    assert ended.out.count("passed") == 1
    assert "expected ValueError, and it succeeded" in ended.err
    assert "has no real square root" in ended.err
    suite = Xml.parse(report).getroot()
    assert (suite.tag, suite.attrib["tests"], suite.attrib["failures"]) == ("testsuite", "4", "3")
    assert [case.attrib["name"] for case in suite if len(case)] == [
        "wrong value",
        "should have failed",
        "fails unexpectedly",
    ]
    assert all(case.attrib["classname"] == "test-cases.failing" for case in suite)


def test_outcomes_as_json_name_their_runs(kedge: Any) -> None:
    document = kedge("test", CASES, "failing", "--json", code=1).json
    assert (document["passed"], document["failed"]) == (1, 3)
    for case in document["cases"]:
        record = kedge("show", case["run"], "--json").json
        assert record["function"] == "failing"
        assert case["passed"] == (not case["differences"])


def test_a_report_holds_any_text(kedge: Any, tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "tests").mkdir(parents=True)
    (package / "kedge.yml").write_text(
        'name: p\nruntime: {kind: python, version: "3.12"}\nfunctions: {f: {handler: "m:f"}}\n'
    )
    (package / "m.py").write_text(
        "def f(x: str) -> str:\n    raise ValueError('\\x1b[0m\\ufffe' + x)\n"
    )
    (package / "tests" / "test_f.json").write_text(
        '{"handler": "m:f", "test_cases": [{"name": "<\\u0001\\ud800>", "inputs": {"x": "&"}}]}'
    )
    kedge("test", package, "--junit", tmp_path / "r.xml", code=1)
    assert len(Xml.parse(tmp_path / "r.xml").getroot()) == 1


def test_a_report_that_cannot_be_written_is_refused(kedge: Any, tmp_path: Path) -> None:
    ended = kedge("test", CASES, "root", "--junit", tmp_path / "no" / "r.xml", "--json", code=2)
    assert ended.json["error"]["code"] == "usage"


def test_a_package_without_cases_says_how_to_write_some(kedge: Any) -> None:
    ended = kedge("test", CASES.parent / "seed-short", code=2)
    assert "has no test cases" in ended.err
    assert "testcases:" in ended.err
