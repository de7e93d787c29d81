"""Whether files have changed: by looking at them again and again, which is the same on every file system."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, final

from kedge.package.stamps import Stamp, stamp_of

_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".hg", ".svn"})  # as `copy` leaves them out

type _Stamps = Mapping[str, Stamp | None]


@final
class Watched:
    """Files, and folders with all that is in them, as they were at the last look.

    Args:
        paths: theirs; one that is not there counts too, since it may come.
        since_ns: nanoseconds since 1970; what was written later has changed already.
    """

    def __init__(self, paths: Iterable[str], since_ns: int) -> None:
        self._paths = sorted(set(paths))
        self._seen = self._look()
        self._late = [
            path
            for path, stamp in self._seen.items()
            if stamp is not None and max(stamp.mtime_ns, stamp.ctime_ns) > since_ns
        ]

    def changed(self) -> list[str]:
        """What changed since this was asked before, or came, or went."""
        late, self._late = self._late, []
        before, self._seen = self._seen, self._look()
        found = [path for path, stamp in self._seen.items() if before.get(path, 0) != stamp]
        return sorted({*late, *found, *(before.keys() - self._seen.keys())})

    def _look(self) -> _Stamps:
        return dict(entry for path in self._paths for entry in _stamps(path))


def _stamps(path: str) -> Iterator[tuple[str, Stamp | None]]:
    try:
        if not os.path.isdir(path):
            yield path, stamp_of(os.stat(path))
            return
        with os.scandir(path) as entries:
            below = [entry for entry in entries if entry.name not in _LEFT_OUT]
    except OSError:
        yield path, None
        return
    for entry in below:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _stamps(entry.path)
            else:
                yield entry.path, stamp_of(entry.stat(follow_symlinks=False))
        except OSError:
            yield entry.path, None
