"""What a .dockerignore leaves out of a build, as the engines have it.

Not gitignore: every pattern is matched from the context's root, the last that matches decides, and what
stands below something left out can be taken back in.
"""

import re
from functools import cache
from typing import Final

from kedge.data import Data

_ANY_DEPTH: Final = None

type Segment = re.Pattern[str] | None


class Pattern(Data):
    """One line: its segments, None for `**`, and whether it takes back in."""

    segments: tuple[Segment, ...]
    negated: bool


def parse(text: str) -> list[Pattern]:
    """The patterns of a file, in their order."""
    found = []
    for number, raw in enumerate(text.splitlines()):
        line = raw.removeprefix("\ufeff") if number == 0 else raw
        if line.startswith("#"):
            continue
        line = line.strip()
        negated = line.startswith("!")
        parts = _clean(line[1:].strip() if negated else line)
        if parts:
            found.append(Pattern(tuple(_segment(part) for part in parts), negated))
    return found


def leaves_out(patterns: list[Pattern], path: str) -> bool:
    r"""Whether the file at `path`, relative to the context, stays out of the build.

    >>> leaves_out(parse("*.log\n!keep.log"), "keep.log"), leaves_out(parse("data"), "data/big.med")
    (False, True)
    """
    parts = path.split("/")
    for pattern in reversed(patterns):
        if _names(pattern.segments, parts):
            return not pattern.negated
    return False


def _names(segments: tuple[Segment, ...], parts: list[str]) -> bool:
    """Whether a pattern names the path or a folder above it."""

    @cache
    def rest(one: int, other: int) -> bool:
        if one == len(segments):
            return True  # this much of the path is a folder that is named, or all of it
        segment = segments[one]
        if segment is _ANY_DEPTH:
            if one + 1 == len(segments):
                return other < len(parts)
            return any(rest(one + 1, start) for start in range(other, len(parts)))
        return (
            other < len(parts)
            and bool(segment.fullmatch(parts[other]))
            and rest(one + 1, other + 1)
        )

    return rest(0, 0)


def _clean(pattern: str) -> list[str]:
    """The segments of a pattern, `.` and `..` worked out as in a path."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _segment(part: str) -> Segment:
    """A segment as a regular expression that never goes back over what it took."""
    if part == "**":
        return _ANY_DEPTH
    pieces, position = [], 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            pieces.append("*")
        elif char == "?":
            pieces.append(".")
        elif char == "\\" and position < len(part):
            pieces.append(re.escape(part[position]))
            position += 1
        elif char == "[" and (end := part.find("]", position + 1)) > 0:
            inside = part[position:end]
            negated = inside.startswith("^")
            body = inside[1:] if negated else inside
            pieces.append(f"[{'^' if negated else ''}{_in_class(body)}]")
            position = end + 1
        else:
            pieces.append(re.escape(char))
    return re.compile(_atomic(pieces), re.DOTALL)


def _in_class(body: str) -> str:
    return "".join(char if char == "-" else re.escape(char) for char in body.replace("\\", ""))


def _atomic(pieces: list[str]) -> str:
    """One pass: each `*` gives up as soon as what follows it has matched once."""
    groups: list[str] = [""]
    for piece in pieces:
        if piece == "*":
            groups.append("")
        else:
            groups[-1] += piece
    if len(groups) == 1:
        return groups[0]
    first, *middle, last = groups
    return first + "".join(f"(?>.*?{one})" for one in middle if one) + ".*" + last
