"""Inputs as a command line gives them: words `name=value`, a JSON file, another run's."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from kedge.errors import InputError, KedgeError, Problem, UsageError, Where
from kedge.ports import Ports, set_path


def split_words(words: Sequence[str]) -> tuple[str | None, list[tuple[str, str]]]:
    """The function's name, if the first word is one, and the `name=value` pairs.

    Raises:
        UsageError: a word that is neither.

    >>> split_words(["sizing", "load_n=15000"])
    ('sizing', [('load_n', '15000')])
    """
    function = words[0] if words and "=" not in words[0] else None
    pairs = []
    for word in words[1:] if function is not None else words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise UsageError(
                f"`{word}` is not a value", hint="write name=value, for example load=1200"
            )
        pairs.append((name, text))
    return function, pairs


def read_inputs(path: str) -> dict[str, Any]:
    """The values in a JSON file; `-` is standard input.

    Raises:
        UsageError: it cannot be read, or is not one JSON object.
    """
    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        values = json.loads(text, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"inputs cannot be read from `{path}`: {error}",
            hint='it is one JSON object, {"name": value, …}',
        ) from error
    if not isinstance(values, dict):
        raise UsageError(
            f"`{path}` holds {type(values).__name__}, not an object of inputs",
            hint='write {"name": value, …}',
        )
    return values


def with_pairs(
    values: dict[str, Any], pairs: Sequence[tuple[str, str]], ports: Ports
) -> dict[str, Any]:
    """`values` with every pair read for its port and put in its place.

    Raises:
        InputError: texts that can be no value of their port, all of them.
    """
    given: set[str] = set()
    problems: list[Problem] = []
    for name, text in pairs:
        if name in given:
            problems.append(
                Problem(f"`{name}` is given twice", Where(path=name), "give each value once")
            )
            continue
        given.add(name)
        if "." in name:
            values.setdefault(name.split(".")[0], {})
        try:
            values = set_path(values, name, text, ports)
        except KedgeError as error:
            problems += error.problems
    if problems:
        raise InputError.of(problems, "the inputs")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
