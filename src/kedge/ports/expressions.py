"""From a type expression to a port's schema; `text` is the way back.

    type    = core [ "?" ]
    core    = name | quantity "[" unit "]" | "File" "[" extension {"," extension} "]"
            | "list" "[" type "]" | "dict" "[" "str" "," type "]" | "literal" "[" value {"," value} "]"
            | "Array" "[" dtype [ "," dimensions ] "]" | "{" field {"," field} "}"
    field   = name [ "?" ] ":" type              ("?" after the name: the field may be left out)

The forms, each the one that a Python annotation of the same meaning compiles to as well:

| expression | schema |
|---|---|
| `Float` | `{"type": "number"}` |
| `Integer`, `Boolean`, `String` | `{"type": "integer"}`, `"boolean"`, `"string"` |
| `Numeric` | `{"type": "number", "x-type": "Numeric"}` |
| `Length`, `Length[mm]` | `{"type": "number", "x-type": "Length", "x-unit": "m"}`, `"mm"` |
| `Float[mm^4]`, `Integer[mm]` | `{"type": "number", "x-unit": "mm^4"}`: the quantity of that dimension |
| `Vector3` | `{"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3, "x-type": "Vector3"}` |
| `Force3`, `Force3[kN]` | the same with `Force`, `Force[kN]` items and `"x-type": "Force3"` |
| `Torsor` | the object of `force` and `moment`, `"x-type": "Torsor"` |
| `Matrix` | array of array of number, `"x-type": "Matrix"` |
| `File`, `File[pdf]` | `{"type": "string", "format": "binary"}`, `"x-extensions": ["pdf"]` |
| `Folder` | the same with `"x-type": "Folder"` |
| `Array[float64, 2]` | the same with `"x-type": "Array[float64, 2]", "x-extensions": ["npy"]` |
| `Table` | the same with `"x-type": "Table", "x-extensions": ["parquet", "arrow"]` |
| `list[T]`, `dict[str, T]` | `{"type": "array", "items": T}`, `{"type": "object", "additionalProperties": T}` |
| `literal[a, 1]` | `{"enum": ["a", 1]}` |
| `{a: T, b?: T}` | `{"type": "object", "properties": …, "required": ["a"], "additionalProperties": false}` |
| `T?` | `{"anyOf": [T, {"type": "null"}]}` |
| `Date`, `DateTime`, `Duration` | `{"type": "string", "format": "date"}`, `"date-time"`, `"duration"` |
| `Secret` | `{"type": "string", "x-type": "Secret"}` |
| `Any`, `Object` | `{}`, `{"x-type": "Object"}` |

A unit's text is kept as its author wrote it. Files, folders, arrays and tables are ports of their own
or, for files, lists of them: they are not fields.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from kedge.errors import Problem, TypeExpressionError, Where
from kedge.ports.catalogue import Schema
from kedge.ports.shapes import kind_of
from kedge.ports.type_text import DEEPEST, Budget, TypeText, struct_of
from kedge.ports.wording import is_unicode, shown


def parse_type(expression: object) -> Schema:
    """The schema of a type expression, given as text or as the mapping of a struct.

    >>> parse_type("list[Float]?")
    {'anyOf': [{'type': 'array', 'items': {'type': 'number'}}, {'type': 'null'}]}

    Raises TypeExpressionError; its `where.column` counts characters of the text from 1, its `where.path`
    is the field of a mapping.
    """
    return _Expression().any(expression, "", 0)


class _Expression:
    """One expression with all that is nested in it, and the budget they share."""

    def __init__(self) -> None:
        self.budget = Budget()

    def any(self, expression: object, path: str, depth: int) -> Schema:
        if isinstance(expression, str):
            try:
                return TypeText(expression, self.budget, depth).read()
            except TypeExpressionError as error:
                column = error.where.column if error.where else None
                where = Where(column=column, path=path or None)
                raise TypeExpressionError(error.message, where=where, hint=error.hint) from None
        if isinstance(expression, Mapping):
            return self.mapping(expression, path, depth)
        if expression is None:
            _refuse("there is no type", "write one, such as `Float` or `Length[mm]`", path)
        hint = "a type is text such as `Float`, or a mapping of fields"
        return _refuse(f"{shown(expression)} is not a type", hint, path)

    def mapping(self, fields: Mapping[Any, Any], path: str, depth: int) -> Schema:
        if depth >= DEEPEST:
            _refuse("the struct is nested too deeply", f"nest at most {DEEPEST} levels", path)
        if not fields:
            _refuse("the struct has no fields", "write `{a: Float}`, or `dict[str, Any]`", path)
        found: dict[str, Schema] = {}
        required: list[str] = []
        problems: list[Problem] = []
        for name, expression in fields.items():
            try:
                self.field(name, expression, path, depth, found, required)
            except TypeExpressionError as error:
                if self.budget.left < 0:
                    raise
                problems += error.problems
        if problems:
            raise TypeExpressionError.of(problems, path or "the struct")
        return struct_of(found, required)

    def field(
        self,
        name: object,
        expression: object,
        path: str,
        depth: int,
        found: dict[str, Schema],
        required: list[str],
    ) -> None:
        if not isinstance(name, str):
            message = f"the field name `{name!r}` is not text"
            _refuse(message, "quote it: YAML reads on, off, yes, no and numbers as values", path)
        if not is_unicode(name):
            _refuse(f"the field name {name!a} is not valid Unicode", "write it as UTF-8", path)
        plain = name.removesuffix("?")
        inside = f"{path}.{name}" if path else name
        if not plain or plain in found:
            _refuse(
                f"the field `{name}` is empty or written twice",
                "give each field a name",
                inside,
            )
        self.budget.spend(inside)
        found[plain] = self.any(expression, inside, depth + 1)
        if kind_of(found[plain]) != "value":
            message = f"the field `{plain}` is a file, which cannot be a part of a struct"
            _refuse(message, "make it a port of its own", inside)
        if plain == name:
            required.append(plain)


def _refuse(message: str, hint: str, path: str | None) -> NoReturn:
    raise TypeExpressionError(message, where=Where(path=path or None), hint=hint)
