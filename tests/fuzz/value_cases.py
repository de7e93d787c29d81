"""Values against ports: what a caller gives, what stands on a command line, what a function wrote."""

import copy
from random import Random
from typing import Any

from jsonschema_rs import Draft202012Validator
from judging import Finding, as_record, judge_problems, refused, require
from material import TEXTS, changed, damaged, damaged_bytes, json_text, name, scalar, text, value
from type_cases import ALL_UNITS, expression, schema

from kedge.cli.values import split_words, with_pairs
from kedge.contract.hostile import RefusedError, parse_object
from kedge.errors import InputError, TypeExpressionError, UsageError
from kedge.ports import Ports, check_inputs, check_outputs, kind_of, mask, parse_type, schema_ports
from kedge.ports.shapes import alternatives, choices_of, element_schema, field_schemas, form
from kedge.ports.wording import shown

_NAMES = ("a", "b", "load_n", "load-x", "bolt")
_PATHS = (
    "/dev/null",
    "/",
    "/nowhere/a.pdf",
    ".",
    "a.csv",
    "\x00",
    "",
    "é.pdf",
    "/proc/self/mem",
    "a" * 300,
)


def ports(random: Random) -> Ports:
    """One to three ports of generated types, some of schemas that no expression says; perhaps open."""
    if random.random() < 0.15:
        raw = {"type": "object", "properties": {name: schema(random) for name in _NAMES[:2]}}
        return schema_ports(raw, "in")[0]
    properties = {}
    for port in _NAMES[: random.randrange(1, 4)]:
        made, _ = refused(TypeExpressionError, parse_type, expression(random))
        if made is not None:
            properties[port] = made
    required = frozenset(port for port in properties if random.random() < 0.7)
    return Ports(properties, required, {} if random.random() < 0.1 else None)


def fitting(random: Random, wanted: Any, depth: int = 4) -> Any:
    """A value that a schema most likely takes."""
    found, nullable = alternatives(wanted)
    if depth == 0 or (nullable and random.random() < 0.2):
        return None
    one = random.choice(found)
    kind = form(one)
    match kind:
        case "number" | "integer":
            if random.random() < 0.2:
                return f"{random.choice((1, 2.5, '1e3', -4))} {random.choice(ALL_UNITS)}"
            return (
                random.randrange(100)
                if kind == "integer"
                else random.choice((1, 2.5, -3.0, 10**22))
            )
        case "boolean":
            return random.random() < 0.5
        case "string" | "secret":
            return text(random)
        case "date":
            return random.choice(("2024-02-29", "1999-12-31", "2023-02-29"))
        case "date-time":
            return random.choice(
                ("2024-05-01T12:00Z", "2024-05-01 12:00", "2024-05-01T12:00:00.123456789+02:00")
            )
        case "duration":
            return random.choice(("P1D", "PT1H30M", "P1W", "-PT0.5S"))
        case "enum":
            return random.choice(choices_of(one) or [None])
        case "list":
            sizes = one.get("minItems"), one.get("maxItems")
            size = (
                sizes[0] if isinstance(sizes[0], int) and 0 <= sizes[0] < 9 else random.randrange(4)
            )
            return [fitting(random, element_schema(one, at), depth - 1) for at in range(size)]
        case "struct":
            return {
                field: fitting(random, inner, depth - 1)
                for field, inner in field_schemas(one).items()
                if random.random() < 0.95
            }
        case "dict":
            inner = one.get("additionalProperties", {})
            return {
                name(random): fitting(random, inner, depth - 1) for _ in range(random.randrange(3))
            }
        case "file" | "folder" | "array" | "table":
            return random.choice(_PATHS)
    return value(random, 2)


def values_for(random: Random, declared: Ports) -> Any:
    """Values for ports: right ones, damaged ones, others."""
    chance = random.random()
    if chance < 0.03:
        return value(random, hostile=True)
    found: dict[Any, Any] = {
        port: fitting(random, wanted)
        for port, wanted in declared.properties.items()
        if random.random() < 0.95
    }
    if chance < 0.5:
        found = changed(random, found)
    if chance < 0.1:
        found = (
            {**found, name(random): value(random, hostile=True)}
            if isinstance(found, dict)
            else found
        )
    if 0.1 < chance < 0.12 and isinstance(found, dict):
        found[scalar(random)] = scalar(random)
    return found


def input_case(random: Random) -> None:
    """Values for inputs: what is taken really follows the ports; what JSON Schema takes, Kedge takes."""
    declared = ports(random)
    given = values_for(random, declared)
    found, problems = check_inputs(declared, given)
    judge_problems(problems)
    if not problems:
        _follows(declared, found)
        as_record(found)
        again, wrong = check_inputs(declared, copy.deepcopy(found))
        require(not wrong and again == found, f"{found!r} is not taken a second time: {wrong}")
        as_record(mask(declared, found))
    elif _plain(declared, given):
        wrong_ports = [
            port
            for port, wanted in declared.properties.items()
            if (port in declared.required and port not in given)
            or (port in given and not Draft202012Validator(wanted).is_valid(given[port]))
        ]
        unknown = set(given) - set(declared.properties)
        require(wrong_ports or unknown, f"{given!r} is refused by {declared}: {problems}")


