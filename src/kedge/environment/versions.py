"""Python versions and the specifiers that scripts write about them (PEP 440, as far as Pythons need it)."""

import re
from collections.abc import Callable
from typing import Final

Accepts = Callable[[str], bool]
_VERSION: Final = re.compile(r"(\d+(?:\.\d+)*)((?:a|b|rc)\d+)?\+?", re.ASCII)
_CLAUSE: Final = re.compile(
    r"(===|==|~=|!=|<=|>=|<|>)\s*v?(\d+(?:\.\d+){0,3})((?:a|b|rc)\d+)?(\.\*)?", re.ASCII
)
_BARE: Final = re.compile(r"\d+\.\d+(?:\.\d+)?(?:(?:a|b|rc)\d+)?", re.ASCII)
_STAGES: Final = {"a": 0, "b": 1, "rc": 2}
_FINAL: Final = (3, 0)
_MAX_LENGTH: Final = 200  # a longer one is nobody's Python version


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: (3, 12, 1); empty when it is none.

    >>> release("3.15.0a2")
    (3, 15, 0)
    """
    match = _VERSION.fullmatch(version)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()


def is_final(version: str) -> bool:
    """Whether a version is no alpha, beta or release candidate."""
    match = _VERSION.fullmatch(version)
    return match is not None and match.group(2) is None


def accepts(wanted: str) -> Accepts | None:
    """A test of exact versions against `wanted`: "3.12", "3.12.1" or a specifier set; None if it is none.

    >>> check = accepts(">=3.10, !=3.11.*")
    >>> check("3.10.4"), check("3.11.9"), check("3.9.1")
    (True, False, False)
    """
    text = wanted.strip()
    if len(text) > _MAX_LENGTH:
        return None
    if _BARE.fullmatch(text):
        text = f"=={text}" if text.count(".") == 2 or re.search("[abr]", text) else f"=={text}.*"
    clauses = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _CLAUSE.fullmatch(part)
        if match is None:
            return None
        operator, numbers, stage, any_below = match.groups()
        if any_below and (operator not in ("==", "!=") or stage):
            return None
        if operator == "~=" and "." not in numbers:
            return None
        clauses.append((operator, numbers, stage, bool(any_below)))
    if not clauses:
        return None
    return lambda version: all(_fits(version, *clause) for clause in clauses)


def _fits(version: str, operator: str, numbers: str, stage: str | None, any_below: bool) -> bool:
    have, want = _key(version), _key(numbers + (stage or ""))
    prefix = release(numbers)
    starts = (release(version) + (0,) * len(prefix))[: len(prefix)] == prefix
    match operator:
        case "==" | "===":
            return starts if any_below else have == want
        case "!=":
            return not (starts if any_below else have == want)
        case "~=":
            return have >= want and release(version)[: len(prefix) - 1] == prefix[:-1]
        case ">=":
            return have >= want
        case "<=":
            return have <= want
        case ">":
            return have > want
        case _:
            # PEP 440: `<3.13` does not admit 3.13's own pre-releases.
            own_pre_release = starts and not is_final(version) and stage is None
            return have < want and not own_pre_release


def _key(version: str) -> tuple[tuple[int, ...], tuple[int, int]]:
    match = _VERSION.fullmatch(version)
    stage = match.group(2) if match else None
    numbers = (*release(version), 0, 0, 0, 0)[:4]
    if stage is None:
        return numbers, _FINAL
    letters = stage.rstrip("0123456789")
    return numbers, (_STAGES[letters], int(stage[len(letters) :]))
