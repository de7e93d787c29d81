"""What is remembered of keys, and not for ever: each change of a package makes another key."""

from typing import Final

MOST: Final = 1000


def remember[Known](known: dict[str, Known], key: str, value: Known) -> None:
    """Note something of a key. What is noted longest is forgotten, and found out again if need be."""
    known.pop(key, None)
    known[key] = value
    while len(known) > MOST:
        del known[next(iter(known))]
