"""Inputs as a command line gives them: words `name=value`, a JSON file, another run's."""

import sys
from collections.abc import Sequence
from typing import Any, Final

from kedge.errors import InputError, KedgeError, Problem, UsageError, Where
from kedge.ports import Ports, set_path

INPUTS_LIMIT: Final = 64 << 20  # bytes of JSON, as many as outputs may have
_DIGITS: Final = 18  # of an amount of memory: more is no number that anything else here can hold


def split_words(words: Sequence[str]) -> tuple[str | None, list[tuple[str, str]]]:
    """The function's name, if the first word is one, and the `name=value` pairs.

    Raises:
        UsageError: a word that is neither.

    >>> split_words(["sizing", "load_n=15000"])
    ('sizing', [('load_n', '15000')])
    """
    function = words[0] if words and "=" not in words[0] else None
    return function, split_pairs(words[1:] if function is not None else words)


def split_pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Words `name=value` as pairs.

    Raises:
        UsageError: a word that is none.
    """
    pairs = []
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name:
            raise UsageError(
                f"`{word}` is not a value", hint="write name=value, for example load=1200"
            )
        pairs.append((name, text))
    return pairs


def named(of_source: str | None, given: str | None) -> str | None:
    """The function's name, from `file.py:function` or from the word after the package.

    Raises:
        UsageError: it is named in both places.
    """
    if of_source is not None and given is not None:
        raise UsageError(
            f"both `{of_source}` and `{given}` are named", hint="name the function once"
        )
    return of_source or given


def read_inputs(path: str) -> dict[str, Any]:
    """The values in a JSON file; `-` is standard input.

    Raises:
        UsageError: it cannot be read, or is not one JSON object.
    """
    from kedge.contract.hostile import RefusedError, parse_object

    try:
        if path == "-":
            data = sys.stdin.buffer.read(INPUTS_LIMIT + 1)
        else:
            with open(path, "rb") as file:  # may be a pipe: `--inputs <(…)`
                data = file.read(INPUTS_LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"inputs cannot be read from `{path}`: {error.strerror}",
            hint="name a file with one JSON object of inputs, or - for standard input",
        ) from error
    try:
        if len(data) > INPUTS_LIMIT:
            raise RefusedError(f"has more than {INPUTS_LIMIT} bytes, the limit")
        return parse_object(data)
    except RefusedError as error:
        raise UsageError(
            f"the inputs in `{path}`: the text {error}",
            hint='it is one JSON object, {"name": value, …}',
        ) from error


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


def memory_mb(text: str | None) -> int | None:
    """MiB from `512`, `512M` or `2G`.

    Raises:
        UsageError: it is none of these.
    """
    if text is None:
        return None
    scale = {"M": 1, "G": 1024}.get(text[-1:].upper())
    number = text[:-1] if scale else text
    good = number.isascii() and number.isdigit() and len(number) <= _DIGITS
    if not good or int(number) == 0:
        raise UsageError(f"`{text[:40]}` is no amount of memory", hint="write 512, 512M or 2G")
    return int(number) * (scale or 1)
