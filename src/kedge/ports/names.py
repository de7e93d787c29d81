"""What ports and functions may be called."""

import re
from collections.abc import Iterable
from typing import Final

from kedge.errors import Problem, Where

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", re.ASCII)
_RESERVED: Final = ("list", "task")  # taken by the contract (list.json) and by inline tasks


def check_port_name(name: object) -> str | None:
    """Why `name` cannot be a port's or a function's name, None when it can.

    >>> check_port_name("list")
    '`list` is a reserved name'
    """
    if not isinstance(name, str):
        return f"`{name!r}` is not text: a name is text (YAML reads on, off, yes, no and numbers as values)"
    if not _NAME.fullmatch(name):
        if len(name) > 63:
            return f"`{name[:20]}…` is {len(name)} characters long: a name has at most 63"
        return f"`{name}` is not a name: letters, digits, `_` and `-`, starting with a letter"
    if name in _RESERVED:
        return f"`{name}` is a reserved name"
    if name.startswith("_"):
        return f"`{name}` starts with `_`: such names are reserved"
    return None


def name_problems(names: Iterable[object]) -> list[Problem]:
    """What is wrong with the names of one block: each by itself, and two that read alike in code."""
    problems: list[Problem] = []
    attributes: dict[str, str] = {}
    for name in names:
        if reason := check_port_name(name):
            hint = "choose another name, such as `value` or `load_n`"
            problems.append(Problem(reason, Where(path=str(name)), hint))
            continue
        assert isinstance(name, str)
        attribute = name.replace("-", "_")
        if (other := attributes.setdefault(attribute, name)) != name:
            message = f"`{name}` and `{other}` are the same name in code, where `-` reads `_`"
            problems.append(Problem(message, Where(path=name), "rename one of the two"))
    return problems
