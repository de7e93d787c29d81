"""A lock as text: reading it with a clear error for what is damaged, and writing it."""

import re
from functools import cache
from typing import Final

from kedge import digest
from kedge.data import Data, replace
from kedge.errors import LockError, Where

_HEADER: Final = "# kedge.lock for declaration "
_NOTE: Final = "# Written by Kedge. `kedge lock` renews that of a package, `.lock(upgrade=True)` that of a function.\n"
_HASH: Final = r"--hash=(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"


class Entry(Data):
    """One package of a lock.

    Args:
        name: normalized.
        version: exact, or the address of a wheel.
        requirement: all but the hashes, as it is written.
        hashes: "sha256:…", sorted.
    """

    name: str
    version: str
    requirement: str
    hashes: tuple[str, ...]

    def limited_to(self, allowed: set[str]) -> "Entry":
        """The entry with only those of its hashes that are `allowed`."""
        return replace(self, hashes=tuple(one for one in self.hashes if one in allowed))


def header(text: str, path: str) -> str:
    """The digest of the declaration that a lock was made for.

    Raises:
        LockError: the first line is not a lock's.
    """
    return _first(text, path)[0]


def minor(text: str, path: str) -> str:
    """The Python minor that a lock was made for: "3.12".

    Raises:
        LockError: the first line is not a lock's.
    """
    return _first(text, path)[1]


def _first(text: str, path: str) -> tuple[str, str]:
    first = text.partition("\n")[0].rstrip()
    found, _, number = first.removeprefix(_HEADER).partition(", Python 3.")
    is_digest = len(found) == 64 and set(found) <= set("0123456789abcdef")
    if not (first.startswith(_HEADER) and is_digest and number.isdecimal()):
        raise damaged(path, 1, "it does not begin with the line that names its declaration")
    return found, f"3.{number}"


def body(text: str) -> str:
    """A lock without its comments."""
    return "".join(row for row in text.splitlines(True) if not row.startswith("#"))


def entries(text: str, path: str) -> tuple[Entry, ...]:
    """The packages of a lock.

    Raises:
        LockError: a line that is not a pinned package with hashes (an index, a folder, a typing
            error); the line is in it.
    """
    from kedge.environment import specifications

    found = []
    for line, content in specifications.logical_lines(text):
        match = _entry().fullmatch(content)
        if match is None:
            shown = content if len(content) <= 80 else content[:77] + "…"
            raise damaged(path, line, f"`{shown}` is not a pinned package with hashes")
        hashes = match["hashes"]
        found.append(
            Entry(
                specifications.normalized(match["name"]),
                match["version"] or match["url"],
                " ".join(content[: match.start("hashes")].split()),
                tuple(sorted(part.removeprefix("--hash=") for part in hashes.split())),
            )
        )
    return tuple(found)


def digest_of(text: str) -> str:
    """Names what a lock would install: lines of comments, order and spacing do not matter.

    Nothing is checked here, so that a lock in use costs no parsing: a damaged one has a digest that
    nothing was ever built for, and building reads it in earnest.
    """
    joined = body(text).replace("\\\r\n", " ").replace("\\\n", " ")
    rows = [" ".join(row.split()) for row in joined.splitlines()]
    return digest.of_json(sorted(filter(None, rows)))


def written(found: tuple[Entry, ...], declaration: str, python: str) -> str:
    """The text of a lock made for the declaration with that digest."""
    lines = [f"{_HEADER}{declaration}, Python {python}\n", _NOTE]
    for entry in found:
        rows = [entry.requirement, *(f"    --hash={one}" for one in entry.hashes)]
        lines.append(" \\\n".join(rows) + "\n")
    return "".join(lines)


def damaged(path: str, line: int, what: str) -> LockError:
    """The error for a lock that is not one any more."""
    return LockError(
        f"The lock is damaged: {what}.",
        where=Where(path, line),
        hint="restore it from version control, or delete it and run `kedge lock`",
    )


@cache
def _entry() -> re.Pattern[str]:
    return re.compile(
        r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[A-Za-z0-9._, -]*\])?"
        r"(?:==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!_-]*)|\s*@\s*(?P<url>https://[^\s/@]+/[^\s@]+\.whl))"
        rf"(?:\s*;\s*(?P<marker>[^;#\\]+?))?(?P<hashes>(?:\s+{_HASH})+)",
        re.ASCII,
    )
