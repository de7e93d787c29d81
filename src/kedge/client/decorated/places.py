"""Where calls are written: files in one folder of this process, which goes with it."""

import atexit
import itertools
import os
import threading
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import Final

from kedge import home
from kedge.environment import folders

_numbers: Final = itertools.count()
_making: Final = threading.Lock()


def new_file(after: ExitStack) -> str:
    """The path of a file that is not there yet, and goes when `after` ends.

    A folder for each would take longer to be made and removed than a small call to be written.
    """
    with _making:
        folder = _folder(home.folder(folders.TEMPORARIES), os.getpid())
    path = os.path.join(folder, str(next(_numbers)))
    after.callback(_remove, path)
    return path


@lru_cache(1)
def _folder(parent: str, process: int) -> str:
    """A folder of this process's; a child that was forked has another one."""
    path, _ = folders.claimed(parent)
    atexit.register(_close, path, process)
    return path


def _close(path: str, process: int) -> None:
    if os.getpid() == process:
        folders.remove(path)  # which is owned until the process ends


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
