"""Values as they are typed: `d=12`, `mesh=@plate.med`, `bolt.d="12 mm"`."""

from typing import Any

import pytest

from kedge.errors import InputError, UsageError
from kedge.ports import check_inputs, declared_ports, parse_type, read_text, set_path

PORTS, _ = declared_ports(
    {
        "bolt": "{d: Length[mm], inner: {n: Integer}}",
        "load": "Torsor",
        "name": "String",
        "more": "dict[str, Float]",
    },
    "in",
)


@pytest.mark.parametrize(
    ("expression", "text", "value"),
    [
        ("Float", "12", 12),
        ("Float", "1.5e3", 1500.0),
        ("Float", "NaN", "NaN"),
        ("Length[mm]", "12 mm", "12 mm"),
        ("Integer", "12", 12),
        ("Boolean", "true", True),
        ("Boolean", "yes", "yes"),
        ("String", "12", "12"),
        ("String", '"12"', "12"),
        ("String", "true", "true"),
        ("String", "null", "null"),
        ("String?", "null", None),
        ("String", "@@home", "@home"),
        ("String", '{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ("String", "[" * 100000, "[" * 100000),
        ("Float?", "null", None),
        ("list[Float]", "[1, 2]", [1, 2]),
        ("list[Float]", '[1, "x"]', [1, "x"]),
        ("list[Float]", "[1,", "[1,"),
        ("{a: Float}", '{"a": 1}', {"a": 1}),
        ("literal[8.8, 10.9]", "8.8", 8.8),
        ("literal['8.8', M12]", "8.8", "8.8"),
        ("literal['8.8', M12]", "M12", "M12"),
        ("Any", "12", 12),
        ("Any", "abc", "abc"),
        ("Date", "2024-05-01", "2024-05-01"),
        ("Secret", '"x"', '"x"'),
        ("File", "@plate.med", "plate.med"),
        ("File", "plate.med", "plate.med"),
        ("File", "@@plate.med", "@plate.med"),
        ("File?", "null", None),
        ("Folder", "case", "case"),
        ("list[File]", "a.csv", ["a.csv"]),
        ("list[File]", '["@a.csv", "b.csv"]', ["a.csv", "b.csv"]),
        ("Array[float64]", "@x.npy", "x.npy"),
    ],
)
def test_text_is_json_where_the_port_takes_it_else_text(
    expression: str, text: str, value: Any
) -> None:
    found = read_text(parse_type(expression), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("String", "@file"),
        ("Float", "@file"),
        ("Any", "[" * 100000 + "]" * 99),
        ("{a: Float}", '{"a": 1, "a": 2}'),
    ],
)
def test_text_that_means_nothing_for_a_port_is_refused_with_a_hint(
    expression: str, text: str
) -> None:
    try:
        found = read_text(parse_type(expression), text)
    except InputError as error:
        assert error.hint
    else:
        assert (expression, found) == ("Any", text)


def test_a_path_sets_a_field_and_leaves_the_rest_and_the_original() -> None:
    before: dict[str, Any] = {"bolt": {"d": 1, "inner": {"n": 1}}}
    after = set_path(before, "bolt.inner.n", "2", PORTS)
    after = set_path(after, "bolt.d", "12 mm", PORTS)
    after = set_path(after, "load.F", "[1, 2, 3]", PORTS)
    after = set_path(after, "more.a", "1", PORTS)
    after = set_path(after, "name", "12", PORTS)
    assert before == {"bolt": {"d": 1, "inner": {"n": 1}}}
    assert after == {
        "bolt": {"d": "12 mm", "inner": {"n": 2}},
        "load": {"force": [1, 2, 3]},
        "more": {"a": 1},
        "name": "12",
    }


def test_a_path_that_no_port_has_is_kept_for_the_check_to_name() -> None:
    values = set_path(set_path({}, "blot.d", "12", PORTS), "bolt.dd", "12", PORTS)
    _, problems = check_inputs(PORTS, values)
    paths = [problem.where.path for problem in problems if problem.where]
    assert "blot" in paths
    assert "bolt.dd" in paths


def test_a_path_into_a_value_without_fields_or_with_an_empty_name_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        set_path({"bolt": 3}, "bolt.d", "12", PORTS)
    assert caught.value.hint
    with pytest.raises(InputError) as caught:
        set_path({}, "bolt.d", "@x", PORTS)
    assert caught.value.message.startswith("`bolt.d`: ")
    for path in ("", ".", "a..b", "a."):
        with pytest.raises(UsageError):
            set_path({}, path, "1", PORTS)
