"""Typed ports: what a function takes and gives, and whether two of them fit.

One port is one JSON Schema with `x-type`, `x-unit` and `format: binary`. This room compiles type
expressions and declarations to that form and back, decides connections with their unit conversions,
and checks values. Nothing here runs, reads or imports user code, and nothing on the path of an
ordinary run (`check_inputs`, `read_text`, `check_outputs`) may load pint or pydantic: modules are
loaded when one of their names is first asked for.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kedge.ports.arguments import read_text, set_path
    from kedge.ports.catalogue import Schema
    from kedge.ports.checks import check_inputs, check_outputs, defaults
    from kedge.ports.connections import Connection, connect
    from kedge.ports.conversion import Conversion, convert
    from kedge.ports.declarations import declared_ports
    from kedge.ports.expressions import parse_type
    from kedge.ports.masking import mask
    from kedge.ports.model import Ports, overlay
    from kedge.ports.names import check_port_name, name_problems
    from kedge.ports.schemas import schema_ports, signature_ports
    from kedge.ports.shapes import extensions_of, kind_of
    from kedge.ports.text import format_type

__all__ = [
    "Connection",
    "Conversion",
    "Ports",
    "Schema",
    "check_inputs",
    "check_outputs",
    "check_port_name",
    "connect",
    "convert",
    "declared_ports",
    "defaults",
    "extensions_of",
    "format_type",
    "kind_of",
    "mask",
    "name_problems",
    "overlay",
    "parse_type",
    "read_text",
    "schema_ports",
    "set_path",
    "signature_ports",
]

_HOMES: Final = {
    "Connection": "connections",
    "Conversion": "conversion",
    "Ports": "model",
    "Schema": "catalogue",
    "check_inputs": "checks",
    "defaults": "checks",
    "check_outputs": "checks",
    "check_port_name": "names",
    "name_problems": "names",
    "connect": "connections",
    "convert": "conversion",
    "declared_ports": "declarations",
    "extensions_of": "shapes",
    "format_type": "text",
    "kind_of": "shapes",
    "mask": "masking",
    "overlay": "model",
    "parse_type": "expressions",
    "read_text": "arguments",
    "schema_ports": "schemas",
    "set_path": "arguments",
    "signature_ports": "schemas",
}


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found
