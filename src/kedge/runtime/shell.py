"""A command for `/bin/sh`, in which every value arrives as data.

No value stands in the text that the shell reads. The text refers to variables, `"${kedge_1}"`, and the
values are arguments of the shell, which its first line puts into them:

    cp {a} "to {b}"      sh -c 'kedge_1=$1; kedge_2=$2; shift 2; cp "${kedge_1}" "to ${kedge_2}"' sh A B

Rejected: quoting the values into the text. A place taken for another would let a value run as code, where
here at worst it is split into words; and text and values together would be one argument of the shell,
at most 128 KiB of them all. Rejected too: `"$1"` itself, which is something else in a function or after
`set`; and variables of the environment, which every program below would inherit.

What the variables cannot make safe is refused before anything runs: kedge.runtime.shell_places.
"""

import os
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

from kedge.data import Data
from kedge.errors import InputError, Problem, TaskError, Where
from kedge.runtime.placeholders import Placeholder, check, is_path, parse
from kedge.runtime.shell_places import MARK, Stand, find_places
from kedge.task.payload import HERE

VALUE_LIMIT: Final = (
    64 * 1024
)  # half of what Linux takes as one argument (MAX_ARG_STRLEN, 128 KiB):
# the command that gets the value may put text beside it
TOTAL_LIMIT: Final = (
    1024 * 1024
)  # half of what Linux takes as all arguments and variables together, a
# quarter of a stack of 8 MiB (execve(2)): the commands need them again, with their own environment
TEXT_LIMIT: Final = 128 * 1024 - 1  # MAX_ARG_STRLEN less its NUL: the text is one argument

_KNOWN: Final = 64  # templates that are not read again

_AS_LIST: Final = 'give `command` as a list, `["program", "argument", …]`, which no shell reads'
_AS_FILE: Final = "make it a file: an input of kind `file`, whose path stands in the command"


class ShellCommand(Data):
    """What the shell reads, `text`, and the `keys` of the values that are its arguments, in order."""

    text: str
    keys: tuple[str, ...]


def prepare(template: str, known: Collection[str], source: str = "command") -> ShellCommand:
    """The command of `template`, in which the placeholders may have the keys in `known`.

    `source` names the template in messages.

    Raises:
        TaskError: placeholders with other keys, or where a value cannot be made safe: all of them.

    >>> prepare("cat {a}", {"a"})
    ShellCommand(text='kedge_1=$1; shift 1; cat "${kedge_1}"', keys=('a',))
    """
    return _prepared(template, frozenset(known), source)


@lru_cache(_KNOWN)
def _prepared(template: str, known: frozenset[str], source: str) -> ShellCommand:
    if "\0" in template:
        raise TaskError("the command holds a NUL, which no shell reads", where=Where(source))
    parts = parse(template)
    places = [part for part in parts if isinstance(part, Placeholder)]
    stands = find_places(
        "".join(part if isinstance(part, str) else MARK for part in parts),
        [is_path(place, known) for place in places],
    )
    problems = check(parts, known, source) + [
        Problem(f"{place} {stand}", place.where(source), _AS_LIST)
        for place, stand in zip(places, stands, strict=True)
        if not isinstance(stand, Stand)
    ]
    if problems:
        raise TaskError.of(problems, source)
    keys = tuple(dict.fromkeys(place.key for place in places))
    stand_of = iter(stands)
    text = _first_line(len(keys)) + "".join(
        part if isinstance(part, str) else _written(keys.index(part.key) + 1, next(stand_of))
        for part in parts
    )
    if text[:1] in ("-", "+"):  # the shell would take it for an option
        text = f" {text}"
    if (size := len(os.fsencode(text))) > TEXT_LIMIT:
        message = f"the command has {size} bytes: Linux takes at most {TEXT_LIMIT} as one argument"
        raise TaskError(message, where=Where(source), hint="put it in a script")
    return ShellCommand(text, keys)


def argv(command: ShellCommand, values: Mapping[str, str]) -> list[str]:
    """The arguments that run `command` with `values`, by key: `/bin/sh` and what it is given.

    Raises:
        InputError: values with a NUL, or larger than VALUE_LIMIT, or TOTAL_LIMIT together.

    >>> argv(prepare("cat {a}", {"a"}), {"a": "x; y"})[3:]
    ['sh', 'x; y']
    """
    given = [values[key] for key in command.keys]
    problems = []
    total = 0
    for key, value in zip(command.keys, given, strict=True):
        size, reason = _measured(value)
        total += size
        if reason:
            problems.append(Problem(f"the value of `{{{key}}}` {reason}", hint=_AS_FILE))
    if not problems and total > TOTAL_LIMIT:
        message = f"the values have {total} bytes together: a command takes at most {TOTAL_LIMIT}"
        problems.append(Problem(message, hint=_AS_FILE))
    if problems:
        raise InputError.of(problems, "the values of the command")
    return ["/bin/sh", "-c", command.text, *(["sh", *given] if given else [])]


def _first_line(count: int) -> str:
    if not count:
        return ""
    taken = "".join(
        f"kedge_{n}=${n}; " if n < 10 else f"kedge_{n}=${{{n}}}; " for n in range(1, count + 1)
    )
    return f"{taken}shift {count}; "


def _written(number: int, stand: Stand | str) -> str:
    variable = f"${{kedge_{number}}}"
    return {Stand.BARE: f'"{variable}"', Stand.DOUBLE: variable, Stand.SINGLE: f"'\"{variable}\"'"}[
        Stand(stand)
    ]


def _measured(value: str) -> tuple[int, str | None]:
    """How many bytes the value has, and why it cannot be an argument."""
    try:
        size = len(os.fsencode(value))
    except UnicodeEncodeError:
        return 0, "holds half a character (a lone surrogate), which has no bytes"
    if "\0" in value.removeprefix(HERE):  # the executor's, which it puts a path for
        return size, "holds a NUL, with which every argument of a program ends"
    if size > VALUE_LIMIT:
        return size, f"has {size} bytes: a value in a command has at most {VALUE_LIMIT}"
    return size, None
