"""Ports given as JSON Schema: `inputs_schema`, `outputs_schema`, and what a signature was read to.

Both may be anything at all, the first being written by people and the second by the code that is being
described. `schema_ports` refuses what is wrong; `signature_ports` lets the function have the port, as
`{}`, and warns.
"""

from collections.abc import Mapping
from typing import Any, Final

from kedge.errors import Problem, TypeExpressionError, UnitError, Where, nearest
from kedge.ports.catalogue import QUANTITIES, Schema
from kedge.ports.declarations import Direction
from kedge.ports.expressions import parse_type
from kedge.ports.model import Ports
from kedge.ports.names import check_port_name, name_problems
from kedge.ports.references import Standalone, UnusableSchemaError
from kedge.ports.sentences import findings, validator
from kedge.ports.shapes import form, kind_of, nominal
from kedge.ports.text import format_type
from kedge.ports.values import Coercion
from kedge.ports.wording import MOST_PROBLEMS, first_problems, shown

_TOP: Final = frozenset(
    (
        "type", "properties", "required", "additionalProperties", "title", "description", "examples",
        "default", "$schema", "$id", "$defs", "definitions", "$comment",
    )
)  # fmt: skip
_CARRIED: Final = ("file", "folder", "array", "table")


def schema_ports(raw: object, direction: Direction) -> tuple[Ports, list[Problem]]:
    """The ports that a JSON Schema of an object describes, and everything that is wrong with it.

    An output that is not a file is required when the schema has no `required` at all. `where.path` of a
    problem is the path inside the schema (`properties.mesh.x-extensions`). References inside the document
    are followed, others refused. Ports with problems are left out.
    """
    reader = _Reader(raw, direction)
    ports = reader.read()
    return ports, first_problems(reader.problems)


def signature_ports(
    raw: object, direction: Direction
) -> tuple[Ports, list[Problem], list[Problem]]:
    """The ports that a signature was read to, with problems and warnings.

    A port whose schema is not usable is `{}` (any), with a warning that says why; a default that does not
    fit its annotation (`x: int = None`) is left to the function. Names that ports cannot have are problems.
    """
    reader = _Reader(raw, direction)
    reader.lenient = True
    ports = reader.read()
    return ports, reader.problems, reader.warnings


