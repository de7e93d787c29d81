"""The namespaces of one call at a time, held by their first process: light and trusted.

Between two calls everything that a call could have changed is made anew. Only when the call and all that it started
have ended is a slot used again; else its first process is killed, and with it the kernel kills what is left.
"""

import fcntl
import os
import signal
import socket
import struct
from itertools import pairwise
from typing import Final

from kedge.executor.warm import kernel, messages, mounting
from kedge.executor.warm.places import PLACES, SHARED_MEMORY, TERMINALS

_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 1, 64
_COUNTED: Final = ("used", "inuse", "tw")  # of sockets and of closed connections, in this namespace


def serve(line: socket.socket, shown: tuple[str, ...], memory_mb: int, network: bool) -> None:
    """Hold a slot until the keeper closes the line.

    It says `up`, and is told `joined` once it is in the control group of its calls. Then it is told, over and over:

    - `fresh`: make everything anew for a call; it answers `fresh`, or `busy` if anybody is left;
    - `mount` with the call's folders as detached mounts: `mounted`;
    - `show` with places, and files as detached mounts: `mounted`;
    - `look`: whether anybody is left: `empty` or `busy`.

    Args:
        line: to the keeper.
        shown: what of the host is shown below the folders that a call gets its own of.
        memory_mb: megabytes of shared memory that a call may have.
        network: whether calls share the machine's network.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kernel.let_be_seen()
    line.send(b"up")
    if line.recv(16) != b"joined":
        return
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWCGROUP)
    mounting.mount_processes("/proc")
    pristine = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    hidden: list[int] = []  # what is shown, until the folders that it is shown in are mounted
    _use_up_a_number()
    begun = False
    while (message := messages.receive(line)) is not None:
        (what, *words), descriptors = message
        if what == "mount":
            _attach(PLACES, descriptors)
            _attach(shown, hidden)
            line.send(b"mounted")
        elif what == "show":
            _attach(words[0], descriptors)
            line.send(b"mounted")
        elif not _is_empty():
            line.send(b"busy")
        elif what == "look":
            line.send(b"empty")
        else:
            _renew(pristine, network=not network and not begun, begun=begun, shared=network)
            begun = True
            hidden = [kernel.detached(path, recursive=True) for path in shown]
            mounting.mount_memory(SHARED_MEMORY, memory_mb)
            mounting.mount_terminals(TERMINALS)
            line.send(b"fresh")


def _use_up_a_number() -> None:
    """See that no call has the process number that the zygote has in its box, which is the first after this one's.

    Libraries know by their number that they are in a fork, and need new random numbers: OpenSSL does.
    """
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)


def _is_empty() -> bool:
    """Whether nobody is left but this process."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return True
    return False


def _renew(pristine: int, *, network: bool, begun: bool, shared: bool) -> None:
    os.setns(pristine, os.CLONE_NEWNS)
    spaces = os.CLONE_NEWNS | os.CLONE_NEWIPC
    if network or (begun and not shared and _has_sockets()):
        spaces |= os.CLONE_NEWNET
    os.unshare(spaces)
    if spaces & os.CLONE_NEWNET:
        _start_loopback()


def _has_sockets() -> bool:
    """Whether the kernel still keeps something of connections that were closed.

    The counts are kept: to list connections the kernel goes through those of the whole machine, for 3 ms.
    """
    for name in ("sockstat", "sockstat6"):
        try:
            with open(f"/proc/net/{name}") as file:
                words = file.read().split()
        except OSError:  # a machine without IPv6
            continue
        if any(name in _COUNTED and count != "0" for name, count in pairwise(words)):
            return True
    return False


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        wanted = struct.pack("16sH22x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(asking, _SIOCSIFFLAGS, wanted)


def _attach(places: tuple[str, ...], descriptors: list[int]) -> None:
    for descriptor, place in zip(descriptors, places, strict=True):
        kernel.attach(descriptor, place)
        os.close(descriptor)
