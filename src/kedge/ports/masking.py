"""Secrets, kept out of what is recorded and shown."""

from collections.abc import Mapping
from typing import Any, Final

from kedge.ports.model import Ports
from kedge.ports.shapes import alternatives, element_schema, entry_schema, form, holds_secret

MASK: Final = "***"


def mask(ports: Ports, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with every Secret in them replaced.

    A value that does not have the shape its port says is masked whole when the port holds a secret
    anywhere: it may stand in any place.

    >>> mask(Ports({"token": {"type": "string", "x-type": "Secret"}}), {"token": "abc", "n": 1})
    {'token': '***', 'n': 1}
    """
    masked: dict[str, Any] = {}
    for name, value in values.items():
        schema = ports.schema_of(name)
        masked[name] = value if schema is None else _masked(schema, value)
    return masked


def _masked(schema: Any, value: Any) -> Any:
    if value is None or not holds_secret(schema):
        return value
    found, _ = alternatives(schema)
    kind = form(found[0]) if len(found) == 1 else "union"
    if kind == "list" and isinstance(value, list | tuple):
        return [
            _masked(element_schema(found[0], index), element) for index, element in enumerate(value)
        ]
    if kind in ("struct", "dict") and isinstance(value, Mapping):
        return {key: _masked(entry_schema(found[0], key), entry) for key, entry in value.items()}
    return MASK
