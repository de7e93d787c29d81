"""Messages between Kedge's own processes of a warm run: plain data, and descriptors along with it.

Both ends are trusted; what comes from a zygote or a call is read by other means.
"""

import marshal
import os
import socket
import struct
from typing import Any, Final

# A packet holds at most what the socket buffers do (net.core.wmem_default, 208 KiB on most machines);
# what is longer goes by a file in memory.
_LONGEST: Final = 64 << 10
_MOST_DESCRIPTORS: Final = 64
_CREDENTIALS: Final = struct.Struct("iII")
_SCM_CREDENTIALS: Final = 2
_IN_FILE: Final = b"\0"


def pair(*, told_who: bool = False) -> tuple[socket.socket, socket.socket]:
    """Two ends of a line that keeps messages apart; with `told_who` the first learns who sends."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if told_who:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return first, second


def send(line: socket.socket, message: Any, descriptors: tuple[int, ...] = ()) -> None:
    """Send plain data (`marshal`) and descriptors."""
    data = marshal.dumps(message)
    if len(data) <= _LONGEST:
        socket.send_fds(line, [data], descriptors)
        return
    file = os.memfd_create("kedge")
    try:
        with open(file, "wb", closefd=False) as writing:
            writing.write(data)
        socket.send_fds(line, [_IN_FILE], (*descriptors, file))
    finally:
        os.close(file)


def receive(line: socket.socket) -> tuple[Any, list[int]] | None:
    """The next message and its descriptors; None once the other end is closed.

    Raises:
        OSError: as a socket does.
        EOFError, ValueError, TypeError: it is not understood; what came along with it is closed.
    """
    data, descriptors, _, _ = socket.recv_fds(
        line, _LONGEST + 1, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
    )
    try:
        if data == _IN_FILE and descriptors:
            data = _content(descriptors.pop())
        if data:
            return marshal.loads(data), descriptors
    except BaseException:
        _close(descriptors)
        raise
    _close(descriptors)
    return None


def _content(file: int) -> bytes:
    try:
        with open(file, "rb", closefd=False) as reading:
            reading.seek(0)
            return reading.read()
    finally:
        os.close(file)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def words(line: socket.socket, most: int = 256) -> tuple[list[bytes], int]:
    """A short message as words, and who sent it as this process sees it; no words once it is closed.

    The line's end must be one that is told who sends. What comes may be anything.
    """
    data, ancillary, _, _ = line.recvmsg(
        most, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SCM_CREDENTIALS:
            return data.split(), int(_CREDENTIALS.unpack(content)[0])
    return data.split(), 0
