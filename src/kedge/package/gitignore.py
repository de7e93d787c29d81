"""Patterns of .gitignore files, as git's own `wildmatch.c` has them.

Written here because a package is anybody's: the libraries for it turn each `*` into a regular
expression that backtracks, and a pattern with five of them then takes hours for one long name. Here a
segment is one pass (atomic groups, as `fnmatch` does it) and `**` a table of segments.
"""

import re
from typing import Final

from kedge.data import Data

_CLASSES: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9",
    "graph": r"!-~", "lower": "a-z", "print": r" -~", "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r\f\v", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_NEVER: Final = "(?!)"
_ANY_DEPTH: Final = None
"""A segment `**`: any number of folders."""

type Segment = re.Pattern[str] | None


class Pattern(Data):
    """One line of an ignore file.

    Args:
        segments: between its slashes; None stands for `**`.
        anchored: whether it is matched from the file's own folder, else by name at any depth.
        folders_only: whether it ends in a slash.
        negated: whether it takes back in what an earlier one left out.
    """

    segments: tuple[Segment, ...]
    anchored: bool
    folders_only: bool
    negated: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Whether the pattern names the entry at `path`, relative to the ignore file's folder."""
        if self.folders_only and not is_folder:
            return False
        parts = path.split("/")
        if self.anchored:
            return _matches(self.segments, parts)
        (name,) = self.segments
        return name is _ANY_DEPTH or name.fullmatch(parts[-1]) is not None


def parse(line: str) -> Pattern | None:
    r"""The pattern on one line (without its newline), None for a comment or an empty line.

    >>> parse("*.log").matches("a/b.log", is_folder=False)
    True
    """
    text = _without_trailing_spaces(line)
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[1:] if negated else text
    folders_only = text.endswith("/")
    text = text[:-1] if folders_only else text
    anchored = "/" in text
    text = text.removeprefix("/")
    if not text:
        return None
    segments = tuple(_segment(part) for part in _parts(text))
    return Pattern(segments, anchored, folders_only, negated)


def leaves_out(patterns: list[Pattern], path: str, *, is_folder: bool) -> bool | None:
    """What the last pattern that names the entry says; None when none does."""
    for pattern in reversed(patterns):
        if pattern.matches(path, is_folder=is_folder):
            return not pattern.negated
    return None


def _without_trailing_spaces(line: str) -> str:
    text = line.removesuffix("\r")
    bare = text.rstrip(" ")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if escapes % 2 and bare != text else bare


def _matches(segments: tuple[Segment, ...], parts: list[str]) -> bool:
    """Whether all segments match all parts. `reach` holds how many parts may be used up so far."""
    reach = {0}
    for number, segment in enumerate(segments):
        if segment is _ANY_DEPTH:
            last = number == len(segments) - 1
            first = min(reach) + (1 if last else 0)  # at the end, `**` is at least one name
            reach = set(range(first, len(parts) + 1))
        else:
            reach = {at + 1 for at in reach if at < len(parts) and segment.fullmatch(parts[at])}
        if not reach:
            return False
    return len(parts) in reach


def _parts(text: str) -> list[str]:
    """The pattern between its slashes; one inside a bracket expression does not divide."""
    parts = [""]
    at = 0
    while at < len(text):
        end = at + 1
        if text[at] == "[":
            end = _bracket(text, at + 1)[1]
        elif text[at] == "\\":
            end = at + 2
            if text[at:end] == "\\/":
                at += 1
        if text[at:end] == "/":
            parts.append("")
        else:
            parts[-1] += text[at:end]
        at = end
    return parts


def _segment(text: str) -> Segment:
    if len(text) > 1 and not text.strip("*"):
        return _ANY_DEPTH
    pieces: list[str] = [""]  # what stands between stars
    at = 0
    while at < len(text):
        character = text[at]
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
            at += 1
        elif character == "?":
            pieces[-1] += "."
            at += 1
        elif character == "[":
            piece, at = _bracket(text, at + 1)
            pieces[-1] += piece
        elif character == "\\":
            if at + 1 == len(text):
                return re.compile(_NEVER)  # git: an invalid pattern, which names nothing
            pieces[-1] += re.escape(text[at + 1])
            at += 2
        else:
            pieces[-1] += re.escape(character)
            at += 1
    first, *middle = pieces
    if not middle:
        return re.compile(first, re.DOTALL)
    # The leftmost place for each piece is always good enough: once found, never given up.
    inner = "".join(f"(?>.*?{piece})" for piece in middle[:-1])
    return re.compile(f"{first}{inner}.*{middle[-1]}", re.DOTALL)


def _bracket(text: str, at: int) -> tuple[str, int]:
    """A bracket expression from after its `[`: its regular expression and where it ends."""
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    items: list[str] = []
    start = at
    while True:
        if at >= len(text):
            return _NEVER, len(text)  # not closed: git has it name nothing
        if text[at] == "]" and at > start:
            break
        if text.startswith("[:", at):
            end = text.find("]", at + 2)
            if end < 0:
                return _NEVER, len(text)
            if end > at + 2 and text[end - 1] == ":":
                name = text[at + 2 : end - 1]
                if name not in _CLASSES:
                    return _NEVER, len(text)
                items.append(_CLASSES[name])
                at = end + 1
                continue
        low, at = _one(text, at)
        items.append(re.escape(low))  # also of a range that runs backwards
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            high, at = _one(text, at + 1)
            if low <= high:
                items.append(f"{re.escape(low)}-{re.escape(high)}")
    if not items:
        return ("." if negated else _NEVER), at + 1
    return f"[{'^' if negated else ''}{''.join(items)}]", at + 1


def _one(text: str, at: int) -> tuple[str, int]:
    if text[at] == "\\" and at + 1 < len(text):
        return text[at + 1], at + 2
    return text[at], at + 1
