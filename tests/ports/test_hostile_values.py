"""Values and types made to break their readers: half characters, and more wrong than anybody reads."""

import time
from typing import Any

import pytest

from kedge.errors import InputError, TypeExpressionError
from kedge.ports import (
    Ports,
    check_inputs,
    check_outputs,
    declared_ports,
    format_type,
    parse_type,
    read_text,
    schema_ports,
)
from kedge.ports.wording import MOST_PROBLEMS

HALF = "\ud83d"


@pytest.mark.parametrize(
    "expression",
    ['literal["\\ud800", b]', '{"\\ud800": Float}', f"literal[{HALF}]", {HALF: "Float"}],
)
def test_a_type_with_half_a_character_is_refused(expression: object) -> None:
    with pytest.raises(TypeExpressionError) as refused:
        parse_type(expression)
    assert "not valid Unicode" in str(refused.value) or "half a character" in str(refused.value)
    assert refused.value.problems[0].hint


def test_dots_before_an_extension_say_nothing() -> None:
    schema = parse_type("File[step, ...IGES]")
    assert schema["x-extensions"] == ["step", "iges"]
    assert parse_type(format_type(schema)) == schema


def test_an_extension_that_cannot_be_written_in_lower_case_is_refused() -> None:
    with pytest.raises(TypeExpressionError, match="`,` is missing where `İ` stands"):
        parse_type("File[stepİ]")


@pytest.mark.parametrize("text", ["File", "list[File]", "Folder"])
def test_a_path_without_end_is_shortened_where_it_is_refused(text: str) -> None:
    path = "a" * 20_000
    given = [path] if text == "list[File]" else path
    (problem,) = check_inputs(Ports({"p": parse_type(text)}), {"p": given})[1]
    assert len(problem.message) < 1200
    assert problem.hint


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ({"type": "string", "minLength": 1}, HALF),
        ({"type": "array", "items": {"minLength": 1}}, ["a", HALF]),
        ({"type": "object", "additionalProperties": {"pattern": "^a"}}, {"a": HALF}),
        ({"uniqueItems": True}, [[HALF], HALF]),
    ],
)
def test_half_a_character_anywhere_in_a_value_is_a_problem(wanted: Any, value: object) -> None:
    _, problems = check_inputs(Ports({"p": wanted}), {"p": value})
    assert problems
    assert all("not valid Unicode" in problem.message for problem in problems)


@pytest.mark.parametrize("text", ["String", "Length[mm]"])
def test_of_a_long_list_of_wrong_elements_the_first_are_told(text: str) -> None:
    ports = Ports({"p": parse_type(f"list[{text}]")})
    for wrong in ([True] * 20_000, ["12 kg"] * 20_000):
        if text == "String" and wrong[0] == "12 kg":
            continue
        _, problems = check_inputs(ports, {"p": wrong})
        assert 1 <= len(problems) <= MOST_PROBLEMS + 1
        assert 1 <= len(check_outputs(ports, {"p": wrong}, {})) <= MOST_PROBLEMS + 1


def test_each_wrong_element_of_a_short_list_is_told() -> None:
    ports = Ports({"p": parse_type("list[Length[mm]]")})
    _, problems = check_inputs(ports, {"p": ["1 kg"] * 90})
    assert len(problems) == 90


def test_of_very_many_wrong_names_and_types_the_first_are_told() -> None:
    many = [f"p{number}" for number in range(3 * MOST_PROBLEMS)]
    found = {
        "unknown inputs": check_inputs(Ports({"a": {}}), dict.fromkeys(many, 1))[1],
        "declared": declared_ports(dict.fromkeys(many, "Flaot"), "in")[1],
        "schemas": schema_ports({"properties": {name: {"x-unit": "mmm"} for name in many}}, "in")[
            1
        ],
    }
    for problems in found.values():
        assert len(problems) == MOST_PROBLEMS + 1
        assert problems[-1].message == f"there are more problems than these {MOST_PROBLEMS}"
        assert all(problem.hint for problem in problems)


def test_what_is_no_schema_and_nested_without_sense_is_refused_with_its_kind() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = [deep]
    for schema in (deep, {"const": {1: deep}}, {"$ref": deep}):
        _, problems = schema_ports({"properties": {"p": schema}}, "in")
        assert len(problems) == 1
        assert problems[0].hint


def test_text_of_another_form_is_refused_with_the_forms_name() -> None:
    ports = Ports({"p": {"type": "string", "format": "email"}})
    (problem,) = check_inputs(ports, {"p": "a"})[1]
    assert problem.message == '`p` is the text "a"; text of the form `email` is expected'


def test_a_key_that_stands_twice_among_very_many_is_found_in_a_moment() -> None:
    keys = ",".join(f'"{number}":1' for number in range(60_000))
    start = time.process_time()
    with pytest.raises(InputError, match="`59999` stands there twice"):
        read_text({"type": "object"}, f'{{{keys},"59999":2}}')
    assert time.process_time() - start < 10  # it was a minute when each was looked for among all
