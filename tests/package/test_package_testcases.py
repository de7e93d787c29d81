"""Test cases: how they are written, found, matched, and compared."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.errors import ManifestError
from kedge.package.compare import compare
from kedge.package.declaration import FunctionDeclaration, LoadedPackage
from kedge.package.testcases import TestCase, load_cases
from kedge.ports import declared_ports


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pkg"
    (folder / "tests").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def package(root: Path, **testcases: str | None) -> LoadedPackage:
    functions = {
        name: FunctionDeclaration(name, handler=f"m:{name}", testcases=path)
        for name, path in testcases.items()
    }
    return LoadedPackage(str(root), "x", None, "", {"kind": "python"}, functions, "kedge.yml")


def read(root: Path, data: Any) -> list[TestCase]:
    (root / "cases.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return load_cases(package(root, f="cases.json"))


def test_lists_and_objects_are_read(root: Path) -> None:
    cases = [
        {"name": "one", "description": "d", "inputs": {"x": 1}, "expected": {"y": 2}},
        {"request": {"x": 1}, "expected_outputs": {"y": 2}, "tolerance": {"numeric": 0.5}},
        {"inputs": {}, "raises": "ValueError"},
        {},
    ]
    for data in (cases, {"name": "all", "test_cases": cases}, {"test_cases": cases}):
        found = read(root, data)
        assert [case.name for case in found] == ["one", "case 2", "case 3", "case 4"]
        assert found[0].inputs == found[1].inputs == {"x": 1}
        assert found[1].tolerance == 0.5
        assert (found[2].raises, found[2].expected) == ("ValueError", None)
        assert (found[3].inputs, found[3].expected) == ({}, {})


def test_a_case_knows_its_line(root: Path) -> None:
    found = read(root, '{"description": "[", "test_cases": [\n  {},\n  {"name": "]"}, {}\n]}')
    assert [str(case.where) for case in found] == [
        "cases.json:2:3 ([0])",
        "cases.json:3:3 ([1])",
        "cases.json:3:18 ([2])",
    ]


def test_a_tolerance_of_the_file_is_that_of_its_cases(root: Path) -> None:
    found = read(
        root, {"tolerance": {"numeric": 0.1}, "test_cases": [{}, {"tolerance": {"numeric": 0}}]}
    )
    assert [case.tolerance for case in found] == [0.1, 0.0]


def test_all_problems_of_all_files_come_at_once(root: Path) -> None:
    (root / "cases.json").write_text(
        '[{"input": {}}, 3,\n {"inputs": [], "raises": 1},\n {"raises": "E", "expected": {"a": 1}},'
        '\n {"tolerance": {"numeric": -1}}, {"expected": {"a": {"approx": "x"}}}, {"inputs": {}, "request": {}}]'
    )
    with pytest.raises(ManifestError) as caught:
        load_cases(package(root, f="cases.json", g="missing.json"))
    problems = caught.value.problems
    assert len(problems) == 9
    assert all(problem.hint for problem in problems)
    assert [problem.where.line for problem in problems[:4] if problem.where] == [1, 1, 2, 2]
    assert problems[0].hint == "did you mean `inputs`?"
    assert "missing.json" in problems[-1].message


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", "3", '"x"', '{"test_cases": {}}', "[NaN]", '[{"a": 1, "a": 2}]', "[" * 100_000,
     '[{"inputs": {"x": Infinity}}]', "[1" + "0" * 5000 + "]", '{"test_case": []}', "\ufeff[3]"],
)  # fmt: skip
def test_what_is_no_case_file_is_refused(root: Path, text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(root, text)
    assert all(problem.hint and problem.where for problem in caught.value.problems)


def test_files_in_tests_are_found_and_matched(root: Path) -> None:
    (root / "tests/test_a.json").write_text('{"handler": "m:f", "test_cases": [{"name": "a"}]}')
    (root / "tests/test_b.json").write_text('{"function": "g", "test_cases": [{"name": "b"}]}')
    (root / "tests/named.json").write_text('[{"name": "named"}]')
    (root / "tests/other.json").write_text("not JSON: not looked at")
    whole = package(root, f="tests/named.json", g=None)
    assert [(case.function, case.name) for case in load_cases(whole)] == [
        ("f", "named"), ("f", "a"), ("g", "b"),
    ]  # fmt: skip
    assert [case.name for case in load_cases(whole, "g")] == ["b"]


def test_a_file_that_the_manifest_names_is_not_found_again(root: Path) -> None:
    (root / "tests/test_a.json").write_text("[{}]")
    assert len(load_cases(package(root, f="tests/test_a.json"))) == 1


@pytest.mark.parametrize("text", ['{"handler": "m:ff", "test_cases": []}', "[]", '{"handler": 3}'])
def test_a_found_file_says_which_function_it_is_for(root: Path, text: str) -> None:
    (root / "tests/test_a.json").write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_cases(package(root, f=None))
    assert caught.value.hint


def test_file_inputs_are_relative_to_the_case_file(root: Path) -> None:
    (root / "tests/test_a.json").write_text(
        json.dumps(
            {
                "function": "f",
                "test_cases": [
                    {"inputs": {"m": "data/a.med", "l": ["x.txt", "/abs.txt"], "t": "data/a.med"}}
                ],
            }
        )
    )
    ports, problems = declared_ports({"m": "File[med]", "l": "list[File]", "t": "String"}, "in")
    assert not problems
    (case,) = load_cases(package(root, f=None))
    assert case.staged(ports) == {
        "m": str(root / "tests/data/a.med"),
        "l": [str(root / "tests/x.txt"), "/abs.txt"],
        "t": "data/a.med",
    }


@pytest.mark.parametrize(
    ("expected", "actual", "tolerance", "differences"),
    [
        ({}, {"a": 1}, None, []),
        ({"a": 1}, {"a": 1, "b": 2}, None, []),
        ({"a": 1}, {}, None, ["a: expected 1, got nothing"]),
        ({"a": 1}, {"a": 1.0}, None, []),
        ({"a": 1.0}, {"a": 1}, None, []),
        ({"a": 1}, {"a": 2}, None, ["a: expected 1, got 2"]),
        ({"a": True}, {"a": 1}, None, ["a: expected true, got 1"]),
        ({"a": 0}, {"a": False}, None, ["a: expected 0, got false"]),
        ({"a": None}, {"a": None}, None, []),
        ({"a": None}, {"a": 0}, None, ["a: expected null, got 0"]),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, None, []),
        ({"a": 0.3}, {"a": 0.3001}, None, ["a: expected 0.3, got 0.3001"]),
        ({"a": 0.3}, {"a": 0.3001}, 0.001, []),
        ({"a": 5}, {"a": 6}, 1, []),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, None, ["a.b[1].c: expected 2, got 3"]),
        ({"a": [1]}, {"a": [1, 2]}, None, ["a: expected 1 items, got 2"]),
        ({"a": [1]}, {"a": 1}, None, ["a: expected [1], got 1"]),
        ({"a": {}}, {"a": 1}, None, ["a: expected {}, got 1"]),
        ({"a": "x"}, {"a": "y"}, 5, ['a: expected "x", got "y"']),
        ({"a": 1}, {"a": "1"}, 5, ['a: expected 1, got "1"']),
        ({"a": {"approx": 100, "rel_tol": 0.01}}, {"a": 100.9}, None, []),
        ({"a": {"approx": 100, "rel_tol": 0.01}}, {"a": 101.1}, None,
         ["a: expected 100 (rel_tol 0.01), got 101.1"]),
        ({"a": {"approx": 0, "abs_tol": 1e-9}}, {"a": -1e-10}, None, []),
        ({"a": {"approx": 1.0}}, {"a": 1.0 + 1e-12}, None, []),
        ({"a": {"approx": 1.0}}, {"a": "1"}, None, ['a: expected 1.0 (rel_tol 1e-09), got "1"']),
        ({"a": {"approx": 1, "rel_tol": 0, "abs_tol": 0}}, {"a": 1}, None, []),
        ({"a": {"approx": 1, "other": 2}}, {"a": {"approx": 1, "other": 2}}, None, []),
        ({"a": 10**400}, {"a": 1.0}, 1, [f"a: expected {'1' + '0' * 198}…, got 1.0"]),
        ({"a": math.nan}, {"a": math.nan}, None, ["a: expected NaN, got NaN"]),
        (3, 4, None, ["outputs: expected 3, got 4"]),
    ],
)  # fmt: skip
def test_comparisons(
    expected: Any, actual: Any, tolerance: float | None, differences: list[str]
) -> None:
    assert compare(expected, actual, tolerance) == differences


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_everything_equals_itself_after_json(value: Any) -> None:
    if "approx" not in str(value):
        assert compare(value, json.loads(json.dumps(value))) == []


@given(values, values, st.none() | st.floats(0, 10))
def test_comparing_never_fails(one: Any, other: Any, tolerance: float | None) -> None:
    assert all(isinstance(text, str) for text in compare(one, other, tolerance))


cases = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("name", "inputs", "request", "expected", "expected_outputs", "tolerance", "raises", "x"),
        values,
    ),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.lists(cases | values, max_size=3)
    | st.fixed_dictionaries({"test_cases": values})
    | values
)
def test_any_json_is_cases_or_refused(root: Path, data: Any) -> None:
    try:
        found = read(root, data)
    except ManifestError as error:
        assert all(problem.hint and problem.where for problem in error.problems)
    else:
        assert all(isinstance(case, TestCase) for case in found)
