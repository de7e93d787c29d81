"""The quick yes: values of plain types that are plainly right.

`kedge run` of an ordinary function checks a few numbers and texts. This says yes to those without
loading the schema validator (half of a small command's imports); everything else, and everything that
is wrong, is the validator's to judge and to explain.
"""

from typing import Any, Final

from kedge.ports.shapes import ANNOTATIONS

_KNOWN: Final = ANNOTATIONS | {
    "type", "x-type", "x-unit", "minimum", "maximum", "items", "properties", "required",
    "additionalProperties", "enum", "anyOf",
}  # fmt: skip


def plainly_valid(schema: Any, value: Any) -> bool:
    """Whether `value` is surely valid. False says nothing."""
    if not isinstance(schema, dict) or not _KNOWN.issuperset(schema):
        return False
    if "anyOf" in schema:
        return len(schema.keys() - ANNOTATIONS) == 1 and any(
            plainly_valid(one, value) for one in schema["anyOf"]
        )
    if "enum" in schema:
        return "type" not in schema and any(
            type(choice) is type(value) and choice == value for choice in schema["enum"]
        )
    match schema.get("type"):
        case "number":
            return type(value) in (int, float) and _within(schema, value)
        case "integer":
            return type(value) is int and _within(schema, value)
        case "string":
            return type(value) is str
        case "boolean":
            return type(value) is bool
        case "null":
            return value is None
        case "array":
            items = schema.get("items", {})
            return type(value) is list and all(plainly_valid(items, element) for element in value)
        case "object":
            return type(value) is dict and _object(schema, value)
        case None:
            return not schema.keys() - ANNOTATIONS - {"x-type"}
    return False


def _within(schema: dict[str, Any], value: float) -> bool:
    if not float("-inf") < value < float("inf"):
        return False
    low, high = schema.get("minimum"), schema.get("maximum")
    return bool((low is None or value >= low) and (high is None or value <= high))


def _object(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    fields, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    if not all(name in value for name in schema.get("required", ())):
        return False
    return all(
        plainly_valid(fields[key], field)
        if key in fields
        else plainly_valid({} if rest is True else rest, field)
        for key, field in value.items()
    )
