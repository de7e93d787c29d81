"""Closed folders on the way to an interpreter, opened for other accounts in a mount namespace."""

import os
from pathlib import Path


def lines(*needed: str) -> list[str]:
    """Shell lines for a mount namespace, by which everybody gets to these folders at their own places.

    The interpreter may lie below a closed folder, root's home say. That is covered by an empty one then.
    """
    behind: dict[str, set[str]] = {}
    for path in {path for one in needed for path in (one, os.path.realpath(one))}:
        parents = [str(parent) for parent in reversed(Path(path).parents)]
        closed = [one for one in parents if not os.stat(one).st_mode & 0o001]
        if closed:
            behind.setdefault(closed[0], set()).add(path)
    said = ["mount --make-rprivate /"]
    for closed, paths in behind.items():
        said += [f"exec 9< '{closed}'", f"mount -t tmpfs -o mode=755 tmpfs '{closed}'"]
        for path in sorted(paths):
            inside = os.path.relpath(path, closed)
            said.append(f"mkdir -p '{path}'")
            said.append(f"mount --no-canonicalize --bind /proc/$$/fd/9/'{inside}' '{path}'")
        said.append("exec 9<&-")
    return said
