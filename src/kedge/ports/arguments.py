"""Values written as text on a command line."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kedge.errors import InputError, UsageError, Where
from kedge.ports.catalogue import TORSOR_FIELDS, Schema
from kedge.ports.model import Ports
from kedge.ports.shapes import entry_schema, form, kind_of, nominal, present


def read_text(schema: Schema, text: str) -> Any:
    """The value that `text` means for a port: JSON if it is JSON that the port takes, else the text.

    A file port takes a path, with or without a leading `@`; a list of files one path or a JSON list of
    them. Elsewhere `@@` stands for text that starts with `@`. Text with a unit stays text here: it becomes
    a number when the inputs are checked, all at once.

    >>> read_text({"type": "string"}, "12"), read_text({"type": "number"}, "12")
    ('12', 12)

    Raises InputError when the text cannot be a value at all.
    """
    inner, nullable = present(schema)
    if nullable and text == "null":
        return None
    kind = kind_of(schema)
    if kind == "files":
        paths = _json(text) if text.lstrip().startswith("[") else None
        if isinstance(paths, list):
            return [_path(path) if isinstance(path, str) else path for path in paths]
        return [_path(text)]
    if kind != "value":
        return _path(text)
    if text.startswith("@@"):
        return text[1:]
    if text.startswith("@"):
        message = f"`{text}` names a file, and the port is not a File"
        raise InputError(message, hint=f"write `@{text}` for text that starts with `@`")
    if form(inner) == "secret":
        return text
    try:
        parsed = _json(text)
    except InputError:
        if _takes(schema, text):
            return text
        raise
    if parsed is _NOT_JSON:
        return text
    if not _takes(schema, parsed) and _takes(schema, text):
        return text
    return parsed


def set_path(values: Mapping[str, Any], path: str, text: str, ports: Ports) -> dict[str, Any]:
    """`values` with one more, as `bolt.d=12` on a command line says it; `values` itself stays as it is.

    A name that no port or field has is kept, for `check_inputs` to report with everything else.

    Raises UsageError for an empty name, InputError when the place already holds something that has no
    fields, or when the text cannot be a value.
    """
    names = path.split(".")
    if not all(names):
        raise UsageError(
            f"`{path}` is not a port's path: a name in it is empty", hint="write `bolt.d=12`"
        )
    schema: Any = ports.schema_of(names[0])
    changed = dict(values)
    into = changed
    for depth, name in enumerate(names[:-1]):
        held = into.get(name, {})
        if not isinstance(held, dict):
            place = ".".join(names[: depth + 1])
            message = f"`{place}` already has a value without fields, so `{path}` cannot be set"
            raise InputError(
                message, where=Where(path=path), hint=f"give `{place}` or its fields, not both"
            )
        into[name] = dict(held)
        into = into[name]
        inner, _ = present({} if schema is None else schema)
        field = names[depth + 1]
        if nominal(inner) == "Torsor" and field in TORSOR_FIELDS:
            names[depth + 1] = field = TORSOR_FIELDS[field]
        schema = entry_schema(inner, field) if isinstance(inner, dict) else {}
    try:
        into[names[-1]] = read_text(schema if isinstance(schema, dict) else {}, text)
    except InputError as error:
        message = f"`{path}`: {error.message}"
        raise InputError(message, where=Where(path=path), hint=error.hint) from None
    return changed


_NOT_JSON = object()


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_pairs)
    except RecursionError:
        message = "the value is nested too deeply"
        raise InputError(
            message, hint="write flatter data, or give it with --inputs FILE"
        ) from None
    except InputError:  # a ValueError too: two values of one key
        raise
    except ValueError:
        return _NOT_JSON


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise InputError(f"the key `{twice}` stands there twice", hint="remove one of the two")
    return found


def _path(text: str) -> str:
    return text.removeprefix("@")


def _takes(schema: Schema, value: Any) -> bool:
    from kedge.ports.sentences import is_valid
    from kedge.ports.values import Coercion

    coercion = Coercion({}, from_people=True)
    read = coercion.read(schema, value, ("",))
    return not coercion.problems and is_valid(schema, read)
