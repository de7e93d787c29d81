"""The manifest's `inputs:` and `outputs:` blocks: `name: Type`, or a mapping with `type` and more."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from kedge.errors import Problem, TypeExpressionError, Where, nearest
from kedge.ports.catalogue import Schema
from kedge.ports.expressions import parse_type
from kedge.ports.model import Ports
from kedge.ports.names import check_port_name, name_problems
from kedge.ports.sentences import findings
from kedge.ports.shapes import form, holds_secret, kind_of, nominal, present
from kedge.ports.values import Coercion
from kedge.ports.wording import MOST_PROBLEMS, first_problems, shown

type Direction = Literal["in", "out"]

_KEYS: Final = ("type", "description", "required", "default", "minimum", "maximum", "examples")


def declared_ports(raw: object, direction: Direction) -> tuple[Ports, list[Problem]]:
    """The ports of one block and everything that is wrong with it.

    `where.path` of a problem is the path inside the block (`diameter.type`), `where.column` the character
    inside a type expression. Ports with problems are left out.

    >>> declared_ports({"diameter": "Length[mm]"}, "in")[0].properties["diameter"]["x-unit"]
    'mm'
    """
    if raw is None:
        return Ports(), []
    block = "inputs" if direction == "in" else "outputs"
    if not isinstance(raw, Mapping):
        message = f"`{block}` is {shown(raw)}; a mapping of names to types is expected"
        return Ports(), [Problem(message, hint=f"write `{block}: {{diameter: Length[mm]}}`")]
    problems = name_problems(raw)
    properties: dict[str, Schema] = {}
    required: set[str] = set()
    decided: set[str] = set()
    for name, port in raw.items():
        if check_port_name(name):
            continue
        if len(problems) > MOST_PROBLEMS:
            break
        reader = _Port(name, direction)
        schema = reader.read(port)
        problems += reader.problems
        if reader.problems or schema is None:
            continue
        properties[name] = schema
        if reader.required:
            required.add(name)
        if reader.decided:
            decided.add(name)
    return Ports(properties, frozenset(required), None, frozenset(decided)), first_problems(
        problems
    )


class _Port:
    """One declaration being read."""

    def __init__(self, name: str, direction: Direction) -> None:
        self.name = name
        self.direction = direction
        self.required = True
        self.decided = False
        self.problems: list[Problem] = []

    def read(self, raw: object) -> Schema | None:
        if not isinstance(raw, Mapping) or not self.is_full(raw):
            schema = self.type(raw, self.name)
            return schema and self.directed(schema, self.name)
        for key in raw:
            if key not in _KEYS:
                close = nearest(key, _KEYS) if isinstance(key, str) else None
                hint = f"did you mean `{close}`?" if close else f"a port has {', '.join(_KEYS)}"
                self.wrong(str(key), f"a port has no `{key}`", hint)
        if "type" not in raw:
            self.wrong("", f"`{self.name}` has no `type`", "add one: `type: Length[mm]`")
            return None
        schema = self.type(raw["type"], f"{self.name}.type")
        if schema is None or self.directed(schema, f"{self.name}.type") is None:
            return None
        self.described(raw, schema)
        self.requirement(raw, schema)
        schema = self.bounded(raw, schema)
        self.default(raw, schema)
        self.examples(raw, schema)
        return schema

    def is_full(self, raw: Mapping[Any, Any]) -> bool:
        """Whether a mapping is a port with keys, and not the fields of a struct."""
        return "type" in raw or (bool(raw) and all(key in _KEYS for key in raw))

    def type(self, expression: object, path: str) -> Schema | None:
        try:
            return parse_type(expression)
        except TypeExpressionError as error:
            for problem in error.problems:
                inside = problem.where.path if problem.where else None
                column = problem.where.column if problem.where else None
                where = Where(column=column, path=f"{path}.{inside}" if inside else path)
                self.problems.append(Problem(problem.message, where, problem.hint))
            return None

    def directed(self, schema: Schema, path: str) -> Schema | None:
        inner, _ = present(schema)
        if self.direction == "out" and nominal(inner) == "Object":
            message = f"`{self.name}` is an Object, which only inputs may be"
            self.problems.append(
                Problem(message, Where(path=path), "use `Any`, or `dict[str, Any]`")
            )
            return None
        return schema

    def described(self, raw: Mapping[Any, Any], schema: Schema) -> None:
        if "description" not in raw:
            return
        if isinstance(raw["description"], str):
            schema["description"] = raw["description"]
        else:
            self.wrong(
                "description",
                f"the description is {shown(raw['description'])}",
                "write text, in quotes",
            )

    def requirement(self, raw: Mapping[Any, Any], schema: Schema) -> None:
        self.decided = "required" in raw
        self.required = "default" not in raw
        if not self.decided:
            return
        if not isinstance(raw["required"], bool):
            self.wrong("required", f"`required` is {shown(raw['required'])}", "write true or false")
            return
        self.required = raw["required"]
        if self.direction == "out" and not self.required and kind_of(schema) == "value":
            message = f"`{self.name}` is not a file, and among outputs only files may be left out"
            self.wrong(
                "required", message, "remove `required: false`, or use a type such as `Float?`"
            )

    def bounded(self, raw: Mapping[Any, Any], schema: Schema) -> Schema:
        inner, nullable = present(schema)
        bounds: dict[str, float] = {}
        for key in ("minimum", "maximum"):
            if key not in raw:
                continue
            if form(inner) not in ("number", "integer"):
                message = f"`{self.name}` is not a number, and only numbers have a `{key}`"
                self.wrong(key, message, f"remove `{key}`")
                continue
            value = self.value(inner, raw[key], key)
            if value is not None:
                bounds[key] = value
        if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
            message = (
                f"the minimum {bounds['minimum']:g} is above the maximum {bounds['maximum']:g}"
            )
            self.wrong("minimum", message, "exchange the two")
        if not bounds:
            return schema
        inner = {**inner, **bounds}
        return {**schema, "anyOf": [inner, {"type": "null"}]} if nullable else {**schema, **bounds}

    def default(self, raw: Mapping[Any, Any], schema: Schema) -> None:
        if "default" not in raw:
            return
        if self.direction == "out":
            self.wrong("default", "an output has no default", "remove `default`")
        elif kind_of(schema) != "value":
            hint = "use `required: false`, and let the code find its own file"
            self.wrong("default", "a file has no default", hint)
        elif holds_secret(schema):
            hint = "remove it; the secret is given with the run"
            self.wrong("default", "a Secret has no default: it would stand in the manifest", hint)
        elif not (value := self.checked(schema, raw["default"], "default")).problems:
            schema["default"] = value.read_value

    def examples(self, raw: Mapping[Any, Any], schema: Schema) -> None:
        if "examples" not in raw:
            return
        examples = raw["examples"]
        if not isinstance(examples, list):
            self.wrong("examples", f"`examples` is {shown(examples)}", "write a list: `[12, 16]`")
            return
        if kind_of(schema) != "value" or holds_secret(schema):
            self.wrong(
                "examples", "a file or a Secret has no examples", "say it in the description"
            )
            return
        found = [
            self.checked(schema, example, "examples", index)
            for index, example in enumerate(examples)
        ]
        if not any(one.problems for one in found):
            schema["examples"] = [one.read_value for one in found]

    def value(self, schema: Schema, value: object, key: str) -> Any:
        """A bound in the port's unit, None when it is not one."""
        found = self.checked(schema, value, key)
        return None if found.problems else found.read_value

    def checked(self, schema: Schema, value: object, *place: str | int) -> "_Checked":
        coercion = Coercion(schema, from_people=True)
        full = (self.name, *place)
        read = coercion.read(schema, value, full)
        problems = coercion.problems
        if full not in coercion.failed:
            problems = problems + findings(schema, read, full, coercion.failed)
        self.problems += problems
        return _Checked(read, problems)

    def wrong(self, key: str, message: str, hint: str) -> None:
        where = Where(path=f"{self.name}.{key}" if key else self.name)
        self.problems.append(Problem(message, where, hint))


class _Checked:
    """A value as its port reads it, and what is wrong with it."""

    __slots__ = ("problems", "read_value")

    def __init__(self, read_value: Any, problems: list[Problem]) -> None:
        self.read_value = read_value
        self.problems = problems
