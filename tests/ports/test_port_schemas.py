"""Ports written as JSON Schema, by people and by the code that is described."""

from typing import Any

import pytest

from kedge.ports import Ports, extensions_of, kind_of, parse_type, schema_ports, signature_ports


def one(schema: dict[str, Any], direction: str = "in") -> tuple[Ports, list[str | None]]:
    ports, problems = schema_ports({"type": "object", "properties": {"p": schema}}, direction)  # type: ignore[arg-type]
    return ports, [problem.where.path if problem.where else None for problem in problems]


def test_the_schemas_of_an_image_package_are_read() -> None:
    ports, problems = schema_ports(
        {
            "type": "object",
            "properties": {
                "mesh_file": {"type": "string", "format": "binary", "x-extensions": [".MED"]},
                "thermal_load": {"type": "number"},
            },
            "required": ["mesh_file", "thermal_load"],
        },
        "in",
    )
    assert problems == []
    assert kind_of(ports.properties["mesh_file"]) == "file"
    assert extensions_of(ports.properties["mesh_file"]) == ("med",)
    assert ports.required == {"mesh_file", "thermal_load"}
    assert ports.open is None


def test_outputs_that_are_not_files_are_expected_unless_required_is_given() -> None:
    properties = {"stress": {"type": "number"}, "plot": {"type": "string", "format": "binary"}}
    ports, _ = schema_ports({"properties": properties}, "out")
    assert ports.required == {"stress"}
    ports, _ = schema_ports({"properties": properties, "required": []}, "out")
    assert ports.required == frozenset()
    ports, _ = schema_ports({"properties": properties}, "in")
    assert ports.required == frozenset()


def test_an_object_that_names_no_properties_is_open() -> None:
    assert schema_ports({"type": "object"}, "out")[0].open == {}
    assert schema_ports({"properties": {}}, "out")[0].open is None
    rest = {"type": "object", "additionalProperties": {"type": "number"}}
    assert schema_ports(rest, "out")[0].open == {"type": "number"}


def test_a_nominal_type_may_stand_alone_and_is_filled_in() -> None:
    ports, paths = one({"x-type": "Length", "x-unit": "mm", "description": "d"})
    assert paths == []
    assert ports.properties["p"] == {**parse_type("Length[mm]"), "description": "d"}
    assert one({"x-type": "Force3", "x-unit": "kN"})[0].properties["p"] == parse_type("Force3[kN]")
    assert one({"x-type": "Length"})[0].properties["p"] == parse_type("Length")


def test_a_unit_alone_is_the_quantity_of_its_dimension() -> None:
    assert one({"type": "number", "x-unit": "mm"})[0].properties["p"] == parse_type("Float[mm]")


def test_references_inside_the_document_are_followed() -> None:
    ports, problems = schema_ports(
        {
            "properties": {
                "tree": {"$ref": "#/$defs/Tree", "description": "a tree"},
                "grade": {"$ref": "#/$defs/Again"},
            },
            "$defs": {
                "Tree": {
                    "type": "object",
                    "properties": {"left": {"$ref": "#/$defs/Tree"}, "$ref": {"type": "number"}},
                },
                "Again": {"$ref": "#/$defs/a~1b"},
                "a/b": {"enum": ["a"]},
            },
        },
        "in",
    )
    assert [problem.message for problem in problems] == []
    assert ports.properties["grade"] == {"enum": ["a"]}
    tree = ports.properties["tree"]
    assert tree["description"] == "a tree"
    assert tree["properties"] == {"left": {"type": "object"}, "$ref": {"type": "number"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "file:///etc/passwd"},
        {"$ref": "http://localhost:1/x"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#anchor"},
        {"$ref": 3},
        {"$dynamicRef": "#x"},
        {"type": "nothing"},
        {"minimum": "3"},
        {"pattern": "("},
        {"type": "string", "x-unit": "mm"},
        {"type": "number", "x-unit": "blub"},
        {"type": "number", "x-unit": 3},
        {"x-type": "Length", "x-unit": "kg"},
        {"x-type": "Lenght"},
        {"x-type": "Float"},
        {"x-type": 3},
        {"x-type": "Length", "type": "string"},
        {"type": "number", "x-extensions": ["pdf"]},
        {"type": "string", "format": "binary", "x-extensions": "pdf"},
        {"type": "string", "format": "binary", "x-extensions": [""]},
        {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}}},
        {"type": "integer", "default": "x"},
        {"type": "string", "default": "\ud800"},
        {"enum": [float("nan")]},
        {"default": {1: 2}},
        {"default": {1, 2}},
        False,
        3,
        None,
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_path(schema: Any) -> None:
    ports, paths = one(schema)
    assert "p" not in ports.properties
    assert paths
    assert all((path or "").startswith("properties.p") for path in paths)


def test_a_schema_without_end_is_refused() -> None:
    endless: dict[str, Any] = {"type": "array"}
    endless["items"] = endless
    assert one(endless)[1] == ["properties.p"]
    wide: dict[str, Any] = {"type": "number"}
    for _ in range(40):
        wide = {"anyOf": [wide, wide]}
    assert one(wide)[1] == ["properties.p"]


def test_what_stands_around_the_ports_is_checked_too() -> None:
    _, problems = schema_ports(
        {"type": "object", "properties": {"load": {}}, "required": ["laod"], "oneOf": []}, "in"
    )
    assert {problem.where.path for problem in problems if problem.where} == {"oneOf", "required"}
    assert problems[1].hint == "did you mean `load`?"
    for raw in (
        None,
        3,
        [],
        {"type": "array"},
        {"properties": 3},
        {"required": 3, "properties": {}},
    ):
        assert schema_ports(raw, "in")[1]


def test_what_a_signature_was_read_to_never_stops_the_function() -> None:
    ports, problems, warnings = signature_ports(
        {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "default": None},
                "odd": {"$ref": "file:///etc/passwd"},
                "fine": {"type": "number"},
                "list": {},
            },
            "required": ["odd", "fine"],
            "additionalProperties": False,
        },
        "in",
    )
    assert ports.properties == {"n": {"type": "integer"}, "odd": {}, "fine": {"type": "number"}}
    assert ports.required == {"odd", "fine"}
    assert [problem.where.path for problem in problems if problem.where] == ["properties.list"]
    assert [problem.where.path for problem in warnings if problem.where] == ["properties.odd"]


def test_the_kinds_of_ports() -> None:
    kinds = {
        "Float": "value",
        "File": "file",
        "File[pdf]?": "file",
        "list[File]": "files",
        "Folder": "folder",
        "Array[float64]": "array",
        "Table": "table",
        "list[Float]": "value",
        "Any": "value",
    }
    assert {text: kind_of(parse_type(text)) for text in kinds} == kinds
    assert extensions_of(parse_type("list[File[csv]]?")) == ("csv",)
    assert extensions_of(parse_type("Table")) == ("parquet", "arrow")
