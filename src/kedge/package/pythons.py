"""The Python versions that functions run on, and which of them a `requires-python` means."""

import re
from collections.abc import Sequence
from typing import Final

OLDEST_MINOR: Final = 8
NEWEST_MINOR: Final = 14  # the newest stable release that the runner is tested on
VERSIONS: Final = tuple(f"3.{minor}" for minor in range(OLDEST_MINOR, NEWEST_MINOR + 1))

_CLAUSE: Final = re.compile(
    r"\s*(~=|===|==|!=|<=|>=|<|>)\s*v?(\d{1,6}(?:\.\d{1,6})*)(\.\*)?"
    r"(?:[-._]?(?:a|b|c|rc|alpha|beta|pre|preview|dev|post)[-._]?\d*)*\s*",
    re.IGNORECASE,
)
_PATCHES: Final = 100  # no minor has had half as many; `3.8.17` must match a minor of this range


def check_version(version: str) -> str | None:
    """What was expected where functions cannot run on Python `version`, None when they can.

    A newer minor than any known one passes: whether this machine has it is found out when it is needed.

    >>> check_version("3.12") is None
    True
    """
    found = re.fullmatch(r"3\.(0|[1-9]\d{0,2})", version, re.ASCII)
    if found and int(found[1]) >= OLDEST_MINOR:
        return None
    if re.fullmatch(r"3\.\d+\.\S*", version):
        return "a minor version such as 3.12, without the patch"
    return f"{VERSIONS[0]} or newer"


def newest(specifier: str, among: Sequence[str] = VERSIONS) -> str | None:
    """The newest of the versions `among` that `requires-python` text admits; None when none does.

    A minor is admitted when some patch release of it is. `among` may be the interpreters of one machine.

    Raises:
        ValueError: the specifier is not one; the message quotes the part.

    >>> newest(">=3.9,<3.13")
    '3.12'
    """
    clauses = [_clause(part) for part in specifier.split(",") if part.strip()]
    minors = sorted((int(version.split(".")[1]) for version in among), reverse=True)
    for minor in minors:
        patches = ((3, minor, patch) for patch in range(_PATCHES))
        if any(all(_admits(clause, patch) for clause in clauses) for patch in patches):
            return f"3.{minor}"
    return None


type _Clause = tuple[str, tuple[int, ...], bool]


def _clause(text: str) -> _Clause:
    found = _CLAUSE.fullmatch(text)
    if not found:
        raise ValueError(f"`{text.strip()}` is not a version specifier")
    operator, release, star = found[1], found[2], bool(found[3])
    numbers = tuple(int(number) for number in release.split("."))
    if (star and operator not in ("==", "!=")) or (operator == "~=" and len(numbers) < 2):
        raise ValueError(f"`{text.strip()}` is not a version specifier")
    return operator, numbers, star


def _admits(clause: _Clause, version: tuple[int, ...]) -> bool:
    operator, numbers, star = clause
    width = max(len(numbers), len(version))
    wanted = numbers + (0,) * (width - len(numbers))
    given = version + (0,) * (width - len(version))
    match operator:
        case "==" | "===":
            return version[: len(numbers)] == numbers if star else given == wanted
        case "!=":
            return version[: len(numbers)] != numbers if star else given != wanted
        case "~=":
            return given >= wanted and given[: len(numbers) - 1] == numbers[:-1]
        case ">=":
            return given >= wanted
        case "<=":
            return given <= wanted
        case ">":
            return given > wanted
        case _:
            return given < wanted
