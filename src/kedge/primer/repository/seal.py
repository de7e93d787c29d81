"""The last line of a file that Kedge wrote: by it an edit by hand is known.

It holds the SHA-256 of all lines above it, and is checked against them, so it cannot go stale: neither a
list of released digests nor a note in another file has to be kept. Line ends do not count, since git
may change them.
"""

import hashlib
import re

_SEAL = re.compile(r"\n[^\n]{1,3} As (?P<by>[^\n]+) wrote it; sha256 (?P<digest>[0-9a-f]{64})\n\Z")


def sealed(text: str, mark: str, by: str) -> str:
    """`text` and the line that says who wrote it.

    Args:
        text: whole lines.
        mark: what a comment begins with.
        by: a program, which may have a version.
    """
    return f"{text}{mark} As {by} wrote it; sha256 {_digest(text)}\n"


def writer(text: str) -> str | None:
    """Who wrote a file; None when it has been edited since, or nobody sealed it."""
    text = _plain(text)
    found = _SEAL.search(text)
    if found is None or found["digest"] != _digest(text[: found.start() + 1]):
        return None
    return found["by"]


def opened(text: str) -> str:
    """A file's text without the line that seals it."""
    text = _plain(text)
    found = _SEAL.search(text)
    return text[: found.start() + 1] if found else text


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _digest(text: str) -> str:
    return hashlib.sha256(_plain(text).encode("utf-8", "surrogateescape")).hexdigest()
