"""The events that code appends to `out/progress.jsonl`, read while it writes them."""

import collections
import os
import stat
import time
from collections.abc import Callable
from typing import Any, Final, final

from kedge.contract.hostile import DESCRIPTOR_FLAGS, RefusedError, parse_object

LINE_LIMIT: Final = 64 << 10  # bytes of one line
RATE: Final = 100  # events that are passed on in any one second

# Of those, every look at the file may pass one on, but not more often than this, so that in a flood too
# the newest is seen at once; the rest of the second's share goes to whoever comes first.
_PACE_S: Final = 0.05
_SHARE: Final = RATE - round(1 / _PACE_S)
_READ_LIMIT: Final = 1 << 20  # bytes read at one look; of a longer backlog, the end


@final
class Reader:
    """Reads one run's progress as it grows.

    `skipped` counts lines that were no events: malformed, or longer than `LINE_LIMIT`. `thinned` says that
    some events were passed over because there were too many.

    Args:
        path: the file, which need not exist yet; what else it may turn out to be is ignored.
        clock: seconds that only grow.

    >>> reader = Reader("out/progress.jsonl")
    >>> reader.poll()
    [{'step': 1, 'total': 10}]
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.skipped = 0
        self.thinned = False
        self._clock = clock
        self._offset = 0
        self._file: int | None = None  # held open, so that a file in its place has another inode
        self._partial = b""
        self._dropping = False  # the rest of a line whose beginning is gone or too long
        self._held: dict[str, Any] | None = None
        self._passed: collections.deque[float] = collections.deque()

    def poll(self) -> list[dict[str, Any]]:
        """The events whose lines were completed since the last call, at most `RATE` in a second."""
        return self._thin(self._events())

    def finish(self) -> list[dict[str, Any]]:
        """What remains when nothing more will be written: also a last line without its newline."""
        found = self._events()
        rest, self._partial = self._partial, b""
        if rest and not self._dropping:
            found += self._parsed([rest])
        last = found or ([self._held] if self._held is not None else [])
        self._release()
        return self._thin(found) or last[-1:]

    def _events(self) -> list[dict[str, Any]]:
        grown = self._grown()
        *lines, rest = (self._partial + grown).split(b"\n")
        if self._dropping and lines:
            lines, self._dropping = lines[1:], False
        if len(rest) > LINE_LIMIT:
            if not self._dropping:
                self.skipped += 1
            rest, self._dropping = b"", True
        self._partial = b"" if self._dropping else rest
        return self._parsed(lines)

    def _grown(self) -> bytes:
        """What was appended since the last look, from where it is still worth reading."""
        try:
            info = os.stat(self.path, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                return b""
            if self._file is None or os.fstat(self._file).st_ino != info.st_ino:
                self._release()
                self._begin()
                self._file = _opened(self.path)
            size = os.fstat(self._file).st_size
            if size < self._offset:
                self._begin()
            if size - self._offset > _READ_LIMIT:
                self._offset = size - _READ_LIMIT
                self._partial, self._dropping, self.thinned = b"", True, True
            data = os.pread(self._file, _READ_LIMIT, self._offset)
        except OSError:
            return b""
        self._offset += len(data)
        return data

    def _begin(self) -> None:
        """Forget what was read: it is another file, or the same begun anew."""
        self._offset, self._partial, self._dropping = 0, b"", False

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self._release()

    def _parsed(self, lines: list[bytes]) -> list[dict[str, Any]]:
        found = []
        for line in lines:
            if not line.strip():
                continue
            try:
                if len(line) > LINE_LIMIT:
                    raise RefusedError("is too long")
                found.append(parse_object(line))
            except RefusedError:
                self.skipped += 1
        return found

    def _thin(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As many of the events as this second still allows, spread evenly, the last one in any case."""
        if self._held is not None:
            found = [self._held, *found]
            self._held = None
        if not found:
            return []
        now = self._clock()
        while self._passed and self._passed[0] <= now - 1.0:
            self._passed.popleft()
        room = max(0, _SHARE - len(self._passed))
        if not room and now - self._passed[-1] >= _PACE_S:
            room = 1
        if not room:
            self._held = found[-1]
        count = min(room, len(found))
        self.thinned |= count + (not room) < len(found)
        chosen = [found[(index + 1) * len(found) // count - 1] for index in range(count)]
        self._passed.extend([now] * count)
        return chosen


def _opened(path: str) -> int:
    file = os.open(path, DESCRIPTOR_FLAGS)
    if not stat.S_ISREG(os.fstat(file).st_mode):  # exchanged between the look and the opening
        os.close(file)
        raise OSError
    return file
