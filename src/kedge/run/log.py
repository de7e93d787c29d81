"""A run's log: what its code wrote, byte for byte, with the stream and the moment of each line.

The file reads well as it is: `<ms> o <line>`, where `ms` counts from the log's first line and the letter
is the stream (`o` standard output, `e` standard error, `k` Kedge's own). A `+` after the letter says that
the line goes on in that stream's next record: its newline has not come. Since no record holds a newline
of its own, nothing needs escaping and any bytes go through.

The first megabyte stays in `log`; what follows goes to `log.1`, `log.2`, … of which only the newest are
kept. Each starts with a line `#kedge-log <version> <start> <bytes>`: the moment that `ms` counts from, and
how many bytes the code had written before; by the latter a reader knows how much is missing.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, final

from kedge.errors import StoreError

Stream = Literal["stdout", "stderr", "kedge"]
Record = tuple[int, Stream, bytes]

HEAD_BYTES: Final = 1 << 20  # of the code's own, from the beginning: always kept
SEGMENT_BYTES: Final = 7 << 20  # of a file, frames included: what bounds the disk used
SEGMENTS: Final = 9  # full ones kept beside the one being written: the last 63 MB at least

_VERSION: Final = 1
_LETTERS: Final[dict[Stream, bytes]] = {"stdout": b"o", "stderr": b"e", "kedge": b"k"}
_STREAMS: Final[dict[bytes, Stream]] = {letter: stream for stream, letter in _LETTERS.items()}
_PIECE: Final = 1 << 16  # bytes framed at once: what bounds memory, and the longest record
_TAIL: Final = 1 << 16  # bytes of each stream's end kept in memory for failure messages
_READ: Final = 1 << 18
_POLL_S: Final = 0.05  # a follower sees a line within this


@final
class LogWriter:
    r"""Writes one run's log. A disk that does not take it stops the log, never the run: see `problem`.

    Args:
        path: the log's file, which must not exist yet.
        begin: called before the file is made, which is when the first line comes; None: it is made now.
        monotonic_ms: the clock that times lines.

    Raises:
        StoreError: the file cannot be made; if that is when a line comes, it is no more than a `problem`.

    >>> log = LogWriter("log")
    >>> log.write("stderr", b"no convergence\n")
    """

    def __init__(
        self,
        path: str,
        *,
        begin: Callable[[], None] | None = None,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self._clock = monotonic_ms
        self._from = monotonic_ms()
        self._start = time.time_ns() // 1_000_000
        self._partial: dict[Stream, bytes] = {}
        self._tails: dict[Stream, bytearray] = {}
        self._taken = 0  # bytes of the code's in all segments so far
        self._number = 0
        self._size = 0
        self._file = -1
        self._first = begin
        if begin is None:
            self._open()

    def write(self, stream: Stream, data: bytes) -> None:
        """Take what the code wrote, in pieces of any size; whole lines reach the file at once."""
        if self._first is not None:
            begin, self._first = self._first, None
            try:
                begin()
                self._open()
            except StoreError as error:
                self.problem = error.message
        self._remember(stream, data)
        for start in range(0, len(data), _PIECE):
            self._take(stream, data[start : start + _PIECE])

    def flush_partial(self) -> None:
        """Write the lines whose newline has not come yet; called every 50 ms, it makes prompts seen."""
        for stream, waiting in self._partial.items():
            self._record(stream, b"+", waiting, len(waiting))
        self._partial.clear()

    def tail(self, stream: Stream, lines: int) -> bytes:
        """The last lines that came on a stream, at most 64 KB of them."""
        kept = bytes(self._tails.get(stream, b""))
        end = kept.removesuffix(b"\n")
        return b"\n".join(end.split(b"\n")[-lines:]) + kept[len(end) :]

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush_partial()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, stream: Stream, data: bytes) -> None:
        if self._partial.keys() - {stream}:
            self.flush_partial()  # another stream's half line came before this: keep the order
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            text = self._partial.pop(stream, b"") + whole
            self._record(stream, b"", text, len(text) + 1)
        if rest:
            waiting = self._partial.pop(stream, b"") + rest
            if len(waiting) < _PIECE:
                self._partial[stream] = waiting
            else:
                self._record(stream, b"+", waiting, len(waiting))

    def _record(self, stream: Stream, more: bytes, text: bytes, taken: int) -> None:
        """Frame one or more lines that came at this moment, and write them in one go."""
        prefix = b"%d %s%s " % (self._clock() - self._from, _LETTERS[stream], more)
        framed = prefix + text.replace(b"\n", b"\n" + prefix) + b"\n"
        if self._file < 0:
            return
        try:
            if self._size >= SEGMENT_BYTES or (not self._number and self._taken >= HEAD_BYTES):
                self._next_segment()
            self._put(framed)
        except OSError as error:
            self.problem = f"the log `{self.path}` ends early: {error.strerror}"
            os.close(self._file)
            self._file = -1
        self._taken += taken

    def _open(self) -> None:
        try:
            self._file = self._begin(self.path)
        except OSError as error:
            raise StoreError(
                f"the log `{self.path}` cannot be made: {error.strerror}",
                hint="make room, or set KEDGE_HOME to a folder that you can write to",
            ) from error

    def _put(self, data: bytes) -> None:
        self._size += len(data)
        while data:
            data = data[os.write(self._file, data) :]

    def _begin(self, path: str) -> int:
        file = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        header = b"#kedge-log %d %d %d\n" % (_VERSION, self._start, self._taken)
        self._size = len(header)
        os.write(file, header)
        return file

    def _next_segment(self) -> None:
        following = self._begin(_segment(self.path, self._number + 1))
        os.close(self._file)
        self._file = following
        self._number += 1
        if self._number > SEGMENTS + 1:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_segment(self.path, self._number - SEGMENTS - 1))

    def _remember(self, stream: Stream, data: bytes) -> None:
        tail = self._tails.setdefault(stream, bytearray())
        tail += data[-_TAIL:]
        if len(tail) > 2 * _TAIL:
            del tail[:-_TAIL]


def read_log(
    path: str, *, follow: bool = False, stop: Callable[[], bool] = lambda: False
) -> Iterator[Record]:
    """What is in a log: (milliseconds since 1970, stream, bytes), in the order it was written.

    Bytes end in a newline unless the line goes on in the stream's next record. Where the middle was left
    out, one record of the stream `kedge` says how much.

    Args:
        path: the log's file.
        follow: whether to wait for more at the end.
        stop: asked while waiting; once it is true, what is there is read to its end and that is all.

    Raises:
        StoreError: there is no such log, or it is not one.
    """
    reader = _Reader(path)
    try:
        while True:
            last = not follow or stop()  # asked first: what came before a stop is still read
            for data in reader.chunks():
                yield from reader.records(data)
            if last:
                yield from reader.rest()
                return
            time.sleep(_POLL_S)
    finally:
        reader.close()


class _Reader:
    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0
        self._read = 0  # bytes of the code's that were read, or are known to be missing
        self._start = 0
        self._waiting = b""
        self._at = 0
        # The following segment, opened before the present one is read.
        self._next: int | None = None
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(
                f"the log `{path}` cannot be read: {error.strerror}",
                hint="the run may have been removed, or had not started to write one",
            ) from error

    def close(self) -> None:
        os.close(self._file)
        if self._next is not None:
            os.close(self._next)

    def chunks(self) -> Iterator[bytes]:
        """What can be read now, on through the segments that follow."""
        while True:
            number = self._open_next()  # before reading: a file that has a next one is complete
            while data := os.read(self._file, _READ):
                yield data
            if self._next is None:
                return
            os.close(self._file)
            self._number, self._file, self._next = number, self._next, None

    def _open_next(self) -> int:
        folder, name = os.path.split(self._path)
        prefix = name + "."
        with os.scandir(folder or ".") as entries:
            ends = [
                entry.name.removeprefix(prefix)
                for entry in entries
                if entry.name.startswith(prefix)
            ]
        for number in sorted(int(end) for end in ends if end.isdecimal()):
            if number > self._number:
                # The oldest may be removed between the look and the opening; then the next is it.
                with contextlib.suppress(FileNotFoundError):
                    path = _segment(self._path, number)
                    self._next = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                    return number
        return self._number

    def records(self, data: bytes) -> Iterator[Record]:
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for line in lines:
            if line.startswith(b"#") or not self._start:
                yield from self._header(line)
            elif (record := self._parsed(line, b"\n")) is not None:
                yield record

    def rest(self) -> Iterator[Record]:
        """A record that a killed writer left half written."""
        if (record := self._parsed(self._waiting, b"")) is not None:
            yield record

    def _header(self, line: bytes) -> Iterator[Record]:
        try:
            _, version, start, taken = line.split()
            self._start = int(start)
            missing = int(taken) - self._read
        except ValueError:
            version, missing = b"?", 0
        if version != b"%d" % _VERSION:
            raise StoreError(
                f"`{self._path}` is not a log that this Kedge can read",
                hint="it is damaged, or was written by another version",
            )
        if missing > 0:
            self._read += missing
            yield self._at or self._start, "kedge", b"[... %d bytes left out ...]\n" % missing

    def _parsed(self, line: bytes, end: bytes) -> Record | None:
        moment, _, after = line.partition(b" ")
        stream, space, text = after.partition(b" ")
        if not space or not moment.isdigit() or stream[:1] not in _STREAMS:
            return None  # a header that a killed writer left half written
        text += b"" if stream[1:] else end
        self._read += len(text)
        self._at = self._start + int(moment)
        return self._at, _STREAMS[stream[:1]], text


def _segment(path: str, number: int) -> str:
    return f"{path}.{number}"
