"""Connections: which types go into which, with what warning and what conversion."""

import pytest

from kedge.ports import connect, convert, parse_type
from kedge.ports.catalogue import QUANTITIES
from kedge.ports.connections import Connection

SIBLINGS = [name for name in QUANTITIES if name not in ("Pressure", "Stress")]


def edge(source: str, target: str) -> Connection:
    return connect(parse_type(source), parse_type(target))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Force", "Float"),
        ("Integer", "Float"),
        ("Integer", "Numeric"),
        ("Numeric", "Integer"),
        ("Float", "Numeric"),
        ("Pressure", "Stress"),
        ("Stress", "Pressure"),
        ("Float", "Any"),
        ("Float", "Object"),
        ("list[Integer]", "list[Float]"),
        ("Force3", "Vector3"),
        ("list[Float]", "Vector3"),
        ("dict[str, Integer]", "dict[str, Float]"),
        ("{a: Integer, b: String}", "{b: String, a: Float}"),
        ("{a: Float}", "dict[str, Float]"),
        ("{a: Float}", "{a: Float, b?: Float}"),
        ("{F: Force3, M: Moment3}", "Torsor"),
        ("Torsor", "{F: Force3, M: Moment3}"),
        ("literal[a, b]", "String"),
        ("String", "literal[a, b]"),
        ("literal[a, b]", "literal[b, c]"),
        ("literal[1, 2]", "Integer"),
        ("Float", "Float?"),
        ("String", "Secret"),
        ("File[step, iges]", "File[iges]"),
        ("File", "File[pdf]"),
        ("File[PDF]", "File"),
        ("list[File[csv]]", "list[File]"),
        ("Array[float64, 2]", "Array[float64]"),
        ("Array[float64, 2]", "File[npy]"),
        ("Folder", "Folder"),
    ],
)
def test_these_connect_without_a_word(source: str, target: str) -> None:
    found = edge(source, target)
    assert (found.allowed, found.warning, found.reason) == (True, None, "")


@pytest.mark.parametrize(
    ("source", "target", "path", "words"),
    [
        ("Force", "Length", "", "different quantities"),
        ("Moment", "Energy", "", "different quantities"),
        ("String", "Integer", "", "neither is a kind of the other"),
        ("Float", "Integer", "", "not a whole number"),
        ("Length[mm]", "Integer", "", "not a whole number"),
        ("Integer", "Length", "", "not a quantity"),
        ("Float[mm]", "Mass", "", "`mm` is a length and `kg` is a mass"),
        ("Date", "String", "", "neither"),
        ("Boolean", "Integer", "", "neither"),
        ("list[Force]", "list[Length]", "[]", "different quantities"),
        ("Force3", "Moment3", "[]", "different quantities"),
        ("{a: {b: Float}}", "{a: {b: Integer}}", "a.b", "whole number"),
        ("{a: list[Float]}", "{a: list[Integer]}", "a[]", "whole number"),
        ("dict[str, Float]", "dict[str, Integer]", "*", "whole number"),
        ("{a: Float}", "{b: Float}", "", "`b` is missing"),
        ("{a: Float, b: Float}", "{a: Float}", "", "`b` is not taken"),
        ("dict[str, Float]", "{a: Float}", "", "not known before"),
        ("literal[a]", "literal[b]", "", "no value in common"),
        ("literal[a]", "Float", "", "no value in common"),
        ("list[Float]", "Float", "", "neither"),
        ("File[pdf]", "File[png]", "", ".pdf and .png"),
        ("File", "String", "", "a file and not a value"),
        ("File", "Any", "", "declare the input as a File"),
        ("Folder", "File", "", "a folder and not a file"),
        ("File", "list[File]", "", "a file and not a list of files"),
        ("Array[float64, 2]", "Array[float64, 1]", "", "2 dimensions"),
        ("Array[float64]", "Array[int64]", "", "float64 and not int64"),
        ("Array[float64]", "Table", "", "an array file and not a table"),
        ("Table", "File[csv]", "", ".parquet"),
    ],
)
def test_these_are_refused_with_the_reason_and_the_place(
    source: str, target: str, path: str, words: str
) -> None:
    found = edge(source, target)
    assert not found.allowed
    assert found.path == path
    assert words in found.reason


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("Float", "Force", "no unit: its numbers are taken to be in N"),
        ("Numeric", "Length[mm]", "in mm"),
        ("Any", "Length", "no unit"),
        ("list[Float]", "list[Length]", "no unit"),
        ("{a: Float}", "{a: Mass}", "no unit"),
        ("Vector3", "Force3[kN]", "in kN"),
        ("Float?", "Float", "may be null"),
        ("Secret", "String", "Secret"),
        ("Any", "File[pdf]", "only the run shows"),
        ("{a?: Float}", "{a: Float}", "may be left out"),
    ],
)
def test_these_connect_with_a_warning(source: str, target: str, words: str) -> None:
    found = edge(source, target)
    assert found.allowed
    assert words in (found.warning or "")


@pytest.mark.parametrize(
    ("source", "target", "value", "result"),
    [
        ("Length[mm]", "Length[m]", 12, 0.012),
        ("Length[mm]", "Float[m]", 12.0, 0.012),
        ("Integer[mm]", "Length[m]", 12, 0.012),
        ("Temperature[degC]", "Temperature", 20, 293.15),
        ("Pressure[bar]", "Stress[MPa]", 10, 1.0),
        ("list[Length[mm]]", "list[Length]", [1000, 2], [1.0, 0.002]),
        ("Force3[kN]", "Force3", [1, 2, 3], [1000.0, 2000.0, 3000.0]),
        ("dict[str, Length[mm]]", "dict[str, Length]", {"a": 1}, {"a": 0.001}),
        (
            "{a: Length[mm], b: Float}",
            "{a: Length, b: Float}",
            {"a": 1, "b": 2},
            {"a": 0.001, "b": 2},
        ),
        ("Length[mm]?", "Length?", None, None),
        ("Length[mm]?", "Length?", 1, 0.001),
        (
            "{F: Force3[kN], M: Moment3}",
            "Torsor",
            {"F": [1, 0, 0], "M": [0, 0, 1]},
            {"force": [1000.0, 0.0, 0.0], "moment": [0, 0, 1]},
        ),
    ],
)
def test_units_convert_by_themselves(
    source: str, target: str, value: object, result: object
) -> None:
    found = edge(source, target)
    assert found.allowed
    assert found.warning is None
    assert convert(value, found.conversion) == result


@pytest.mark.parametrize("name", SIBLINGS)
def test_sibling_quantities_are_refused_both_ways(name: str) -> None:
    for other in SIBLINGS:
        if other != name:
            assert not edge(name, other).allowed


def test_the_same_unit_asks_the_units_library_for_nothing() -> None:
    assert edge("Length[mm]", "Length[mm]").conversion is None


def test_a_union_connects_where_an_alternative_fits() -> None:
    union = {"anyOf": [{"type": "number", "x-unit": "mm"}, {"type": "string"}]}
    into = connect(union, parse_type("Length[m]"))
    assert into.allowed
    assert "only the run shows" in (into.warning or "")
    assert convert(5, into.conversion) == 0.005
    assert connect(parse_type("String"), union).warning is None
    assert not connect(union, parse_type("Boolean")).allowed


def test_a_unit_that_nobody_knows_is_a_reason_and_no_exception() -> None:
    found = connect({"type": "number", "x-unit": "blub"}, parse_type("Length"))
    assert not found.allowed
    assert "`blub` is not a unit" in found.reason
