"""Inputs: what is coerced, what is refused, and what the refusal says."""

import datetime
import io
import math
import os
from pathlib import Path
from typing import Any

import pytest

from kedge.errors import Problem
from kedge.ports import Ports, check_inputs, declared_ports, mask


def ports(**types: Any) -> Ports:
    found, problems = declared_ports(
        {name.replace("__", "-"): one for name, one in types.items()}, "in"
    )
    assert problems == [], problems
    return found


def refused(declared: Any, value: Any) -> Problem:
    _, problems = check_inputs(ports(x=declared), {"x": value})
    assert len(problems) == 1, problems
    assert problems[0].hint
    return problems[0]


def taken(declared: Any, value: Any) -> Any:
    values, problems = check_inputs(ports(x=declared), {"x": value})
    assert problems == [], problems
    return values["x"]


@pytest.mark.parametrize(
    ("declared", "value", "result"),
    [
        ("Float", 3, 3.0),
        ("Numeric", 3, 3),
        ("Integer", 3, 3),
        ("Length[mm]", "12 mm", 12.0),
        ("Length[mm]", "1.2cm", 12.0),
        ("Length[m]", "0.1 mm", 0.0001),
        ("Length[mm]", "1/2 in".replace("1/2", ".5"), 12.7),
        ("Stress[MPa]", "250 N/mm2", 250.0),
        ("Temperature[degC]", "300 K", 26.85),
        ("Angle", "180 deg", math.pi),
        ("Integer[mm]", "1.2 cm", 12),
        ("list[Force[kN]]", [1, "500 N"], [1.0, 0.5]),
        ("{d: Length[mm], n: Integer?}", {"d": "1 cm", "n": None}, {"d": 10.0, "n": None}),
        ("dict[str, Float]", {"a": 1}, {"a": 1.0}),
        ("Float?", None, None),
        (
            "Torsor",
            {"F": [1, 2, 3], "M": [0, 0, 0]},
            {"force": [1.0, 2.0, 3.0], "moment": [0.0] * 3},
        ),
        ("Date", "2024-05-01", "2024-05-01"),
        ("Date", datetime.date(2024, 5, 1), "2024-05-01"),
        ("DateTime", "2024-05-01T12:00Z", "2024-05-01T12:00:00+00:00"),
        ("DateTime", datetime.datetime(2024, 5, 1, 12), "2024-05-01T12:00:00"),
        ("Duration", "PT1.5H30M".replace("1.5H", "1H"), "PT1H30M"),
        ("Duration", datetime.timedelta(days=1, seconds=1.5), "P1DT1.5S"),
        ("Duration", datetime.timedelta(seconds=-90), "-PT90S"),
        ("literal[a, 1]", 1, 1),
        ("Any", {"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
        ("Object", [1], [1]),
        ("Vector3", (1, 2, 3), [1.0, 2.0, 3.0]),
    ],
)
def test_a_value_becomes_what_its_port_means(declared: Any, value: Any, result: Any) -> None:
    found = taken(declared, value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("declared", "value", "sentence"),
    [
        ("Length[mm]", "12 kg", "`12 kg` is a mass; `x` is a length in mm"),
        ("Float[mm^4]", "12 mm", "`12 mm` is a length; `x` is a quantity of length^4 in mm^4"),
        ("Length[mm]", "12", '`x` is the text "12"; a length in mm is expected'),
        ("Length[mm]", "12 mmm", "`x` is `12 mmm`: `mmm` is not a unit"),
        ("Float", "12", '`x` is the text "12"; a number is expected'),
        ("Float", "12 mm", '`x` is the text "12 mm"; a number is expected'),
        ("Float", True, "`x` is true; a number is expected"),
        ("Float", math.nan, "`x` is nan, which is not a number that JSON has"),
        ("Float", math.inf, "`x` is inf, which is not a number that JSON has"),
        ("Float", 10**400, "`x` is too large a number"),
        ("Float", "1e999 mm", '`x` is the text "1e999 mm"; a number is expected'),
        ("Integer", 3.0, "`x` is 3.0, a Float; a whole number is expected"),
        ("Integer[mm]", "1.25 cm", "`x` is `1.25 cm`, 12.5 mm; a whole number in mm is expected"),
        ("String", 12, "`x` is 12; text is expected"),
        ("String", "\ud800", "`x` is text that is not valid Unicode"),
        ("String", None, "`x` is null; text is expected"),
        ("Boolean", "yes", '`x` is the text "yes"; true or false is expected'),
        ("Date", "2024-02-30", '`x` is the text "2024-02-30"; a date as YYYY-MM-DD is expected'),
        ("DateTime", "2024-02-03", None),
        ("Duration", "1 h", None),
        ("literal[a, b]", "c", '`x` is the text "c"; one of a, b is expected'),
        ("literal[1, 2]", "1", '`x` is the text "1"; one of 1, 2 is expected'),
        ("literal[1]", True, "`x` is true; one of 1 is expected"),
        ("list[Float]", 3, "`x` is 3; a list (list[Float]) is expected"),
        ("Vector3", [1, 2], "`x` has 2 items; exactly 3 items are expected"),
        ("Matrix", [[1, 2], [3]], "`x` has rows of 1 and 2 numbers; a Matrix is expected"),
        ({"type": "Length[mm]", "minimum": 1}, 0.5, "`x` is 0.5 mm; it must be at least 1 mm"),
        ({"type": "Float?", "maximum": 1}, 2, "`x` is 2; it must be at most 1"),
        ("Float", {1, 2}, "`x` is a Python `set`; a number is expected"),
        ("Any", b"x", "`x` is a Python `bytes`; any value is expected"),
        ("Any", {1: 2}, "`x` has the key `1`, which is not text"),
    ],
)
def test_what_a_port_does_not_take_is_said_in_one_sentence(
    declared: Any, value: Any, sentence: str | None
) -> None:
    problem = refused(declared, value)
    assert problem.where is not None
    assert problem.where.path == "x"
    if sentence is not None:
        assert problem.message == sentence


def test_a_problem_deep_inside_a_value_has_its_path() -> None:
    declared = ports(bolt="{d: Length[mm], loads: list[{F: Force}]}")
    value = {"d": "12 kg", "loads": [{"F": 1}, {"F": "x"}, {}, {"F": 1, "f": 2}]}
    _, problems = check_inputs(declared, {"bolt": value})
    assert {problem.where.path for problem in problems if problem.where} == {
        "bolt.d",
        "bolt.loads[1].F",
        "bolt.loads[2].F",
        "bolt.loads[3].f",
    }


def test_everything_that_is_wrong_is_named_at_once() -> None:
    declared = ports(diameter="Length[mm]", load="Force", mesh="File[med]", n="Integer")
    _, problems = check_inputs(
        declared, {"diametr": 1, "load": "1 kg", "mesh": "none.pdf", "n": "x"}
    )
    by_path = {problem.where.path: problem for problem in problems if problem.where}
    assert set(by_path) == {"diametr", "diameter", "load", "mesh", "n"}
    assert by_path["diametr"].hint == "did you mean `diameter`?"
    assert by_path["diameter"].message == "`diameter` is missing; a length in mm is expected"
    assert all(problem.hint for problem in problems)


def test_a_port_that_may_be_left_out_is_and_its_default_is_not_filled_in() -> None:
    declared = ports(d={"type": "Float", "default": 3}, e={"type": "Float", "required": False})
    assert check_inputs(declared, {}) == ({}, [])


def test_open_ports_take_any_name_that_a_port_may_have() -> None:
    declared = Ports({"a": {"type": "number"}}, frozenset({"a"}), {"type": "integer"})
    assert check_inputs(declared, {"a": 1, "b": 2}) == ({"a": 1.0, "b": 2}, [])
    _, problems = check_inputs(declared, {"a": 1, "_b": 2, "c": "x"})
    assert [problem.where.path for problem in problems if problem.where] == ["_b", "c"]


def test_a_value_that_holds_itself_is_refused_at_once() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    assert refused("Any", endless).message == "`x` is nested too deeply"


@pytest.mark.parametrize("values", [None, [], "x", 3])
def test_inputs_that_are_no_object_are_refused(values: object) -> None:
    assert check_inputs(ports(x="Float"), values)[1]


def test_a_secret_is_never_shown() -> None:
    for declared, value in (
        ("Secret", 12345),
        ("list[Secret]", [12345, "12345"]),
        ("{k: Secret, n: Float}", {"k": 12345, "n": "12345"}),
    ):
        _, problems = check_inputs(ports(x=declared), {"x": value})
        assert problems
        assert "12345" not in "".join(f"{problem.message} {problem.hint}" for problem in problems)


def test_masking_reaches_every_secret_and_nothing_else() -> None:
    declared = ports(a="list[Secret]?", b="{k: Secret, n: Float}", c="Float", d="dict[str, Secret]")
    values = {"a": ["x", "y"], "b": {"k": "s", "n": 1}, "c": 3, "d": {"k": "s"}, "e": 4}
    assert mask(declared, values) == {
        "a": ["***", "***"],
        "b": {"k": "***", "n": 1},
        "c": 3,
        "d": {"k": "***"},
        "e": 4,
    }
    assert mask(declared, {"a": None, "b": "not the shape"}) == {"a": None, "b": "***"}


def test_a_file_is_found_and_its_extension_read_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Plan.PDF").write_text("x")
    assert taken("File[pdf]", "Plan.PDF") == str(tmp_path / "Plan.PDF")
    assert taken("File", Path("Plan.PDF")) == str(tmp_path / "Plan.PDF")
    assert taken("File[png, pdf]?", None) is None
    assert refused("File[png, jpg]", "Plan.PDF").message == (
        "`x`: `Plan.PDF` has the extension .PDF; .png or .jpg is expected"
    )


def test_a_file_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mesh.med").write_text("x")
    problem = refused("File", str(tmp_path / "mesg.med"))
    assert "there is no" in problem.message
    assert str(tmp_path / "mesh.med") in (problem.hint or "")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    assert "is a pipe, not a file" in refused("File", str(tmp_path / "pipe")).message
    assert "is a folder, not a file" in refused("File", str(tmp_path)).message
    assert "is not a folder" in refused("Folder", str(tmp_path / "file")).message
    assert "was given 3" in refused("File", 3).message
    for hostile in ("", "a\0b", "x" * 5000, "\ud800"):
        refused("File", hostile)


def test_folders_and_lists_of_files_are_paths_too(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("x")
    one, other = str(tmp_path / "a" / "t.csv"), str(tmp_path / "b" / "t.csv")
    assert taken("Folder", str(tmp_path)) == str(tmp_path)
    assert taken("list[File[csv]]", [one]) == [one]
    assert "the same file name" in refused("list[File]", [one, other]).message
    assert "list of files" in refused("list[File]", one).message
    problem = refused("list[File[txt]]", [one])
    assert problem.where is not None
    assert problem.where.path == "x[0]"


def npy(description: str, shape: str, version: int = 1) -> bytes:
    """A file as numpy.save writes it (numpy.lib.format)."""
    header = f"{{'descr': {description}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header


def test_an_array_is_known_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "field.npy"
    for version in (1, 2, 3):
        path.write_bytes(npy("'<f8'", "(3, 4)", version))
        assert taken("Array[float64, 2]", str(path)) == str(path)
    assert taken("Array[float64]", str(path)) == str(path)
    assert "has 2 dimensions" in refused("Array[float64, 1]", str(path)).message
    assert "holds float64" in refused("Array[int32]", str(path)).message
    for content in (
        b"",
        b"\x93NUMPY",
        npy("[('a', '<f8')]", "(3,)"),
        npy("__import__('os')", "()"),
        b"x" * 100,
    ):
        path.write_bytes(content)
        refused("Array[float64]", str(path))


def test_a_table_is_known_by_its_extension(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(io.BytesIO(b"PAR1").read())
    assert taken("Table", str(path)) == str(path)
    assert ".parquet or .arrow is expected" in refused("Table", __file__).message
