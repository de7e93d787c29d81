"""A function as Python shows it to people and tools: its signature and its documentation."""

import datetime
import inspect
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from kedge.client.values import attribute, is_single
from kedge.contract.runner import Unit
from kedge.ports import Ports, format_type
from kedge.ports.catalogue import QUANTITIES
from kedge.ports.shapes import alternatives, choices_of, form, nominal, unit_of
from kedge.run.description import Function

_SIMPLE: Final[dict[str, Any]] = {
    "any": Any,
    "never": Any,
    "null": None,
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "secret": str,
    "struct": dict[str, Any],
    "file": Path,
    "folder": Path,
    "array": Path,
    "table": Path,
}
# As they may be given; they are given back as text (ISO 8601).
_MOMENTS: Final[dict[str, Any]] = {
    "date": datetime.date,
    "date-time": datetime.datetime,
    "duration": datetime.timedelta,
}
_OTHERS: Final = "inputs"  # what further inputs are called where any name is one

_RAISES: Final = """\
Raises:
    kedge.RequestError: inputs that are none of these; nothing was started.
    kedge.RunFailed: the run failed; its subclasses, such as kedge.FunctionError, say how."""


def signature_of(function: Function) -> inspect.Signature:
    """The signature: a parameter for each input, in order, units as `Annotated[float, Unit("mm")]`.

    The default of an input that may be left out and has none on record is `...`. From the first required
    input that comes after such a one, inputs have to be named.
    """
    ports = function.input_ports
    parameters = []
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    optional = False
    for name, schema in ports.properties.items():
        required = name in ports.required
        if required and optional:
            kind = inspect.Parameter.KEYWORD_ONLY
        optional = optional or not required
        default = inspect.Parameter.empty if required else schema.get("default", ...)
        spelt = attribute(name)
        parameters.append(
            inspect.Parameter(spelt, kind, default=default, annotation=_annotation(schema))
        )
    if ports.open is not None:
        others = _OTHERS
        while any(one.name == others for one in parameters):
            others += "_"
        parameters.append(
            inspect.Parameter(
                others, inspect.Parameter.VAR_KEYWORD, annotation=_annotation(ports.open)
            )
        )
    return inspect.Signature(parameters, return_annotation=_returned(function.output_ports))


def documentation_of(function: Function) -> str:
    """The docstring: what it does, inputs and outputs with their types and units, what is raised."""
    parts = [function.description.strip() or f"The function `{function.name}`."]
    ports = function.input_ports
    if ports.properties:
        parts.append("\n".join(["Args:", *_lines(ports, indent=4)]))
    parts.append("\n".join(["Returns:", *_outputs(function.output_ports)]))
    return "\n\n".join([*parts, _RAISES]) + "\n"


def _lines(ports: Ports, indent: int) -> list[str]:
    lines = []
    for name, schema in ports.properties.items():
        text = f"{' ' * indent}{attribute(name)}: {format_type(schema)}"
        if "default" in schema:
            text += f", {schema['default']!r} unless given"
        elif name not in ports.required:
            text += ", may be left out"
        about = " ".join(str(schema.get("description", "")).split())
        lines.append(f"{text}. {about}" if about else f"{text}.")
    return lines


def _outputs(ports: Ports) -> list[str]:
    if is_single(ports):
        ((_, _, line),) = [line.partition("result: ") for line in _lines(ports, indent=4)]
        return [f"    {line}"]
    if not ports.properties:
        if ports.open is None:
            return ["    None."]
        about = f" of {format_type(ports.open)}" if ports.open else ", or one value"
        return [f"    A dictionary{about}."]
    return ["    A dictionary:", *_lines(ports, indent=8)]


def _returned(ports: Ports) -> Any:
    if is_single(ports):
        return _annotation(ports.properties["result"], given=False)
    if ports.properties or ports.open:
        return dict[str, Any]
    return None if ports.open is None else Any


def _annotation(schema: Any, *, given: bool = True) -> Any:
    """The Python type of a port's values."""
    found, nullable = alternatives(schema)
    types = [_single(one, given=given) for one in found]
    return reduce(or_, dict.fromkeys([*types, None] if nullable else types))


def _single(schema: Any, *, given: bool) -> Any:
    kind = form(schema)
    if kind in ("number", "integer"):
        name = nominal(schema)
        unit = unit_of(schema) or (QUANTITIES[name].unit if name in QUANTITIES else None)
        return Annotated[_SIMPLE[kind], Unit(unit)] if unit else _SIMPLE[kind]
    if kind in _MOMENTS:
        return _MOMENTS[kind] if given else str
    if kind == "enum":
        choices = choices_of(schema)
        plain = all(isinstance(one, str | int | bool | None) for one in choices)
        return Literal[tuple(choices)] if plain else Any
    if kind == "list":
        if isinstance(first := schema.get("prefixItems"), list):
            return tuple[tuple(_annotation(one, given=given) for one in first)]  # type: ignore[misc]
        return list[_annotation(schema.get("items", {}), given=given)]  # type: ignore[misc]
    if kind == "dict":
        return dict[str, _annotation(schema.get("additionalProperties", {}), given=given)]  # type: ignore[misc]
    return _SIMPLE[kind]
