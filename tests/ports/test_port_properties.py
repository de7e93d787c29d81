"""What holds for every type, every schema and every text."""

import json
import string
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.data import replace
from kedge.errors import InputError, Problem, TypeExpressionError
from kedge.ports import (
    Ports,
    check_inputs,
    check_outputs,
    connect,
    convert,
    declared_ports,
    format_type,
    mask,
    overlay,
    parse_type,
    read_text,
    schema_ports,
    set_path,
    signature_ports,
)
from kedge.ports.conversion import from_data, to_data
from kedge.ports.plain import plainly_valid
from kedge.ports.sentences import is_valid, validator

UNITS = {
    "Length": ["mm", "km", "in"],
    "Stress": ["MPa", "psi"],
    "Temperature": ["degC"],
    "Force": ["kN"],
}

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)
words = st.text(max_size=6) | names
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def bracketed(name: str, inside: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([name, *(f"{name}[{one}]" for one in inside)])


simple = st.one_of(
    st.sampled_from(
        [
            "Float",
            "Integer",
            "Numeric",
            "Boolean",
            "String",
            "Any",
            "Object",
            "Secret",
            "Date",
            "DateTime",
            "Duration",
            "Vector3",
            "Force3",
            "Moment3",
            "Torsor",
            "Matrix",
            "Mass",
            "Energy",
            "Moment",
            "Pressure",
            "Angle",
            "Float[mm^4]",
            "Integer[mm]",
            "Force3[kN]",
        ]
    ),
    *(bracketed(name, units) for name, units in UNITS.items()),
    st.lists(
        scalars.filter(lambda one: one is not None) | words,
        min_size=1,
        max_size=3,
        unique_by=lambda one: (isinstance(one, bool), one),
    ).map(lambda found: f"literal[{', '.join(map(json.dumps, found))}]"),
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    field = st.tuples(
        words.map(json.dumps) | names.filter(lambda one: one[0] != "-"),
        st.sampled_from(["", "?"]),
        inner,
    )
    return st.one_of(
        inner.map(lambda one: f"list[{one}]"),
        inner.map(lambda one: f"dict[str, {one}]"),
        inner.filter(lambda one: not one.endswith("?")).map(lambda one: f"{one}?"),
        st.lists(field, min_size=1, max_size=3, unique_by=lambda one: one[0].strip('"')).map(
            lambda fields: f"{{{', '.join(f'{name}{mark}: {one}' for name, mark, one in fields)}}}"
        ),
    )


values = st.recursive(simple, nested, max_leaves=6)
files = st.sampled_from(
    [
        "File",
        "File[pdf]",
        "File[step,iges]",
        "Folder",
        "Table",
        "Array[float64]",
        "Array[int32,2]",
        "list[File]",
        "list[File[csv]]",
    ]
)
expressions = st.one_of(values, files)
as_json = st.recursive(
    scalars | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
# Text and data made of the pieces of the language reach further than arbitrary text does.
pieces = st.lists(
    st.sampled_from(
        [
            *"[]{}?:,\"' ",
            "list",
            "dict",
            "str",
            "literal",
            "Float",
            "Length",
            "mm",
            "File",
            "pdf",
            "1",
            "é",
            "Array",
        ]
    )
).map("".join)
keywords = st.sampled_from(
    [
        "type",
        "description",
        "default",
        "minimum",
        "maximum",
        "required",
        "examples",
        "properties",
        "items",
        "additionalProperties",
        "anyOf",
        "enum",
        "x-type",
        "x-unit",
        "x-extensions",
        "format",
        "$ref",
        "$defs",
        "oneOf",
        "prefixItems",
        "const",
        "pattern",
        "minItems",
    ]
)
schema_like = st.recursive(
    scalars
    | pieces
    | st.sampled_from(
        [
            "object",
            "number",
            "string",
            "array",
            "integer",
            "binary",
            "Length",
            "Force3",
            "Torsor",
            "mm",
            "kg",
            "pdf",
            "date",
            "#/$defs/a",
            "#",
            "#/properties",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keywords | names, inner, max_size=4)
    ),
    max_leaves=12,
)


def parsed(text: str) -> Any:
    try:
        return parse_type(text)
    except TypeExpressionError as error:
        raise AssertionError(f"{text} is a type: {error}") from error


def said(problems: list[Problem]) -> None:
    for problem in problems:
        assert problem.message
        assert problem.hint


@given(expressions)
def test_an_expression_survives_printing_and_reading(text: str) -> None:
    schema = parsed(text)
    assert parsed(format_type(schema)) == schema
    assert json.loads(json.dumps(schema)) == schema
    assert format_type(parsed(format_type(schema))) == format_type(schema)
    validator(schema)


@given(
    st.dictionaries(names, expressions, max_size=4),
    st.sampled_from([None, {}, {"type": "number"}]),
    st.data(),
)
def test_ports_survive_their_json_schema(
    types: dict[str, str], rest: Any, data: st.DataObject
) -> None:
    properties = {name: parsed(text) for name, text in types.items()}
    required = frozenset(data.draw(st.sets(st.sampled_from(sorted(types)))) if types else ())
    ports = Ports(properties, required, rest)
    written = json.loads(json.dumps(ports.to_schema()))
    assert Ports.from_schema(written) == ports
    assert list(Ports.from_schema(written).properties) == list(properties)
    assert Ports.from_schema(written).to_schema() == written


@given(expressions)
def test_a_schema_of_an_expression_is_taken_as_it_is(text: str) -> None:
    schema = parsed(text)
    ports, problems = schema_ports({"type": "object", "properties": {"p": schema}}, "in")
    assert problems == []
    assert ports.properties == {"p": schema}
    declared, _ = declared_ports({"p": {"type": text, "required": False}}, "in")
    assert ports == replace(declared, decided=frozenset())


@given(st.text(max_size=40) | pieces)
def test_any_text_is_a_type_or_a_type_error(text: str) -> None:
    try:
        schema = parse_type(text)
    except TypeExpressionError as error:
        said(error.problems)
        assert error.where is not None
        assert 1 <= (error.where.column or 0) <= len(text) + 1
    else:
        assert parse_type(format_type(schema)) == schema


@given(as_json | schema_like, st.sampled_from(["in", "out"]))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_data_is_ports_or_problems(raw: Any, direction: Any) -> None:
    declared, problems = declared_ports(raw, direction)
    said(problems)
    given_ports, problems = schema_ports(raw, direction)
    said(problems)
    read, problems, warnings = signature_ports(raw, direction)
    said(problems + warnings)
    for ports in (declared, given_ports, read):
        for schema in ports.properties.values():
            assert format_type(schema)
        assert Ports.from_schema(ports.to_schema()) == ports
        overlay(read, ports)
        said(check_inputs(ports, dict.fromkeys(ports.properties, "12 mm"))[1])


@given(schema_like, as_json)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_value_against_any_schema_is_taken_or_explained(schema: Any, value: Any) -> None:
    ports, _, _ = signature_ports({"properties": {"p": schema}}, "in")
    coerced, problems = check_inputs(ports, {"p": value})
    said(problems)
    if "p" in ports.properties and not problems:
        assert is_valid(ports.properties["p"], coerced["p"])
    said(check_outputs(ports, {"p": value}, {}))
    mask(ports, {"p": value})


@given(values, as_json)
def test_any_value_against_any_type_is_taken_or_explained(text: str, value: Any) -> None:
    ports = Ports({"p": parsed(text)})
    coerced, problems = check_inputs(ports, {"p": value})
    said(problems)
    if not problems:
        assert check_inputs(ports, coerced) == (coerced, [])
        assert json.loads(json.dumps(coerced, allow_nan=False)) == coerced


@given(values, as_json)
def test_the_quick_yes_is_never_wrong(text: str, value: Any) -> None:
    schema = parsed(text)
    if plainly_valid(schema, value):
        assert validator(schema).is_valid(value)


@given(
    expressions,
    st.text(max_size=20)
    | as_json.map(json.dumps)
    | st.sampled_from(["@x", "@@x", "12 mm", "null"]),
)
def test_any_text_on_a_command_line_is_a_value_or_an_input_error(
    expression: str, text: str
) -> None:
    schema = parsed(expression)
    try:
        value = read_text(schema, text)
        set_path({}, "p.q", text, Ports({"p": schema}))
    except InputError as error:
        said(error.problems)
    else:
        said(check_inputs(Ports({"p": schema}), {"p": value})[1])


@given(expressions)
def test_every_type_connects_to_itself_unchanged(text: str) -> None:
    schema = parsed(text)
    found = connect(schema, parsed(text))
    assert (found.allowed, found.warning, found.conversion) == (True, None, None)


@given(expressions, expressions)
def test_a_connection_is_allowed_or_has_a_reason(one: str, other: str) -> None:
    found = connect(parsed(one), parsed(other))
    assert found.allowed != bool(found.reason)
    assert from_data(json.loads(json.dumps(to_data(found.conversion)))) == found.conversion


# Where the line is symmetric: everything but Integer under Float, files of which one side is any value,
# and structs, whose fields may be left out on one side only.
lines = st.sampled_from(
    ["Float", "Numeric", "Any", "String", "Secret", "Boolean", "Vector3", "Force3", "Mass", "Length", "Length[mm]",
     "Pressure", "Stress[MPa]", "Energy", "Moment", "Date", "File", "File[pdf]", "Folder", "list[Float]", "list[Mass]"]
)  # fmt: skip


@given(lines, lines)
def test_one_ancestor_line_connects_both_ways(one: str, other: str) -> None:
    there, back = connect(parsed(one), parsed(other)), connect(parsed(other), parsed(one))
    if "Any" in (one, other):
        return
    assert there.allowed == back.allowed
    if there.conversion is not None:
        assert back.conversion is not None


@given(lines, lines)
def test_lists_and_dicts_and_fields_connect_as_their_elements_do(one: str, other: str) -> None:
    if any(text.startswith(("File", "Folder")) for text in (one, other)):
        return
    bare = connect(parsed(one), parsed(other))
    for around in ("list[{}]", "dict[str, {}]", "{{a: {}}}"):
        inside = connect(parsed(around.format(one)), parsed(around.format(other)))
        assert inside.allowed == bare.allowed
        assert (inside.warning is None) == (bare.warning is None)
        assert inside.allowed or inside.path


@given(values, values, as_json)
def test_a_conversion_never_fails_on_a_value_of_another_shape(
    one: str, other: str, value: Any
) -> None:
    found = connect(parsed(one), parsed(other))
    convert(value, found.conversion)
