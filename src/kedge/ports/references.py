"""JSON Schema from outside made into schemas that stand alone: bounded, and without references.

Schemas come from people and from the code that is being described, so they are not trusted: they may be
cyclic, enormous, or refer to files and addresses. Nothing is ever fetched; a reference into the same
document is replaced by what it names.
"""

import math
from typing import Any, Final
from urllib.parse import unquote

from kedge.ports.catalogue import Schema
from kedge.ports.wording import shown

_DEEPEST: Final = 48  # levels of schema in schema
_MOST: Final = 20_000  # nodes: far above any real port, far below what takes a second

_ONE: Final = frozenset(
    (
        "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
        "unevaluatedItems", "unevaluatedProperties", "additionalItems",
    )
)  # fmt: skip
_MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("properties", "patternProperties", "dependentSchemas"))
_DROPPED: Final = frozenset(
    ("$schema", "$id", "$anchor", "$dynamicAnchor", "$defs", "definitions", "$vocabulary")
)


class UnusableSchemaError(ValueError):
    """A schema that cannot be made to stand alone; the text says why."""


class Standalone:
    """Rewrites the schemas of one document."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.nodes = 0

    def schema(self, raw: Any) -> Schema:
        """The schema at one port, with every reference replaced. Raises UnusableSchemaError."""
        found = self.rewritten(raw, (), 0)
        if found is False:
            raise UnusableSchemaError("`false` admits no value at all")
        return {} if found is True else found

    def rewritten(self, raw: Any, following: tuple[str, ...], depth: int) -> Any:
        self.spend(depth)
        if isinstance(raw, bool):
            return raw
        if not isinstance(raw, dict):
            raise UnusableSchemaError(f"{shown(raw)} is not a schema")
        if "$dynamicRef" in raw or "$recursiveRef" in raw:
            raise UnusableSchemaError("`$dynamicRef` is not supported")
        if "$ref" in raw:
            return self.referred(raw, following, depth)
        found: Schema = {}
        for key, value in raw.items():
            if not isinstance(key, str):
                raise UnusableSchemaError(f"the keyword `{key!r:.40}` is not text")
            if key in _DROPPED:
                continue
            if key in _ONE and not isinstance(value, list):
                found[key] = self.rewritten(value, following, depth + 1)
            elif key in _MANY and isinstance(value, list):
                found[key] = [self.rewritten(one, following, depth + 1) for one in value]
            elif key in _NAMED and isinstance(value, dict):
                found[key] = {
                    name: self.rewritten(one, following, depth + 1) for name, one in value.items()
                }
            else:
                found[key] = self.data(value, depth + 1)
        return found

    def referred(self, raw: Schema, following: tuple[str, ...], depth: int) -> Any:
        reference = raw["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise UnusableSchemaError(
                f"the reference {shown(reference)} leads out of the document: nothing is fetched"
            )
        target = self.found(reference)
        beside = {key: value for key, value in raw.items() if key != "$ref"}
        if reference in following:
            # A type that contains itself: its shape is checked to this depth.
            kind = target.get("type") if isinstance(target, dict) else None
            target = {"type": kind} if isinstance(kind, str) else {}
        elif beside and isinstance(target, dict) and "$ref" in target:
            target = self.rewritten(target, (*following, reference), depth + 1)
        if beside and isinstance(target, dict):
            target = {**target, **beside}
        return self.rewritten(target, (*following, reference), depth + 1)

    def found(self, reference: str) -> Any:
        """What a JSON pointer names (RFC 6901)."""
        place = self.document
        for part in reference[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict) and key in place:
                place = place[key]
            elif (
                isinstance(place, list)
                and key.isascii()
                and key.isdigit()
                and int(key) < len(place)
            ):
                place = place[int(key)]
            else:
                raise UnusableSchemaError(
                    f"the reference `{reference:.60}` names nothing in the document"
                )
        if not reference.startswith("#/") and reference != "#":
            raise UnusableSchemaError(
                f"the reference `{reference:.60}` names nothing in the document"
            )
        return place

    def data(self, value: Any, depth: int) -> Any:
        """A keyword's value that is data: copied, and seen to be JSON."""
        self.spend(depth)
        match value:
            case None | bool() | int():
                return value
            case str():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise UnusableSchemaError("it holds text that is not valid Unicode") from None
                return value
            case float() if math.isfinite(value):
                return value
            case list():
                return [self.data(one, depth + 1) for one in value]
            case dict() if all(isinstance(key, str) for key in value):
                return {key: self.data(one, depth + 1) for key, one in value.items()}
        raise UnusableSchemaError(f"{shown(value)} is not JSON")

    def spend(self, depth: int) -> None:
        self.nodes += 1
        if depth > _DEEPEST:
            raise UnusableSchemaError(f"it is nested more than {_DEEPEST} levels deep")
        if self.nodes > _MOST:
            raise UnusableSchemaError(f"it has more than {_MOST} parts")
