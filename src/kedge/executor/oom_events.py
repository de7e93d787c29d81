"""Whether a control group of version 1 reached its memory limit, told also once the group is gone.

An engine removes a container's group as soon as its last process has ended, and the counts with it. A
listener that was registered before still has its number: one for each time that the limit was reached, and
one for the removal itself. Source: Documentation/admin-guide/cgroup-v1/memory.rst of the kernel, section 10;
the removal's own signal is from mm/memcontrol-v1.c.
"""

import os
import time
from contextlib import suppress
from typing import Final, final

from kedge.executor import cgroup_folders as folders

_REMOVAL_S: Final = 0.5  # the kernel tells of a removal from a queue of its own
_LOOK_S: Final = 0.005


@final
class OomEvents:
    """A listener at a group's memory folder.

    Raises:
        OSError: the group is gone, or this kernel has no such listeners.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._counter = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                folders.write(f"{folder}/cgroup.event_control", f"{self._counter} {control}")
            finally:
                os.close(control)
        except BaseException:
            os.close(self._counter)
            raise

    def happened(self) -> bool:
        """Whether the limit was reached since this listener was made; asked once."""
        heard, until = 0, time.monotonic() + _REMOVAL_S
        while True:
            gone = not os.path.exists(self._folder)  # before the count: what follows is its removal
            with suppress(BlockingIOError):
                heard += os.eventfd_read(self._counter)
            if heard > 1 or (heard and not gone):
                return True
            if not gone or time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Stop listening."""
        os.close(self._counter)
