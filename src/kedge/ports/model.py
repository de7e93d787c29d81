"""The ports of one side of a function, and how a declaration lies over a signature."""

from collections.abc import Mapping
from typing import Any

from kedge.data import Data, field
from kedge.ports.catalogue import Schema


class Ports(Data):
    """Named ports in the order of their declaration.

    `required` names those that must be there. `open` is the schema of ports that are not named: None when
    there can be none, `{}` when they may be anything. `decided` names the ports whose author wrote
    `required` out; it matters only until a declaration is laid over a signature.
    """

    properties: dict[str, Schema] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    open: Schema | None = None
    decided: frozenset[str] = frozenset()

    def to_schema(self) -> Schema:
        """The ports as one JSON Schema of an object; `from_schema` is the way back, `decided` aside."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": [name for name in self.properties if name in self.required],
            "additionalProperties": False if self.open is None else self.open or True,
        }

    @staticmethod
    def from_schema(schema: Mapping[str, Any]) -> "Ports":
        """The ports that `to_schema` wrote; the schema is taken as it is (`schema_ports` checks one).

        An object without `properties` is open to anything; one with them is closed unless it says
        `additionalProperties`.

        >>> Ports.from_schema({"type": "object"}).open
        {}
        """
        properties = schema.get("properties")
        rest = schema.get("additionalProperties", "properties" not in schema)
        return Ports(
            dict(properties or {}),
            frozenset(schema.get("required", ())),
            {} if rest is True else None if rest is False else rest,
        )

    def schema_of(self, name: str) -> Schema | None:
        """The schema of the port `name`: its own or, where ports are open, that of unnamed ones."""
        return self.properties.get(name, self.open)


def overlay(signature: Ports, declared: Ports) -> Ports:
    """The signature's ports with a declaration over them: it overrides or adds, port by port.

    What a declaration leaves unsaid stays as in the signature: the description, and whether the port may
    be left out with its default (so `diameter: Length[mm]` gives a parameter a unit and no more).
    """
    from kedge.ports.sentences import is_valid

    properties = dict(signature.properties)
    required = set(signature.required)
    for name, schema in declared.properties.items():
        before = signature.properties.get(name)
        merged = dict(schema)
        undecided = before is not None and name not in declared.decided and "default" not in schema
        if before is not None:
            if "description" in before:
                merged.setdefault("description", before["description"])
            if undecided and "default" in before and is_valid(schema, before["default"]):
                merged["default"] = before["default"]
        properties[name] = merged
        if not undecided:
            required.discard(name)
            if name in declared.required:
                required.add(name)
    return Ports(
        properties,
        frozenset(required),
        signature.open if declared.open is None else declared.open,
        signature.decided | declared.decided,
    )
