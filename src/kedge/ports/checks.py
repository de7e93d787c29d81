"""Values against ports: inputs before anything starts, outputs after it ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kedge.errors import Problem, Where, nearest
from kedge.ports.catalogue import Schema
from kedge.ports.model import Ports
from kedge.ports.names import check_port_name
from kedge.ports.shapes import kind_of, present
from kedge.ports.values import Coercion
from kedge.ports.wording import MOST_PROBLEMS, expected, first_problems, shown

_TYPES: Final[dict[object, type]] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
}
_LARGEST: Final = 1 << 53  # up to which integers and numbers are the same everywhere


def check_inputs(ports: Ports, values: object) -> tuple[dict[str, Any], list[Problem]]:
    """The inputs as the function is given them, and everything that is wrong with what came.

    Ints become floats for Float ports, text with a unit the number in the port's unit, dates ISO text,
    paths absolute; a null for an optional port stays null. Defaults are not filled in. `where.path` of each
    problem is the port's path (`bolt.d`, `loads[2]`).

    >>> check_inputs(Ports({"n": {"type": "integer"}}, frozenset({"n"})), {"n": 3})
    ({'n': 3}, [])
    """
    if not isinstance(values, Mapping):
        message = f"the inputs are {shown(values)}; an object of values by port is expected"
        return {}, [Problem(message, hint='write {"port": value}')]
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        if len(problems) > MOST_PROBLEMS:
            break
        schema = ports.schema_of(name) if isinstance(name, str) else None
        if schema is None:
            problems.append(_unknown(ports, name))
        elif name not in ports.properties and (reason := check_port_name(name)):
            problems.append(Problem(reason, Where(path=name), "choose another name"))
        else:
            found[name], wrong = _input(schema, value, name)
            problems += wrong
    for name, schema in ports.properties.items():
        if name in ports.required and name not in values:
            message = f"`{name}` is missing; {expected(schema)} is expected"
            problems.append(Problem(message, Where(path=name), _missing_hint(schema, name)))
    return found, first_problems(problems)


def defaults(ports: Ports) -> dict[str, Any]:
    """The values that ports have when nobody gives them any.

    >>> defaults(Ports({"n": {"type": "integer", "default": 3}, "m": {"type": "integer"}}))
    {'n': 3}
    """
    return {
        name: schema["default"]
        for name, schema in ports.properties.items()
        if schema.get("default") is not None and kind_of(schema) == "value"
    }


def check_outputs(
    ports: Ports, values: object, files: Mapping[str, Sequence[str] | str]
) -> list[Problem]:
    """Everything that is wrong with what a function wrote.

    `values` is what stood in data.json, `files` the paths that were found for each port. What is not
    declared is no problem, unless it takes the name of a port.
    """
    problems: list[Problem] = []
    if not isinstance(values, Mapping):
        message = f"the outputs are {shown(values)}; an object of values by port is expected"
        return [Problem(message, Where(path="out/data.json"), 'write {"port": value}')]
    for name, schema in ports.properties.items():
        required = name in ports.required
        if kind_of(schema) == "value":
            problems += _value_output(schema, name, required, values, files)
        else:
            problems += _file_output(schema, name, required, values, files)
    attributes = {name.replace("-", "_"): name for name in ports.properties}
    for name in dict.fromkeys((*values, *files)):
        if name not in ports.properties:
            problems += _undeclared(ports, attributes, name, values, files)
    return problems


def _input(schema: Schema, value: Any, name: str) -> tuple[Any, list[Problem]]:
    kind = kind_of(schema)
    if kind != "value":
        from kedge.ports.files import read_files

        if value is None and present(schema)[1]:
            return None, []
        return read_files(schema, kind, value, name)
    return _checked(schema, value, name, from_people=True)


def _checked(
    schema: Schema, value: Any, name: str, *, from_people: bool
) -> tuple[Any, list[Problem]]:
    if _is_plain(schema, value):
        return value, []
    coercion = Coercion(schema, from_people=from_people)
    read = coercion.read(schema, value, (name,))
    problems = coercion.problems
    if (name,) not in coercion.failed:
        from kedge.ports.sentences import findings

        problems += findings(schema, read, (name,), coercion.failed)
        if not problems and (reason := _ragged(schema, read)):
            hint = "give every row the same number of columns"
            problems.append(Problem(f"`{name}` {reason}", Where(path=name), hint))
    return read, problems


def _is_plain(schema: Schema, value: Any) -> bool:
    """Whether a schema says no more than a type, or nothing, and the value is of just that type.

    Most are: this is for them not to wait for what the others need.
    """
    kind, wanted = type(value), schema.get("type")
    if schema and (len(schema) > 1 or type(wanted) is not str or _TYPES.get(wanted) is not kind):
        return False
    if kind is str:
        return bool(value.isascii())
    return kind is bool or (kind in (int, float) and -_LARGEST < value < _LARGEST)


def _ragged(schema: Schema, value: Any) -> str | None:
    """A matrix has rows of one length, which JSON Schema cannot say."""
    inner, _ = present(schema)
    if value is None or not isinstance(inner, dict) or inner.get("x-type") != "Matrix":
        return None
    lengths = sorted({len(row) for row in value})
    return (
        f"has rows of {lengths[0]} and {lengths[-1]} numbers; a Matrix is expected"
        if len(lengths) > 1
        else None
    )


def _value_output(
    schema: Schema, name: str, required: bool, values: Mapping[str, Any], files: Mapping[str, Any]
) -> list[Problem]:
    problems = []
    if name in files:
        message = f"`{name}` was written as a file; {expected(schema)} in out/data.json is expected"
        problems.append(
            Problem(message, Where(path=name), "write the value, or declare the port as a File")
        )
    if name in values:
        problems += _checked(schema, values[name], name, from_people=False)[1]
    elif required:
        message = f"`{name}` was not written; {expected(schema)} is expected"
        problems.append(Problem(message, Where(path=name), f"return it under the key `{name}`"))
    return problems


def _file_output(
    schema: Schema, name: str, required: bool, values: Mapping[str, Any], files: Mapping[str, Any]
) -> list[Problem]:
    from kedge.ports.files import array_reason, extension_problem, printable

    kind = kind_of(schema)
    where = Where(path=name)
    nullable = present(schema)[1]
    if name in values and not (nullable and values[name] is None and name not in files):
        message = f"`{name}` stands in out/data.json, and is {expected(schema)}"
        return [
            Problem(
                message, where, f"write the file to out/files/{name} with its extension instead"
            )
        ]
    if name not in files:
        if not required or nullable:
            return []
        message = f"`{name}` was not written; {expected(schema)} is expected"
        return [
            Problem(
                message,
                where,
                f"write it to out/files/{name} with its extension, or return its Path",
            )
        ]
    paths = [files[name]] if isinstance(files[name], str) else list(files[name])
    if kind == "folder":
        return []
    problems = [
        problem
        for path in paths
        if (problem := extension_problem(schema, path, name, "write")) is not None
    ]
    if kind != "files" and len(paths) != 1:
        listed = ", ".join(printable(path) for path in paths) or "none"
        message = f"`{name}` is one file and {len(paths)} were written: {listed}"
        problems.append(
            Problem(message, where, "write one file, or declare the port as list[File]")
        )
    elif kind == "array" and not problems and (reason := array_reason(schema, paths[0])):
        problems.append(Problem(f"`{name}` {reason}", where, "return an array of that kind"))
    return problems


def _undeclared(
    ports: Ports,
    attributes: Mapping[str, str],
    name: object,
    values: Mapping[str, Any],
    files: Mapping[str, Any],
) -> list[Problem]:
    if not isinstance(name, str):
        return [Problem(f"the output name `{name!r}` is not text", hint="name outputs with text")]
    where = Where(path=name)
    if (port := attributes.get(name.replace("-", "_"))) is not None:
        message = f"`{name}` is not an output, and reads like `{port}`, which is"
        return [Problem(message, where, f"write it as `{port}`")]
    if ports.open is None:
        return []
    if reason := check_port_name(name):
        return [Problem(f"an output's name is refused: {reason}", where, "choose another name")]
    if name in values and name in files:
        return [
            Problem(f"`{name}` was written as a value and as a file", where, "write one of the two")
        ]
    if name in values and kind_of(ports.open) == "value":
        return _checked(ports.open, values[name], name, from_people=False)[1]
    return []


def _unknown(ports: Ports, name: object) -> Problem:
    known = list(ports.properties)
    close = nearest(name, known) if isinstance(name, str) else None
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    hint = (
        f"did you mean `{close}`?"
        if close
        else f"inputs are {listed}"
        if known
        else "it has no inputs"
    )
    return Problem(f"there is no input `{name}`", Where(path=str(name)), hint)


def _missing_hint(schema: Schema, name: str) -> str:
    kind = kind_of(schema)
    if kind != "value":
        return f"give it: {name}=PATH"
    examples = schema.get("examples")
    if isinstance(examples, list) and examples and isinstance(examples[0], str | int | float):
        return f"give it: {name}={examples[0]}"
    if present(schema)[1]:
        return f"give it, or say that there is none: {name}=null"
    return f"give it: {name}=VALUE"
