"""Reading a port's schema: which form it has, whether it may be null, what it carries.

Schemas come from expressions, from Python signatures and from people, so the same port can be written
in several ways (`type: [number, "null"]`, `anyOf`). Everything that works on ports looks at them
through these few functions.
"""

from typing import Any, Final, Literal

from kedge.ports.catalogue import Schema

type Kind = Literal["value", "file", "files", "folder", "array", "table"]
type Form = Literal[
    "any", "never", "null", "boolean", "integer", "number", "string", "secret", "date", "date-time",
    "duration", "enum", "list", "struct", "dict", "file", "folder", "array", "table", "union",
]  # fmt: skip

ANNOTATIONS: Final = frozenset(
    (
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
    )
)
"""Keywords that say something to people and nothing about values."""

_FORMATS: Final[dict[object, Form]] = {
    "date": "date",
    "date-time": "date-time",
    "duration": "duration",
}
_SIMPLE: Final[dict[object, Form]] = {
    "null": "null",
    "boolean": "boolean",
    "integer": "integer",
    "number": "number",
}


def alternatives(schema: Any) -> tuple[list[Any], bool]:
    """The non-null schemas a value may follow, and whether it may be null.

    >>> alternatives({"anyOf": [{"type": "number"}, {"type": "null"}]})
    ([{'type': 'number'}], True)
    """
    if not isinstance(schema, dict):
        return [schema], False
    if isinstance(types := schema.get("type"), list):
        found = [{**schema, "type": name} for name in types if name != "null"]
        return found or [{"type": "null"}], "null" in types and bool(found)
    for keyword in ("anyOf", "oneOf"):
        choices = schema.get(keyword)
        # Beside a `type`, alternatives only say more about one kind of value.
        if isinstance(choices, list) and choices and "type" not in schema:
            nested = [alternatives(choice) for choice in choices if choice != {"type": "null"}]
            found = [one for several, _ in nested for one in several]
            nullable = len(nested) < len(choices) or any(null for _, null in nested)
            return found or [{"type": "null"}], nullable and bool(found)
    return [schema], False


def present(schema: Any) -> tuple[Any, bool]:
    """The schema of a value that is there, and whether null may stand for it."""
    found, nullable = alternatives(schema)
    if len(found) == 1:
        return found[0], nullable
    return {"anyOf": found}, nullable


def form(schema: Any) -> Form:
    """Which form a schema has once null is set aside; `any` for what says nothing about the value."""
    if not isinstance(schema, dict):
        return "never" if schema is False else "any"
    found, _ = alternatives(schema)
    if len(found) > 1:
        return "union"
    if found[0] is not schema:
        return form(found[0])
    if "enum" in schema or "const" in schema:
        return "enum"
    kind = schema.get("type")
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind == "string":
        return _text_form(schema)
    if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
        return "list"
    if kind == "object" or (
        kind is None and ("properties" in schema or "additionalProperties" in schema)
    ):
        return (
            "struct"
            if schema.get("properties") or schema.get("additionalProperties") is False
            else "dict"
        )
    return "number" if kind is None and "x-unit" in schema else "any"


def _text_form(schema: Schema) -> Form:
    name = schema.get("x-type")
    if schema.get("format") == "binary":
        if name == "Folder":
            return "folder"
        if name == "Table":
            return "table"
        return "array" if isinstance(name, str) and name.startswith("Array[") else "file"
    if name == "Secret":
        return "secret"
    return _FORMATS.get(schema.get("format"), "string")


def kind_of(schema: Schema) -> Kind:
    """How a port travels: as a value in data.json, or as files.

    >>> kind_of({"type": "array", "items": {"type": "string", "format": "binary"}})
    'files'
    """
    kind = schema.get("type")
    if type(kind) is str and kind != "array" and schema.get("format") != "binary":
        return "value"  # most are, and it is asked often
    if not schema:
        return "value"  # anything
    inner, _ = present(schema)
    match form(inner):
        case "file" | "folder" | "array" | "table" as carried:
            return carried
        case "list" if form(inner.get("items", {})) == "file":
            return "files"
    return "value"


def extensions_of(schema: Schema) -> tuple[str, ...]:
    """The permitted extensions of a file port, lower case and without the dot; empty when any may be."""
    inner, _ = present(schema)
    if isinstance(inner, dict) and form(inner) == "list":
        inner = inner.get("items")
    found = inner.get("x-extensions") if isinstance(inner, dict) else None
    return tuple(found) if isinstance(found, list) else ()


def choices_of(schema: Schema) -> list[Any]:
    """The values of an enumeration."""
    return [schema["const"]] if "const" in schema else list(schema["enum"])


def field_schemas(schema: Schema) -> dict[str, Any]:
    """The named fields of a struct, in order."""
    fields = schema.get("properties")
    return fields if isinstance(fields, dict) else {}


def element_schema(schema: Schema, index: int) -> Any:
    """The schema of a list's element at `index`."""
    first = schema.get("prefixItems")
    if isinstance(first, list) and index < len(first):
        return first[index]
    return schema.get("items", {})


def entry_schema(schema: Schema, key: str) -> Any:
    """The schema of an object's entry `key`: its field, or that of entries that have no name."""
    fields = field_schemas(schema)
    return fields[key] if key in fields else schema.get("additionalProperties", {})


def nominal(schema: Any) -> str | None:
    """The `x-type` of a schema."""
    name = schema.get("x-type") if isinstance(schema, dict) else None
    return name if isinstance(name, str) else None


def unit_of(schema: Any) -> str | None:
    """The `x-unit` of a schema."""
    unit = schema.get("x-unit") if isinstance(schema, dict) else None
    return unit if isinstance(unit, str) else None


def holds_secret(schema: Any) -> bool:
    """Whether a value of this schema contains a Secret anywhere."""
    if isinstance(schema, dict):
        if schema.get("x-type") == "Secret":
            return True
        for key, part in schema.items():
            if isinstance(part, dict | list) and key not in ANNOTATIONS and holds_secret(part):
                return True
        return False
    return isinstance(schema, list) and any(holds_secret(part) for part in schema)


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON scalars are the same; true is not 1, as Python has it."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
