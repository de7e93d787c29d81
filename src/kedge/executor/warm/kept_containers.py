"""Containers that the keeper keeps between calls, and what it does to one before each call.

A container is used again only if Kedge can clean it from outside: it has no layer of its own, its folders are those
of the call, mounted into its namespace for that call, and nobody but its first process is left in it.
"""

import os
import socket
import sys
import time
from contextlib import ExitStack, suppress
from typing import Any, Final, final

from kedge.environment import folders
from kedge.executor import identity, processes
from kedge.executor.warm import kernel, mounting
from kedge.executor.warm.places import FOLDERS, SHARED_MEMORY
from kedge.executor.watch import KILL_PATIENCE_S

_QUEUES: Final = ("msg", "sem", "shm")  # System V's, of which nothing may be left


@final
class KeptContainer:
    """One container. `client` is the line of the call that has it, None while it waits."""

    def __init__(
        self, key: str, client: socket.socket, name: str, place: str, after: ExitStack
    ) -> None:
        self.key = key
        self.name = name  # for people
        self.client: socket.socket | None = client
        self.place = place
        self.after = after
        self.account = os.geteuid(), os.getegid()  # of its calls
        self.waiting = self.account  # of what waits in it
        self.first = -1  # a descriptor of its first process
        self.number = 0
        self.told: dict[str, Any] = {}
        self.mounted: tuple[str, ...] = ()
        self.used = time.monotonic()


def made(key: str, client: socket.socket, kind: str, name: str, parent: str) -> KeptContainer:
    """What a container needs before it is started: a folder, found by those who clean up, and an account."""
    with ExitStack() as after:
        place = after.enter_context(folders.temporary(parent))
        for name in FOLDERS:
            folders.make_folder(os.path.join(place, name))
        folders.write_file(os.path.join(place, folders.EXECUTOR), kind)
        found = KeptContainer(key, client, name, place, after)
        if identity.needed():
            for name in ("account", "waiting"):
                claimed = after.enter_context(identity.claimed())
                setattr(found, name, (claimed.uid, claimed.gid))
        found.after = after.pop_all()
    return found


def told_of(container: KeptContainer) -> dict[str, Any]:
    """What the keeper says of it, in the form in which it tells of boxes."""
    is_used = container.client is not None
    return {
        "name": container.name,
        "memory_mb": 0.0,
        "forks": 0,
        "calls": int(is_used),
        "idle_s": 0.0 if is_used else time.monotonic() - container.used,
    }


def end(container: KeptContainer) -> None:
    """Kill a container: with its first process the kernel kills all in it, and its engine removes it."""
    if container.first >= 0:
        processes.kill(container.first)
        processes.wait_readable(container.first, KILL_PATIENCE_S)
        os.close(container.first)
        container.first = -1
    container.after.close()


def mount(container: KeptContainer, mounts: list[tuple[str, int]], memory_mb: int) -> bool:
    """Show a call's folders and files in a container, in the place of those of the call before.

    Args:
        container: which.
        mounts: where, and descriptors of detached mounts.
        memory_mb: size of its shared memory.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setns(container.first, os.CLONE_NEWNS | os.CLONE_NEWIPC)
            _clear((SHARED_MEMORY, *container.mounted))
            mounting.mount_memory(SHARED_MEMORY, memory_mb)
            for place, descriptor in mounts:
                kernel.attach(descriptor, place)
            code = 0 if not _queues() else 2
        except OSError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            os._exit(code)
    container.mounted = tuple(place for place, _ in mounts)
    return os.waitpid(child, 0)[1] == 0


def _clear(places: tuple[str, ...]) -> None:
    for place in reversed(places):
        with suppress(OSError):  # the first time there is nothing of a call's
            kernel.unmount(place)


def has_sockets(container: KeptContainer) -> bool:
    """Whether the kernel still keeps something of connections that were closed."""
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/{container.number}/net/{name}") as file:
            if len(file.readlines()) > 1:
                return True
    return False


def _queues() -> bool:
    with suppress(OSError):
        if os.listdir("/dev/mqueue"):
            return True
    for name in _QUEUES:
        with open(f"/proc/sysvipc/{name}") as file:
            if len(file.readlines()) > 1:
                return True
    return False
