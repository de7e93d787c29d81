"""Whether a run can serve at its port here, found out before anything of it is started."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from kedge.data import Data
from kedge.engine import KINDS
from kedge.errors import TaskError, Unavailable, UsageError
from kedge.executor.watch import OWN_NETWORK
from kedge.task.published import Published

_MOST: Final = 65535
# Ports that are looked at for one to name in the place of one that is in use.
_NEIGHBOURS: Final = 100
_RESERVED_BELOW: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_LISTENING: Final = "0A"  # see proc_net_tcp, of the kernel's documentation
_LOOPBACK_6: Final = "00000000000000000000000001000000"
_MAPPED: Final = "0000000000000000FFFF0000"
# What holds a port for a container, and whose container it is.
_FOR_CONTAINERS: Final = {"docker-proxy": "docker", "conmon": "podman", "rootlessport": "podman"}


def check(published: Published, kind: str) -> None:
    """Refuse a port at which an executor of `kind` could not have a run serve now.

    Raises:
        UsageError: it is no port, or not at an address of this machine.
        TaskError: no program that is in no container may serve there.
        Unavailable: it is in use.
    """
    check_open(published)
    if kind not in KINDS and published.port < (first := _first_open()):
        raise TaskError(
            f"port {published.port} cannot be served by the executor {kind!r}: those below {first}"
            " are root's, which no code is",
            hint=f"give a port from {first} on, or use one of the executors {', '.join(KINDS)}",
        )


def check_open(published: Published) -> None:
    """Refuse a port at which nothing could serve now, whoever it is.

    Raises:
        UsageError: it is no port, or not at an address of this machine.
        Unavailable: it is in use.
    """
    if not 1 <= published.port <= _MOST:
        raise UsageError(
            f"{published.port} is no port to serve at", hint=f"give a number from 1 to {_MOST}"
        )
    try:
        ip_address(published.host)
    except ValueError:
        raise _no_address(published, "it is no IP address") from None
    found = _tried(published)
    if found == errno.EADDRINUSE:
        raise Unavailable(in_use(published), hint=way_out(published))
    # What this account may not have, an engine's service may be able to give.
    if found not in (0, errno.EACCES):
        raise _no_address(published, os.strerror(found))


def in_use(published: Published) -> str:
    """That its port is in use."""
    return f"port {published.port} of {published.host} is in use"


def way_out(published: Published) -> str:
    """What to do about a port that is in use: which other there is, and who has this one."""
    others = range(published.port + 1, min(published.port + _NEIGHBOURS, _MOST) + 1)
    free = (one for one in others if _tried(Published(one, published.host)) == 0)
    other = next((f" ({one} is free)" for one in free), "")
    return f"give another port{other}, or stop what has it{_holder(published.port)}"


class Listener(Data):
    """A socket that listens: whether at an address that its own machine alone reaches, and its inode."""

    is_loopback: bool
    inode: str


def listening(port: int, network: str = OWN_NETWORK) -> Iterator[Listener]:
    """The sockets that listen at a port, at whatever address.

    `network` is the folder of /proc that tells of one.
    """
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"{network}/{name}") as file:
            for fields in map(str.split, file):
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield Listener(_is_loopback(fields[1].partition(":")[0]), fields[9])


def _is_loopback(address: str) -> bool:
    """Whether an address, as `/proc/net/tcp` has it, is one of 127.0.0.0/8, mapped into IPv6 or not, or ::1."""
    return address == _LOOPBACK_6 or (address.endswith("7F") and address[:-8] in ("", _MAPPED))


def _no_address(published: Published, why: str) -> UsageError:
    return UsageError(
        f"{published.host!r} cannot be served at: {why}",
        hint="127.0.0.1 is for this machine alone, 0.0.0.0 for everybody who can reach it",
    )


def _first_open() -> int:
    """The lowest port that is not root's."""
    with suppress(OSError, ValueError), open(_RESERVED_BELOW) as file:
        return int(file.read())
    return 1024


def _tried(published: Published) -> int:
    """The errno of why nothing can be bound to a port, 0 when something can."""
    family = socket.AF_INET6 if ":" in published.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            # As servers do: connections that were closed a moment ago keep nobody from a port.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((published.host, published.port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _holder(port: int) -> str:
    """Who listens at a port, as the end of a sentence; nothing where that cannot be seen."""
    sockets = {f"socket:[{one.inode}]" for one in listening(port)}
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            place = f"/proc/{process}/fd"
            if not any(os.readlink(f"{place}/{one}") in sockets for one in os.listdir(place)):
                continue
            with open(f"/proc/{process}/comm") as file:
                name = file.read().strip()
            if engine := _FOR_CONTAINERS.get(name):
                return f": a container that `{engine} ps` lists"
            return f": `{name}`, process {process}"
    return ""
