"""Words for people: what a port expects, what came instead, and where."""

import itertools
import json
from collections.abc import Iterable
from typing import Any, Final

from kedge.errors import Problem
from kedge.ports.catalogue import QUANTITIES
from kedge.ports.shapes import (
    alternatives,
    choices_of,
    extensions_of,
    field_schemas,
    form,
    nominal,
    unit_of,
)
from kedge.ports.text import format_type

type Place = tuple[str | int, ...]

MOST_PROBLEMS: Final = 100  # that are told: enough to see what is wrong, and looked for in a moment
_LONGEST: Final = 60  # characters of a value shown in a sentence
_MOST: Final = 12  # choices or keys named in a sentence

_PHRASES: Final[dict[str, str]] = {
    "any": "any value", "never": "nothing", "null": "null", "boolean": "true or false",
    "string": "text", "secret": "text", "date": "a date as YYYY-MM-DD",
    "date-time": "a date and time as YYYY-MM-DDThh:mm:ss",
    "duration": "a duration such as PT1H30M", "dict": "an object", "folder": "a folder",
    "array": "an array file (.npy)", "table": "a table file (.parquet, .arrow)",
}  # fmt: skip


def expected(schema: Any) -> str:
    """What a port expects, as it stands in a sentence.

    >>> expected({"type": "number", "x-type": "Length", "x-unit": "mm"})
    'a length in mm'
    """
    found, nullable = alternatives(schema)
    phrases = list(dict.fromkeys(_single(one) for one in found))
    return " or ".join([*phrases, "null"] if nullable else phrases)


def _single(schema: Any) -> str:
    kind = form(schema)
    if kind in ("number", "integer"):
        name, unit = nominal(schema), unit_of(schema)
        if name in QUANTITIES:
            return f"{QUANTITIES[name].noun} in {unit or QUANTITIES[name].unit}"
        word = "a whole number" if kind == "integer" else "a number"
        return f"{word} in {unit}" if unit else word
    if kind == "enum":
        return f"one of {listed(choices_of(schema))}"
    if kind == "list":
        name = nominal(schema)
        if name in ("Vector3", "Force3", "Moment3"):
            return f"three numbers ({format_type(schema)})"
        return f"a list ({format_type(schema)})"
    if kind == "struct":
        return f"an object with {', '.join(list(field_schemas(schema))[:_MOST]) or 'no fields'}"
    if kind == "file":
        extensions = extensions_of(schema)
        return (
            f"a file ({', '.join(f'.{extension}' for extension in extensions)})"
            if extensions
            else "a file"
        )
    if kind == "union":
        return expected(schema)
    return _PHRASES[kind]


def shown(value: Any) -> str:
    """A value as it stands in a sentence: scalars themselves, the rest by what it is.

    >>> shown("12")
    'the text "12"'
    """
    match value:
        case None | bool():
            return json.dumps(value)
        case int():
            text = str(value) if abs(value) < 10**_LONGEST else "a very large number"
        case float():
            text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        case str():
            text = json.dumps(value, ensure_ascii=not value.isprintable())
            return f"the text {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…"'}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {', '.join(str(key)[:_LONGEST] for key in list(value)[:_MOST]) or 'nothing in it'}"
        case _:
            return f"a Python `{type(value).__name__}`"
    return text


def first_problems(problems: Iterable[Problem]) -> list[Problem]:
    """As many problems as anybody reads, the last of them saying that there are more.

    No more than those are asked of `problems`.
    """
    found = list(itertools.islice(problems, MOST_PROBLEMS + 1))
    if len(found) > MOST_PROBLEMS:
        message = f"there are more problems than these {MOST_PROBLEMS}"
        found[MOST_PROBLEMS:] = [Problem(message, found[-1].where, "mend these first")]
    return found


def is_unicode(text: str) -> bool:
    """Whether a text can be written down: half a character (a lone surrogate) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(choices: list[Any]) -> str:
    """`a, b, c`: the choices of an enumeration, the first dozen of them."""
    texts = [
        choice if isinstance(choice, str) else json.dumps(choice, default=str) for choice in choices
    ]
    return ", ".join(texts[:_MOST]) + (", …" if len(texts) > _MOST else "")


def path_text(place: Place) -> str:
    """`bolt.loads[2]`: a place inside a value."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
