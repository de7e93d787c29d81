"""`inputs:` and `outputs:` of a manifest: what they declare, and every problem in them at once."""

import datetime

from kedge.ports import Ports, check_port_name, declared_ports, format_type, overlay

EVERY_PROBLEM = {
    "list": "Float",
    "_hidden": "Float",
    "a-b": "Float",
    "a_b": "Float",
    3: "Float",
    "misspelt": "Lenght",
    "nested": {"type": {"a": "Flot", "b": {"c": "list[Strng]"}}},
    "untyped": {"description": "no type"},
    "unknown": {"type": "Float", "minmum": 3},
    "text": {"type": "String", "minimum": 3},
    "wrong": {"type": "Integer", "default": "x"},
    "crossed": {"type": "Float", "minimum": 3, "maximum": 1},
    "below": {"type": "Float", "minimum": 3, "default": 1},
    "file": {"type": "File", "default": "x.pdf"},
    "hidden": {"type": "Secret", "default": "x"},
    "flag": {"type": "Float", "required": "yes"},
    "said": {"type": "Float", "description": 3, "examples": 3},
    "example": {"type": "Float", "examples": [1, "x"]},
    "unit": {"type": "Length[mm]", "default": "12 kg"},
    "none": None,
}


def test_the_short_and_the_full_form_declare_the_same_port() -> None:
    short, _ = declared_ports({"d": "Length[mm]"}, "in")
    full, problems = declared_ports({"d": {"type": "Length[mm]"}}, "in")
    assert problems == []
    assert short == full
    assert short.required == {"d"}


def test_every_part_of_a_port_arrives_in_its_schema() -> None:
    ports, problems = declared_ports(
        {
            "d": {
                "type": "Length[mm]",
                "description": "outer diameter",
                "minimum": "0.1 cm",
                "maximum": 100,
                "default": "1 cm",
                "examples": [12, "0.5 in"],
            },
            "day": {"type": "Date?", "default": datetime.date(2024, 5, 1)},
            "n": {"type": "Integer?", "minimum": 1, "required": False},
        },
        "in",
    )
    assert problems == []
    assert ports.properties["d"] == {
        "type": "number",
        "x-type": "Length",
        "x-unit": "mm",
        "description": "outer diameter",
        "minimum": 1.0,
        "maximum": 100.0,
        "default": 10.0,
        "examples": [12.0, 12.7],
    }
    assert ports.properties["day"]["default"] == "2024-05-01"
    assert ports.properties["n"] == {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}
    assert ports.required == frozenset()


def test_every_problem_is_named_at_once_with_its_path_and_a_hint() -> None:
    ports, problems = declared_ports(EVERY_PROBLEM, "in")
    assert {problem.where.path for problem in problems if problem.where} == {
        "list", "_hidden", "a_b", "3", "misspelt", "nested.type.a", "nested.type.b.c", "untyped",
        "unknown.minmum", "text.minimum", "wrong.default", "crossed.minimum", "below.default",
        "file.default", "hidden.default", "flag.required", "said.description", "said.examples",
        "example.examples[1]", "unit.default", "none",
    }  # fmt: skip
    assert all(problem.hint for problem in problems)
    assert set(ports.properties) == {"a-b", "a_b"}


def test_a_problem_inside_an_expression_has_its_column() -> None:
    _, problems = declared_ports({"d": {"type": "list[Lenght]"}}, "in")
    assert problems[0].where is not None
    assert (problems[0].where.path, problems[0].where.column) == ("d.type", 6)
    assert problems[0].hint == "did you mean `Length`?"


def test_only_files_may_be_left_out_among_outputs() -> None:
    ports, problems = declared_ports(
        {
            "report": {"type": "File[pdf]", "required": False},
            "fields": {"type": "Array[float64]", "required": False},
            "stress": {"type": "Stress", "required": False},
            "anything": "Object",
            "start": {"type": "Float", "default": 1},
        },
        "out",
    )
    assert [problem.where.path for problem in problems if problem.where] == [
        "stress.required",
        "anything",
        "start.default",
    ]
    assert set(ports.properties) == {"report", "fields"}
    assert ports.required == frozenset()


def test_a_mapping_without_a_type_is_a_struct() -> None:
    ports, problems = declared_ports({"load": {"F": "Force3", "M": "Moment3"}}, "in")
    assert problems == []
    assert format_type(ports.properties["load"]) == "{F: Force3, M: Moment3}"


def test_an_empty_block_declares_no_ports_and_another_thing_is_refused() -> None:
    assert declared_ports(None, "in") == (Ports(), [])
    assert declared_ports({}, "in") == (Ports(), [])
    assert declared_ports(["d"], "in")[1][0].hint


def test_names_that_are_taken_or_unreadable_are_refused_with_the_reason() -> None:
    for name in ("list", "task", "_x", "", "1a", "a b", "é", "a" * 64, "a\n", 3, None):
        assert check_port_name(name)
    for name in ("a", "A-b_9", "a" * 63, "lists"):
        assert check_port_name(name) is None


def test_a_declaration_overrides_or_adds_port_by_port() -> None:
    signature = Ports(
        {
            "d": {"type": "number", "default": 12, "description": "from the docstring"},
            "load": {"type": "number"},
            "kept": {"type": "string"},
        },
        frozenset({"load", "kept"}),
    )
    declared, _ = declared_ports(
        {
            "d": "Length[mm]",
            "load": {"type": "Force", "required": False},
            "new": "Float",
        },
        "in",
    )
    merged = overlay(signature, declared)
    assert merged.properties["d"] == {
        "type": "number",
        "x-type": "Length",
        "x-unit": "mm",
        "description": "from the docstring",
        "default": 12,
    }
    assert merged.required == {"kept", "new"}
    assert list(merged.properties) == ["d", "load", "kept", "new"]


def test_a_default_that_the_declared_type_does_not_take_stays_the_functions_own() -> None:
    signature = Ports({"d": {"type": "number", "default": 0}})
    declared, _ = declared_ports({"d": {"type": "Float", "minimum": 1}}, "in")
    merged = overlay(signature, declared)
    assert "default" not in merged.properties["d"]
    assert merged.required == frozenset()


def test_written_required_wins_over_the_signatures_default() -> None:
    signature = Ports({"d": {"type": "number", "default": 0}})
    declared, _ = declared_ports({"d": {"type": "Float", "required": True}}, "in")
    assert overlay(signature, declared).required == {"d"}


def test_open_ports_stay_open_under_a_declaration() -> None:
    declared, _ = declared_ports({"stress": "Stress[MPa]"}, "out")
    merged = overlay(Ports(open={}), declared)
    assert merged.open == {}
    assert merged.required == {"stress"}