class _Reader:
    def __init__(self, raw: object, direction: Direction) -> None:
        self.raw = raw
        self.direction = direction
        self.lenient = False
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read(self) -> Ports:
        raw = self.raw
        if not isinstance(raw, Mapping) or raw.get("type", "object") != "object":
            message = f"the ports are {shown(raw)}; a JSON Schema of an object is expected"
            self.problems.append(Problem(message, hint="write {type: object, properties: {…}}"))
            return Ports()
        for keyword in raw:
            if keyword not in _TOP:
                close = nearest(keyword, tuple(_TOP)) if isinstance(keyword, str) else None
                hint = (
                    f"did you mean `{close}`?" if close else "describe each port under `properties`"
                )
                self.wrong(str(keyword), f"`{keyword}` is not supported around ports", hint)
        properties = raw.get("properties", {})
        if not isinstance(properties, Mapping):
            self.wrong(
                "properties",
                f"`properties` is {shown(properties)}",
                "write a mapping of names to schemas",
            )
            return Ports()
        for problem in name_problems(properties):
            name = problem.where.path if problem.where else ""
            self.wrong(f"properties.{name}", problem.message, problem.hint or "choose another name")
        documents = Standalone(dict(raw))
        ports: dict[str, Schema] = {}
        for name, schema in properties.items():
            if len(self.problems) > MOST_PROBLEMS:
                break
            if (
                not check_port_name(name)
                and (port := self.port(documents, schema, f"properties.{name}")) is not None
            ):
                ports[name] = port
        rest = self.rest(documents)
        return Ports(ports, self.required(properties, ports), rest)

    def rest(self, documents: Standalone) -> Schema | None:
        assert isinstance(self.raw, Mapping)
        rest = self.raw.get("additionalProperties", "properties" not in self.raw)
        if rest is False:
            return None
        return {} if rest is True else self.port(documents, rest, "additionalProperties")

    def required(
        self, properties: Mapping[str, Any], ports: Mapping[str, Schema]
    ) -> frozenset[str]:
        assert isinstance(self.raw, Mapping)
        if "required" not in self.raw:
            if self.direction == "in":
                return frozenset()
            return frozenset(name for name, port in ports.items() if kind_of(port) == "value")
        required = self.raw["required"]
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            self.wrong("required", f"`required` is {shown(required)}", "write a list of names")
            return frozenset()
        for name in required:
            if name not in properties:
                close = nearest(name, [known for known in properties if isinstance(known, str)])
                hint = f"did you mean `{close}`?" if close else "add it to `properties`"
                self.wrong(
                    "required",
                    f"`required` names `{name}`, which is not among the properties",
                    hint,
                )
        return frozenset(name for name in required if name in ports)

    def port(self, documents: Standalone, raw: object, path: str) -> Schema | None:
        """One port's schema; None (or, for a signature, any) when it is not usable."""
        before = len(self.problems)
        schema = self.usable(documents, raw, path)
        if len(self.problems) == before:
            return schema
        if not self.lenient:
            return None
        self.warnings += self.problems[before:]
        del self.problems[before:]
        return {}

    def usable(self, documents: Standalone, raw: object, path: str) -> Schema | None:
        try:
            schema = documents.schema(raw)
        except UnusableSchemaError as error:
            self.wrong(
                path,
                f"the schema of `{_last(path)}` is refused: {error}",
                "write a plain JSON Schema",
            )
            return None
        if not self.is_schema(schema, path):
            return None
        before = len(self.problems)
        schema = dict(self.named(schema, path, top=True))
        if len(self.problems) > before:
            return None
        if "default" in schema:
            self.default(schema, path)
        return schema

    def is_schema(self, schema: Schema, path: str) -> bool:
        from jsonschema_rs import ValidationError

        try:
            validator(schema)
        except ValidationError as error:
            inside = ".".join(str(part) for part in error.instance_path)
            message = (
                f"the schema of `{_last(path)}` is not valid JSON Schema: {error.message[:200]}"
            )
            self.wrong(f"{path}.{inside}" if inside else path, message, "see JSON Schema 2020-12")
            return False
        return True

    def default(self, schema: Schema, path: str) -> None:
        name = _last(path)
        coercion = Coercion(schema, from_people=False)
        place = (name, "default")
        read = coercion.read(schema, schema["default"], place)
        wrong = coercion.problems + findings(schema, read, place, coercion.failed)
        if wrong and self.lenient:
            del schema["default"]
        elif wrong:
            self.wrong(
                f"{path}.default", wrong[0].message, wrong[0].hint or "give a default that fits"
            )

    def named(self, schema: Any, path: str, *, top: bool) -> Any:
        """A schema with its nominal types, units and extensions in the one form, and all inside it too."""
        if not isinstance(schema, dict):
            return schema
        schema = self.measured(self.filled(schema, path), path)
        kind = form(schema)
        if kind in _CARRIED:
            self.extensions(schema, path)
            if not top:
                hint = "make it a port of its own, or a list of files"
                self.wrong(path, "a file cannot be a part of another value", hint)
        elif "x-extensions" in schema:
            hint = "add `type: string` and `format: binary`"
            self.wrong(f"{path}.x-extensions", "only a file has `x-extensions`", hint)
        for key in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(key), list):
                schema[key] = [
                    self.named(one, f"{path}.{key}.{at}", top=top) for at, one in enumerate(choices)
                ]
        if isinstance(fields := schema.get("properties"), dict):
            schema["properties"] = {
                name: self.named(one, f"{path}.properties.{name}", top=False)
                for name, one in fields.items()
            }
        for key in ("items", "additionalProperties"):
            if key in schema:
                files = top and key == "items" and form(schema[key]) == "file"
                schema[key] = self.named(schema[key], f"{path}.{key}", top=files)
        if isinstance(first := schema.get("prefixItems"), list):
            schema["prefixItems"] = [
                self.named(one, f"{path}.prefixItems.{at}", top=False)
                for at, one in enumerate(first)
            ]
        return schema

    def filled(self, schema: Schema, path: str) -> Schema:
        """A schema whose `x-type` is known and agrees with the rest; filled in where it says no more."""
        if "x-type" not in schema:
            return schema
        name = schema["x-type"]
        try:
            full = parse_type(name) if isinstance(name, str) else None
        except TypeExpressionError as error:
            self.wrong(f"{path}.x-type", error.message, error.hint or "see the types of ports")
            return schema
        if full is None or full.get("x-type") != name:
            hint = "use a type that has a name of its own, such as `Length`"
            self.wrong(f"{path}.x-type", f"`x-type` cannot be {shown(name)}", hint)
            return schema
        if name == "Object" and self.direction == "out":
            self.wrong(f"{path}.x-type", "an Object can only be an input", "leave `x-type` out")
        if "type" in schema and schema["type"] != full.get("type"):
            message = f"`x-type: {name}` is {full.get('type', 'any value')}, `type` says {shown(schema['type'])}"
            self.wrong(f"{path}.type", message, "leave `type` out")
        if name in QUANTITIES and "x-unit" in schema:
            full.pop("x-unit")
        return {**full, **schema}

    def measured(self, schema: Schema, path: str) -> Schema:
        """A schema whose `x-unit` is known, fits its quantity, and stands at the numbers it is about."""
        if "x-unit" not in schema:
            return schema
        unit = schema["x-unit"]
        if not isinstance(unit, str):
            self.wrong(f"{path}.x-unit", f"`x-unit` is {shown(unit)}", "write a unit such as `mm`")
            return schema
        if schema.get("type") == "array" and isinstance(items := schema.get("items"), dict):
            rest = {key: value for key, value in schema.items() if key != "x-unit"}
            return {**rest, "items": {**items, "x-unit": unit}}
        if form(schema) not in ("number", "integer"):
            message = f"`x-unit` belongs to a number, and this is {format_type(schema)}"
            self.wrong(f"{path}.x-unit", message, "use `type: number`")
            return schema
        from kedge.ports.units import check_quantity, reduce

        name = nominal(schema)
        try:
            if name in QUANTITIES:
                if unit != QUANTITIES[name].unit:
                    check_quantity(name, unit)
            else:
                reduce(unit)
        except UnitError as error:
            self.wrong(f"{path}.x-unit", error.message, error.hint or "write a unit such as `mm`")
        return {"type": "number", **schema}

    def extensions(self, schema: Schema, path: str) -> None:
        if "x-extensions" not in schema:
            return
        given = schema["x-extensions"]
        if not isinstance(given, list) or not all(
            isinstance(one, str) and one.strip(".") for one in given
        ):
            message = f"`x-extensions` is {shown(given)}"
            self.wrong(f"{path}.x-extensions", message, "write a list: [pdf, png]")
            return
        schema["x-extensions"] = list(dict.fromkeys(one.lstrip(".").lower() for one in given))

    def wrong(self, path: str, message: str, hint: str) -> None:
        self.problems.append(Problem(message, Where(path=path), hint))


def _last(path: str) -> str:
    return path.rpartition(".")[2]
