"""Outputs: what a function wrote against what it declared, all of it in one go."""

from pathlib import Path
from typing import Any

import pytest

from kedge.ports import Ports, check_outputs, declared_ports

OUTPUTS, _ = declared_ports(
    {
        "stress": "Stress[MPa]",
        "count": "Integer",
        "a-b": "Float?",
        "report": "File[pdf]",
        "plot": {"type": "File[png]", "required": False},
        "steps": "list[File[vtu]]",
        "case": "Folder",
    },
    "out",
)
VALUES: dict[str, Any] = {"stress": 132.7, "count": 3, "a-b": None}
FILES: dict[str, Any] = {
    "report": ["out/files/report.PDF"],
    "steps": ["out/files/steps/1.vtu", "out/files/steps/2.vtu"],
    "case": [],
}


def paths(values: Any, files: Any, declared: Ports = OUTPUTS) -> list[str | None]:
    problems = check_outputs(declared, values, files)
    assert all(problem.hint for problem in problems)
    return [problem.where.path if problem.where else None for problem in problems]


def test_outputs_that_honour_their_ports_have_no_problem() -> None:
    assert paths(VALUES, FILES) == []
    assert paths(VALUES, FILES | {"plot": "out/files/plot.png", "report": "report.pdf"}) == []
    assert paths(VALUES | {"undeclared": 1}, FILES | {"more": ["x.txt"]}) == []


def test_all_that_is_missing_is_named_at_once() -> None:
    assert paths({}, {}) == ["stress", "count", "a-b", "report", "steps", "case"]


def test_the_hint_for_a_wrong_extension_says_to_write_another() -> None:
    (problem,) = check_outputs(OUTPUTS, VALUES, FILES | {"report": ["report.txt"]})
    assert problem.hint == "write a file with the extension .pdf"


@pytest.mark.parametrize(
    ("values", "files", "path"),
    [
        ({"stress": "132.7 MPa"}, {}, "stress"),
        ({"stress": float("nan")}, {}, "stress"),
        ({"stress": None}, {}, "stress"),
        ({"count": 3.0}, {}, "count"),
        ({"report": "report.pdf"}, {}, "report"),
        ({"a_b": 1}, {}, "a_b"),
        ({}, {"report": ["report.txt"]}, "report"),
        ({}, {"report": ["report.pdf", "report.2.pdf"]}, "report"),
        ({}, {"report": []}, "report"),
        ({}, {"steps": ["1.vtu", "2.csv"]}, "steps"),
        ({}, {"stress": ["stress.txt"]}, "stress"),
        ({}, {"a_b": ["a_b.txt"]}, "a_b"),
    ],
)
def test_what_does_not_honour_a_port_is_one_problem(values: Any, files: Any, path: str) -> None:
    assert paths(VALUES | values, FILES | files) == [path]


@pytest.mark.parametrize("values", [None, [], 3, "x"])
def test_outputs_that_are_no_object_are_refused(values: Any) -> None:
    assert paths(values, FILES) == ["out/data.json"]


def test_open_outputs_take_any_value_under_a_name_that_a_port_may_have() -> None:
    anything = Ports(open={})
    assert paths({"a": {"b": [1]}, "c": "x"}, {"d": ["d.bin"]}, anything) == []
    assert paths({"_artifacts": 1}, {}, anything) == ["_artifacts"]
    assert paths({"a": [1, float("inf")]}, {}, anything) == ["a[1]"]
    assert paths({"a": 1}, {"a": ["a.txt"]}, anything) == ["a"]
    assert paths({"a": "x"}, {}, Ports(open={"type": "number"})) == ["a"]


def test_dates_and_the_short_names_of_a_torsor_are_honoured() -> None:
    declared, _ = declared_ports({"day": "Date", "load": "Torsor"}, "out")
    load = {"F": [1, 2, 3], "M": [1, 2, 3]}
    assert paths({"day": "2024-05-01", "load": load}, {}, declared) == []
    assert paths({"day": "soon", "load": load | {"x": 1}}, {}, declared) == ["day", "load.x"]


def test_an_array_that_was_written_is_opened_but_no_link_is_followed(tmp_path: Path) -> None:
    declared, _ = declared_ports({"field": "Array[float64, 1]"}, "out")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }\n"
    path, link = tmp_path / "field.npy", tmp_path / "link.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    link.symlink_to(path)
    assert paths({}, {"field": [str(path)]}, declared) == []
    assert paths({}, {"field": [str(link)]}, declared) == ["field"]
