"""File descriptors of one program that was started: made together, closed together."""

import errno
import os
import resource
from collections.abc import Sequence
from typing import final


@final
class Descriptors:
    """Descriptors that are closed with each other; none is inherited by a child unless passed on."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def pipe(self) -> tuple[int, int]:
        """A new pipe: the end to read from, the end to write to."""
        reading, writing = os.pipe()
        self._open |= {reading, writing}
        return reading, writing

    def memory(self, content: bytes) -> int:
        """A new file in memory, to be read from its beginning."""
        descriptor = self.add(os.memfd_create("kedge"))
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def add(self, descriptor: int) -> int:
        """Take over `descriptor`."""
        self._open.add(descriptor)
        return descriptor

    def close(self, *descriptors: int) -> None:
        """Close `descriptors`, or all that are left when none is given."""
        for descriptor in descriptors or tuple(self._open):
            self._open.discard(descriptor)
            os.close(descriptor)


def numbers_in_child(passed_on: Sequence[int]) -> dict[int, int]:
    """The numbers that descriptors get in a child: above all of them, so that none is overwritten too early.

    Raises:
        OSError: EMFILE, there are no such numbers left.
    """
    first = max(passed_on) + 1
    if first + len(passed_on) > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return {descriptor: first + index for index, descriptor in enumerate(passed_on)}


def inheritable() -> list[int]:
    """Descriptors beyond the standard ones that a child would inherit.

    They are what this process itself was started with, and what C code opened.
    """
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the one that listed the folder
            continue
    return found


def streams(stdout: int, stderr: int) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    """What gives a program that is spawned no input, and these descriptors for what it writes."""
    return [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
