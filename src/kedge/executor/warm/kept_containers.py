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

from kedge import home
from kedge.environment import folders
from kedge.executor import identity, processes
from kedge.executor.warm import kernel, looks, mounting
from kedge.executor.warm.places import FOLDERS, PLACES, SHARED_MEMORY
from kedge.executor.warm.remembered import remember
from kedge.executor.watch import KILL_PATIENCE_S

_QUEUES: Final = ("msg", "sem", "shm")  # System V's, of which nothing may be left


@final
class KeptContainers:
    """All containers of one Kedge process. A call is known by its line to the keeper."""

    def __init__(self) -> None:
        self._kept: list[_Container] = []
        self._unfit: dict[str, None] = {}  # keys whose containers cannot serve several calls

    def borrow(self, line: socket.socket, key: str, kind: str, name: str) -> tuple[Any, ...]:
        """A container for a call, as the keeper answers: one that waits, or what a new one needs.

        Args:
            line: whose call.
            key: what calls of one container have in common.
            kind: the engine.
            name: for people.
        """
        if key in self._unfit:
            return ("cold",)
        for one in self._kept:
            if one.key == key and one.client is None and one.first >= 0:
                one.client = line
                return "lent", one.told
        one = _made(key, line, kind, f"{name} in {kind}")
        self._kept.append(one)
        needed = {
            "name": folders.name_of(one.place),
            "place": one.place,
            "account": one.account,
            "waiting": one.waiting,
        }
        return "new", needed

    def started(self, line: socket.socket, number: int, told: dict[str, Any], first: int) -> None:
        """A call's new one goes on.

        Args:
            line: whose call.
            number: of its first process.
            told: to those that borrow it.
            first: a descriptor of its first process.
        """
        one = self._of(line)
        if one is None:
            os.close(first)
            return
        one.first, one.number, one.told = first, number, told

    def refuse(self, key: str) -> None:
        """Calls of this key get none from now on."""
        remember(self._unfit, key, None)

    def show(
        self, line: socket.socket, folder: str, files: list[tuple[str, str]], memory_mb: int
    ) -> bool:
        """Mount a call's folders and files into its container, in the place of those of the call before.

        Args:
            line: whose call.
            folder: that of its workspace.
            files: source, and where it is to be seen.
            memory_mb: size of its shared memory.
        """
        one = self._of(line)
        wanted = [
            *((os.path.join(folder, name), name != "in") for name in FOLDERS),
            *((source, False) for source, _ in files),
        ]
        places = (*PLACES, *(place for _, place in files))
        try:
            with mounting.detached(wanted) as opened:
                return one is not None and _mount(one, places, opened, memory_mb)
        except OSError:
            return False

    def take_back(self, line: socket.socket, *, clean: bool) -> None:
        """A call has ended: its container, if it has one, waits for another or goes."""
        one = self._of(line)
        if one is None:
            return
        if clean and one.first >= 0 and not _has_sockets(one):
            one.client, one.used = None, time.monotonic()
        else:
            self._drop(one)

    def drop_idle(self, seconds: float) -> None:
        """End those that have waited for so long; while memory is short, all that wait."""
        now = time.monotonic()
        for one in [one for one in self._kept if one.client is None]:
            if now - one.used > seconds or looks.is_memory_short():
                self._drop(one)

    def told(self) -> list[dict[str, Any]]:
        """What the keeper says of them, in the form in which it tells of boxes."""
        return [_told_of(one) for one in self._kept]

    def end(self) -> None:
        """End them all."""
        for one in self._kept:
            _end(one)

    def _of(self, line: socket.socket) -> "_Container | None":
        return next((one for one in self._kept if one.client is line), None)

    def _drop(self, container: "_Container") -> None:
        self._kept.remove(container)
        _end(container)


@final
class _Container:
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


def _made(key: str, client: socket.socket, kind: str, name: str) -> _Container:
    """What a container needs before it is started: a folder, found by those who clean up, and an account."""
    with ExitStack() as after:
        place = after.enter_context(folders.temporary(home.folder(folders.TEMPORARIES)))
        for name in FOLDERS:
            folders.make_folder(os.path.join(place, name))
        folders.write_file(os.path.join(place, folders.EXECUTOR), kind)
        found = _Container(key, client, name, place, after)
        if identity.needed():
            for name in ("account", "waiting"):
                claimed = after.enter_context(identity.claimed())
                setattr(found, name, (claimed.uid, claimed.gid))
        found.after = after.pop_all()
    return found


def _told_of(container: _Container) -> dict[str, Any]:
    is_used = container.client is not None
    return {
        "name": container.name,
        "memory_mb": 0.0,
        "forks": 0,
        "calls": int(is_used),
        "idle_s": 0.0 if is_used else time.monotonic() - container.used,
    }


def _end(container: _Container) -> None:
    """Kill a container: with its first process the kernel kills all in it, and its engine removes it."""
    if container.first >= 0:
        processes.kill(container.first)
        processes.wait_readable(container.first, KILL_PATIENCE_S)
        os.close(container.first)
        container.first = -1
    container.after.close()


def _mount(
    container: _Container, places: tuple[str, ...], mounts: tuple[int, ...], memory_mb: int
) -> bool:
    """Show detached mounts at these places of a container, instead of those of the call before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setns(container.first, os.CLONE_NEWNS | os.CLONE_NEWIPC)
            _clear((SHARED_MEMORY, *container.mounted))
            mounting.mount_memory(SHARED_MEMORY, memory_mb)
            for place, descriptor in zip(places, mounts, strict=True):
                kernel.attach(descriptor, place)
            code = 0 if not _queues() else 2
        except OSError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            os._exit(code)
    container.mounted = places
    return os.waitpid(child, 0)[1] == 0


def _clear(places: tuple[str, ...]) -> None:
    for place in reversed(places):
        with suppress(OSError):  # the first time there is nothing of a call's
            kernel.unmount(place)


def _has_sockets(container: _Container) -> bool:
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
