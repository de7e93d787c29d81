"""What runs code and is no run: a reading of signatures, a session of `kedge debug`.

Each has a folder in KEDGE_HOME/tmp, held by a lock while its process lives. Its processes and its control
group are named after that folder, so whoever finds one that nobody holds knows what is left besides.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kedge.environment import folders
from kedge.executor import clear
from kedge.home import folder, home


@contextmanager
def workplace(executor: str) -> Iterator[str]:
    """A folder for one of them, removed after the block; what killed ones have left is removed before.

    `executor` is the kind of the one that runs its code.
    """
    sweep()
    with folders.temporary(folder(folders.TEMPORARIES)) as made:
        folders.write_file(os.path.join(made, folders.EXECUTOR), executor)
        yield made


def sweep() -> None:
    """Kill and remove what those have left whose process is gone, and builds of images that were killed."""
    folders.sweep(os.path.join(home(), folders.TEMPORARIES), _clear)
    folders.sweep(os.path.join(home(), folders.BUILDING), _clear_build)


def _clear_build(place: str) -> None:
    from kedge.environment import building  # there is one to clear up: rarely

    building.clear(place)


def _clear(place: str) -> None:
    kind = None
    with suppress(OSError), open(os.path.join(place, folders.EXECUTOR)) as file:
        kind = file.read()
    with suppress(ValueError):  # a folder that somebody else made, after which nothing is named
        clear(folders.name_of(place), kind)
