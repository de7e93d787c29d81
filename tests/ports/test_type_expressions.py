"""Type expressions: what each means, how it prints, and how a wrong one is explained."""

import pytest

from kedge.errors import TypeExpressionError
from kedge.ports import format_type, parse_type

NUMBER = {"type": "number"}


@pytest.mark.parametrize(
    ("expression", "schema"),
    [
        ("Float", NUMBER),
        ("Integer", {"type": "integer"}),
        ("Numeric", {"type": "number", "x-type": "Numeric"}),
        ("Boolean", {"type": "boolean"}),
        ("String", {"type": "string"}),
        ("Any", {}),
        ("Object", {"x-type": "Object"}),
        ("Secret", {"type": "string", "x-type": "Secret"}),
        ("Date", {"type": "string", "format": "date"}),
        ("DateTime", {"type": "string", "format": "date-time"}),
        ("Duration", {"type": "string", "format": "duration"}),
        ("Length", {"type": "number", "x-type": "Length", "x-unit": "m"}),
        ("Length[mm]", {"type": "number", "x-type": "Length", "x-unit": "mm"}),
        ("Moment[N*mm]", {"type": "number", "x-type": "Moment", "x-unit": "N*mm"}),
        ("Float[mm^4]", {"type": "number", "x-unit": "mm^4"}),
        ("File", {"type": "string", "format": "binary"}),
        ("File[PDF]", {"type": "string", "format": "binary", "x-extensions": ["pdf"]}),
        (
            "File[step, .IGES]",
            {"type": "string", "format": "binary", "x-extensions": ["step", "iges"]},
        ),
        ("Folder", {"type": "string", "format": "binary", "x-type": "Folder"}),
        ("list[Float]", {"type": "array", "items": NUMBER}),
        ("dict[str, Float]", {"type": "object", "additionalProperties": NUMBER}),
        ("literal[a, b c, 1, 2.5, true]", {"enum": ["a", "b c", 1, 2.5, True]}),
        ("literal['x, y', \"8.8\"]", {"enum": ["x, y", "8.8"]}),
        ("Float?", {"anyOf": [NUMBER, {"type": "null"}]}),
        (
            "{a: Float, b?: Float}",
            {
                "type": "object",
                "properties": {"a": NUMBER, "b": NUMBER},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            "Array[float64, 2]",
            {
                "type": "string",
                "format": "binary",
                "x-type": "Array[float64, 2]",
                "x-extensions": ["npy"],
            },
        ),
        (
            "Vector3",
            {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3, "x-type": "Vector3"},
        ),
    ],
)
def test_an_expression_means_one_schema_and_prints_back(expression: str, schema: object) -> None:
    found = parse_type(expression)
    assert found == schema
    assert parse_type(format_type(found)) == found


def test_a_mapping_is_a_struct_and_the_same_as_its_text() -> None:
    assert parse_type({"F": "Force3", "inner": {"a?": "list[Float]"}}) == parse_type(
        "{F: Force3, inner: {a?: list[Float]}}"
    )


def test_a_torsor_is_the_struct_of_a_force_and_a_moment() -> None:
    torsor = parse_type("Torsor")
    assert torsor["properties"] == {
        "force": parse_type("Force3"),
        "moment": parse_type("Moment3"),
    }
    assert format_type(torsor) == "Torsor"


def test_the_canonical_unit_is_not_printed() -> None:
    assert format_type(parse_type("Stress[Pa]")) == "Stress"
    assert format_type(parse_type("list[Stress[MPa]]?")) == "list[Stress[MPa]]?"


@pytest.mark.parametrize(
    ("expression", "column", "words", "hint"),
    [
        ("Lenght", 1, "`Lenght` is not a type", "`Length`"),
        ("list[Flot]", 6, "`Flot` is not a type", "`Float`"),
        ("float", 1, "`float` is not a type", "`Float`"),
        ("Dict[str, Float]", 1, "`Dict` is not a type", "dict[str, Float]"),
        ("list", 1, "needs brackets", "list[Float]"),
        ("list[Float", 11, "`]` is missing where it ends", "close it"),
        ("dict[int, Float]", 6, "the keys of a dict", "dict[str, T]"),
        ("Float Float", 7, "`F` is out of place", "one type"),
        ("Float??", 7, "second `?`", "remove"),
        ("", 1, "the type is empty", "Float"),
        ("Stress[mm]", 8, "`mm` is a length, `Stress` is a stress", "Stress[Pa]"),
        ("Stress[Mpa]", 8, "`Mpa` is not a unit", "`MPa`"),
        ("Temperature[C]", 13, "`Temperature` is a temperature", "degC"),
        ("Frequency[rpm]", 11, "an angular velocity", "Float[rpm]"),
        ("String[mm]", 7, "takes nothing in brackets", "`String`"),
        ("File[]", 6, "an extension is missing", "File[pdf]"),
        ("Array[float]", 7, "`float` is not an element type", "Array[float64]"),
        ("Array[float64, 99]", 16, "1 to 32", "Array[float64, 2]"),
        ("literal[a, a]", 12, "twice", "remove"),
        ("{a: Float, a: Float}", 12, "twice", "remove"),
        ("{a Float}", 4, "`:` is missing", "{a: Float"),
        ("{a: File}", 5, "cannot be a part of a struct", "port of its own"),
        ("list[Folder]", 6, "a list cannot hold `Folder`", "list[File]"),
        ("list[list[File]]", 6, "cannot hold", "list[File]"),
        ("dict[str, File]", 11, "a dict cannot hold `File`", "list[File]"),
        ("list[" * 40 + "Float" + "]" * 40, 121, "nested too deeply", "levels"),
        ("Float[m**9**9**9]", 7, "not a unit", "mm"),
        ("Float[dB]", 7, "logarithmic", "Float"),
    ],
)
def test_a_wrong_expression_is_explained_with_its_column_and_a_hint(
    expression: str, column: int, words: str, hint: str
) -> None:
    with pytest.raises(TypeExpressionError) as caught:
        parse_type(expression)
    assert caught.value.where is not None
    assert caught.value.where.column == column
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_every_wrong_field_of_a_mapping_is_named_with_its_path() -> None:
    with pytest.raises(TypeExpressionError) as caught:
        parse_type({"a": "Flot", "b": {"c": "list[Strng]"}, True: "Float", "d": 3})
    paths = [problem.where.path for problem in caught.value.problems if problem.where]
    assert paths == ["a", "b.c", None, "d"]
    assert [problem.where.column for problem in caught.value.problems if problem.where][:2] == [
        1,
        6,
    ]


def test_a_mapping_that_holds_itself_is_refused() -> None:
    endless: dict[str, object] = {"a": "Float"}
    endless["b"] = endless
    endless["c"] = endless
    with pytest.raises(TypeExpressionError):
        parse_type(endless)


@pytest.mark.parametrize("expression", [None, 3, ["Float"], {}, {"a": None}, b"Float", True])
def test_what_is_no_expression_is_refused(expression: object) -> None:
    with pytest.raises(TypeExpressionError) as caught:
        parse_type(expression)
    assert all(problem.hint for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": ["number", "null"]}, "Float?"),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, "Float | String"),
        ({"type": "object"}, "dict[str, Any]"),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, "{a?: Integer, ...}"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, True]}, "tuple[Integer, Any]"),
        ({"type": "string", "pattern": "a+"}, "String"),
        ({"const": "a"}, "literal[a]"),
        ({"not": {}}, "Any"),
        ({"enum": [{"a": 1}]}, 'literal[{"a": 1}]'),
        (False, "nothing"),
    ],
)
def test_a_schema_that_no_expression_says_still_prints(schema: object, text: str) -> None:
    assert format_type(schema) == text