def _follows(declared: Ports, found: dict[str, Any]) -> None:
    """Refuses values that Kedge took and JSON Schema does not; formats are Kedge's own."""
    for port, wanted in declared.properties.items():
        require(
            port in found or port not in declared.required, f"`{port}` is missing and it is taken"
        )
        if port in found and kind_of(wanted) == "value":
            judge = Draft202012Validator(wanted, validate_formats=False)
            require(
                judge.is_valid(found[port]),
                f"{found[port]!r} is taken and does not follow {wanted}",
            )


def _plain(declared: Ports, given: Any) -> bool:
    """Whether JSON Schema alone can say if values are right: nothing is converted, read or refused besides."""
    return (
        isinstance(given, dict)
        and all(type(port) is str for port in given)
        and declared.open is None
        and not _mentions(list(declared.properties.values()))
        and _is_json(given)
    )


def _mentions(part: Any) -> bool:
    """Whether a schema has a form whose values Kedge converts, or takes fewer of than the schema says."""
    if isinstance(part, dict):
        if "format" in part or part.get("x-type") in ("Torsor", "Matrix"):
            return True
        return any(map(_mentions, part.values()))
    if isinstance(part, list):
        return any(map(_mentions, part))
    return part == "integer"  # 1.0 is an integer to JSON Schema, and a Float here


def _is_json(part: Any, depth: int = 0) -> bool:
    if depth > 90:
        return False
    if isinstance(part, dict):
        return all(
            type(key) is str and _is_json(key) and _is_json(one, depth + 1)
            for key, one in part.items()
        )
    if isinstance(part, list):
        return all(_is_json(one, depth + 1) for one in part)
    if isinstance(part, str):
        return not any("\ud800" <= character <= "\udfff" for character in part)
    return not isinstance(part, int | float) or -1e300 < part < 1e300


_WORDS = (
    *TEXTS, "a=", "a.d=", "=", ".", "..", "a=1", "b=2", '{"a": 1}', '[1, 2, 3]', '{"a": 1, "a": 2}', "[" * 2000,
    '{"a":' * 1200, '"\\ud800"', "[NaN]", "1e999", '["a.csv"]', "null", "- 1", "+1", "--json", "a.b.c=1",
)  # fmt: skip


def argument_case(random: Random) -> None:
    """Words of a command line, as values of ports."""
    declared = ports(random)
    words = []
    for _ in range(random.randrange(1, 4)):
        port = random.choice((*_NAMES[:3], name(random)))
        if random.random() < 0.2:
            port += "." + random.choice(("force", "F", "d", "a", "", name(random)))
        wanted = declared.schema_of(port.split(".")[0]) or {}
        given = fitting(random, wanted)
        written = given if isinstance(given, str) else json_text(random, given)
        if random.random() < 0.4:
            written = damaged(random, written, _WORDS, 2) if written else random.choice(_WORDS)
        words.append(f"{port}={written}")
    if random.random() < 0.1:
        words.insert(0, random.choice((*_WORDS, "sizing")))
    split, _ = refused(UsageError, split_words, words)
    if split is None:
        return
    found, _ = refused(InputError, with_pairs, {}, split[1], declared)
    if found is None:
        return
    taken, problems = check_inputs(declared, found)
    judge_problems(problems)
    if not problems:
        _follows(declared, taken)
        as_record(taken)


_FILES = (
    "/x/a.pdf",
    "/x/a",
    "/x/\udcff.csv",
    "/x/a.csv",
    "/dev/null",
    "/nowhere.npy",
    "/x/\x1b[31m.pdf",
)


def output_case(random: Random) -> None:
    """A data.json as hostile code may write it, against output ports."""
    declared = ports(random)
    given = values_for(random, declared)
    if random.random() < 0.02:
        written: Any = b'{"a":' * random.choice((50, 101, 100_000)) + b"1"
    else:
        try:
            written = json_text(random, given)
        except (ValueError, TypeError, RecursionError):  # what holds itself has no text
            written = "[[[[{"
        if random.random() < 0.3:
            written = damaged(random, written, _WORDS)
        written = written.encode("utf-8", "surrogatepass")
        if random.random() < 0.2:
            written = damaged_bytes(random, written)
    read, _ = refused(RefusedError, parse_object, written)
    if read is None:
        return
    as_record(read)
    files: dict[str, Any] = {}
    for _ in range(random.choice((0, 0, 1, 2))):
        listed = [random.choice(_FILES) for _ in range(random.randrange(3))]
        files[name(random)] = random.choice((listed, random.choice(_FILES)))
    problems = check_outputs(declared, read, files)
    judge_problems(problems)
    require(shown(read), "nothing is shown")
    if not problems:
        _written_follows(declared, read)


def _written_follows(declared: Ports, read: dict[str, Any]) -> None:
    for port, wanted in declared.properties.items():
        if kind_of(wanted) != "value":
            continue
        require(
            port in read or port not in declared.required, f"`{port}` is missing and it is taken"
        )
        if port in read and not _torsors(wanted):
            judge = Draft202012Validator(wanted, validate_formats=False)
            require(judge.is_valid(read[port]), f"{read[port]!r} does not follow {wanted}")


def _torsors(part: Any) -> bool:
    """Whether a schema holds a Torsor, whose fields have short names too."""
    if isinstance(part, dict):
        return part.get("x-type") == "Torsor" or any(map(_torsors, part.values()))
    return isinstance(part, list) and any(map(_torsors, part))


__all__ = ["Finding", "argument_case", "input_case", "output_case"]
