"""A manifest's data together with where each piece of it stands in its file."""

from collections.abc import Mapping
from typing import Any

from kedge.data import Data, field
from kedge.errors import Problem, Where

type Path = tuple[str | int, ...]

_SHOWN = 60  # characters of a value in a message: enough to recognise it


class Place(Data):
    """A line and column (both from 1); `text` is a plain value as it was written, None otherwise."""

    line: int
    column: int
    text: str | None = None


class Document(Data):
    """Data read from a file, and the places of its keys and values by path.

    Args:
        file: the file's name as people see it.
        data: mappings, lists, texts, numbers, booleans, None.
        keys: place of each mapping entry's key.
        values: place of each value.
    """

    file: str
    data: Any
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)

    def where(self, path: Path, *, key: bool = False) -> Where:
        """Where the value at `path` stands; for one that is missing, where its holder's name does.

        With `key` the place of the value's own name, for problems that are about the name.
        """
        place = self.keys.get(path) if key else None
        place = place or self.values.get(path)
        above = path
        while place is None and above:
            above = above[:-1]
            place = self.keys.get(above) or self.values.get(above)
        shown = dotted(path) or None
        if place is None:
            return Where(self.file, path=shown)
        return Where(self.file, place.line, place.column, shown)

    def written(self, path: Path) -> str | None:
        """A plain value exactly as its author wrote it (`3.10`), None for anything else."""
        place = self.values.get(path)
        return place.text if place else None


def dotted(path: Path) -> str:
    """A path for people.

    >>> dotted(("functions", "sizing", "entrypoint", 0))
    'functions.sizing.entrypoint[0]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() else repr(part)[1:-1]
            text += f".{shortened(name)}" if text else shortened(name)
    return text


def shortened(text: str) -> str:
    """`text`, cut in the middle of a message when it is long."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def described(value: Any) -> str:
    """What a value is, for the "found" half of a message.

    >>> described(3), described([]), described("a")
    ('the number 3', 'an empty list', '`a`')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {shortened(_number(value))}"
        case str():
            shown = value if value.isprintable() else repr(value)[1:-1]
            return f"`{shortened(shown)}`" if value else "an empty text"
        case list():
            return "a list" if value else "an empty list"
        case Mapping():
            return "a mapping" if value else "an empty mapping"
        case _:
            return f"a {type(value).__name__}"


def _number(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return "of thousands of digits"


def by_place(problems: list[Problem]) -> list[Problem]:
    """Problems in the order in which a reader of the file meets them."""

    def order(problem: Problem) -> tuple[int, int]:
        where = problem.where
        return (where.line or 0, where.column or 0) if where else (0, 0)

    return sorted(problems, key=order)
