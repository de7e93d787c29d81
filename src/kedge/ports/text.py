"""From a port's schema to the shortest expression for people; the reverse of `expressions`."""

import json
import re
from typing import Any, Final

from kedge.ports.catalogue import QUANTITIES, VECTORS, Schema, named
from kedge.ports.shapes import alternatives, choices_of, field_schemas, form, nominal, unit_of

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_+.-]*", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_VALUES: Final = ("true", "false", "null", "NaN", "Infinity")
_SIMPLE: Final[dict[str, str]] = {
    "any": "Any", "never": "nothing", "null": "null", "boolean": "Boolean", "string": "String",
    "secret": "Secret", "date": "Date", "date-time": "DateTime", "duration": "Duration",
    "folder": "Folder", "table": "Table",
}  # fmt: skip


def format_type(schema: Any) -> str:
    """The shortest expression that says what `schema` says.

    >>> format_type({"type": "array", "items": {"type": "number", "x-type": "Length", "x-unit": "mm"}})
    'list[Length[mm]]'

    What `parse_type` made is read back by it to the same schema. A schema no expression can say
    (a union, a tuple) still prints as something a person understands.
    """
    found, nullable = alternatives(schema)
    text = " | ".join(dict.fromkeys(_single(one) for one in found))
    return f"{text}?" if nullable and len(found) == 1 else f"{text} | null" if nullable else text


def _single(schema: Any) -> str:
    kind = form(schema)
    if kind in ("integer", "number"):
        return _number(schema)
    if kind == "any":
        return "Object" if nominal(schema) == "Object" else "Any"
    if kind == "array":
        return nominal(schema) or "Array"
    if kind == "file":
        extensions = schema.get("x-extensions")
        return f"File[{','.join(map(str, extensions))}]" if extensions else "File"
    if kind == "enum":
        return f"literal[{', '.join(_choice(choice) for choice in choices_of(schema))}]"
    if kind == "list":
        return _list(schema)
    if kind == "dict":
        return f"dict[str, {format_type(schema.get('additionalProperties', {}))}]"
    if kind == "struct":
        return _struct(schema)
    if kind == "union":
        return format_type(schema)
    return _SIMPLE[kind]


def _number(schema: Schema) -> str:
    name, unit = nominal(schema), unit_of(schema)
    if name in QUANTITIES:
        return name if unit in (None, QUANTITIES[name].unit) else f"{name}[{unit}]"
    if name == "Numeric":
        return name
    base = "Integer" if schema.get("type") == "integer" else "Float"
    return f"{base}[{unit}]" if unit else base


def _list(schema: Schema) -> str:
    name = nominal(schema)
    if name == "Matrix":
        return name
    items = schema.get("items", {})
    if name in VECTORS:
        unit, usual = unit_of(items), VECTORS[name]
        plain = unit is None or (usual is not None and unit == QUANTITIES[usual].unit)
        return name if plain else f"{name}[{unit}]"
    if isinstance(first := schema.get("prefixItems"), list):
        return f"tuple[{', '.join(format_type(item) for item in first)}]"
    return f"list[{format_type(items)}]"


def _struct(schema: Schema) -> str:
    if schema == named("Torsor"):
        return "Torsor"
    required = schema.get("required")
    always = required if isinstance(required, list) else []
    fields = [
        f"{_field(name)}{'' if name in always else '?'}: {format_type(field)}"
        for name, field in field_schemas(schema).items()
    ]
    if schema.get("additionalProperties", True) is not False:
        fields.append("...")
    return f"{{{', '.join(fields)}}}"


def _field(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _choice(choice: Any) -> str:
    if isinstance(choice, str) and _BARE.fullmatch(choice) and choice not in _VALUES:
        return choice
    return json.dumps(choice, ensure_ascii=False, default=str)
