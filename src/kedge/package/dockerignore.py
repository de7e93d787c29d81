"""What a .dockerignore leaves out of a build, as Docker has it.

Not gitignore: every pattern is matched from the context's root, the last that matches decides, and what
stands below something left out can be taken back in.
"""

import os
import re
from typing import Final

from kedge.data import Data
from kedge.errors import PackageError, Where

_TOKEN: Final = re.compile(
    r"\*\*/?|\*(?:\\[^/]|[^*/\[\\])+(?=\*(?!\*))|\*|\?|\\.|\[\^?(?:\\.|[^\]\\])+\]|.",
    re.DOTALL,
)
_PLAIN: Final = re.compile(r"\*\*([^/*?\[\]\\][^*?\[\]\\]*)")
_UNFINISHED: Final = ("[", "\\")
_STAR, _ANY_DEPTH, _ONE = "[^/]*", "(?:.*/)?", "[^/]"


class Pattern(Data):
    """One line: what it names, and whether it takes back in."""

    names: re.Pattern[str]
    negated: bool


def parse(text: str, shown: str = ".dockerignore") -> list[Pattern]:
    """The patterns of a file, in their order; `shown` is where its author finds it.

    Raises:
        PackageError: one is none; the engines refuse it too.
    """
    found = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if raw.startswith("#"):
            continue
        line = raw.strip()
        negated = line.startswith("!")
        path = _clean(line[1:].strip() if negated else line)
        if not path:
            continue
        try:
            found.append(Pattern(re.compile(_expression(path), re.DOTALL), negated))
        except re.error as error:
            raise PackageError(
                f"`{line}` in the build's ignore file is no pattern",
                where=Where(shown, number),
                hint="put a backslash before a `[` or a backslash that stands for itself",
            ) from error
    return found


def leaves_out(patterns: list[Pattern], path: str) -> bool:
    r"""Whether the file at `path`, relative to the context, stays out of the build.

    >>> leaves_out(parse("*.log\n!keep.log"), "keep.log"), leaves_out(parse("data"), "data/big.med")
    (False, True)
    """
    parts = path.split("/")
    named = [False] * len(patterns)  # it, or a folder above it
    out = False
    for depth in range(1, len(parts) + 1):
        place, out = "/".join(parts[:depth]), False
        for number, pattern in enumerate(patterns):
            # As in Docker, a pattern that would change nothing for a folder is not asked about it,
            # and so says nothing of what is in it.
            if not named[number] and pattern.negated == out:
                named[number] = bool(pattern.names.fullmatch(place))
            if named[number]:
                out = not pattern.negated
    return out


def _clean(pattern: str) -> str:
    """A pattern with `.` and `..` worked out as in a path; a `..` in front stays, and names nothing."""
    path = os.path.normpath(pattern) if pattern else ""
    return "" if path == "." else path.lstrip("/")


def _expression(pattern: str) -> str:
    if match := _PLAIN.fullmatch(pattern):
        return f".*{re.escape(match[1])}"  # Docker looks at the end alone, not at whole names
    pieces: list[str] = []
    for match in _TOKEN.finditer(pattern):
        piece = _piece(match[0], last=match.end() == len(pattern))
        if pieces[-1:] != [piece] or piece not in (_STAR, _ANY_DEPTH):
            pieces.append(piece)
    return "".join(pieces)


def _piece(text: str, last: bool) -> str:
    if text.startswith("**"):
        return ".*" if last else _ANY_DEPTH
    if text == "*":
        return _STAR
    if text.startswith("*"):
        # Another `*` follows in the same name, so this one never has to go back over what it took.
        return f"(?>{_STAR}?{_expression(text[1:])})"
    if text == "?":
        return _ONE
    if text in _UNFINISHED:
        raise re.error("unfinished", text)
    if text.startswith("["):
        inside = re.sub(r"\\(.)", lambda match: re.escape(match[1]), text[1:-1])
        return "[" + inside.replace("[", r"\[") + "]"
    return re.escape(text[-1])
