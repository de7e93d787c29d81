"""Whether a program that is to serve at a port does so by now, looked at without ever waiting for it.

That somebody accepts a connection proves nothing: what stands before a container's port does so before the
program listens, and closes the connection again once it finds nobody behind it, which takes a second while
the container's network is being made. So it is looked first whether somebody listens in the program's own
network; and a connection counts that is still open a moment later, or on which something was said.
"""

import errno
import socket
import time
from ipaddress import ip_address
from typing import Final, final

from kedge.executor.publishing import listening
from kedge.executor.watch import OWN_NETWORK
from kedge.task.published import Published

_OPEN_FOR_S: Final = 0.2  # Docker's proxy finds nobody within a millisecond on an idle machine
_BETWEEN_S: Final = 0.1  # two attempts
_PATIENCE_S: Final = 2.0  # with an attempt that nobody answers at all
_GOES_ON: Final = (errno.EINPROGRESS, errno.EALREADY)


@final
class Readiness:
    """What is known of a port at which something is going to answer.

    Args:
        published: where.
    """

    def __init__(self, published: Published) -> None:
        address = ip_address(published.host)
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        own = "::1" if address.version == 6 else "127.0.0.1"
        self._address = (own if address.is_unspecified else published.host, published.port)
        self._socket: socket.socket | None = None
        self._since = 0.0  # when the attempt began, and once it has connected, when that was
        self._connected = False

    def look(self, network: str | None) -> bool:
        """Whether it answers, as far as can be said at once; to be asked again and again until it does.

        Args:
            network: the folder of /proc that tells of the program's network, None where that is not seen.
        """
        now = time.monotonic()
        try:
            answers = self._looked(network, now)
        except OSError:
            # The connection was refused or broken off, or this process has no descriptor left.
            self.close()
            return False
        if answers:
            self.close()
        return answers

    def why(self, network: str | None) -> str:
        """That it does not answer yet, and why, as far as can be seen; `network` as of `look`."""
        port = self._address[1]
        text = f"nothing answers at port {port} yet"
        if network in (None, OWN_NETWORK):
            return text
        found = list(listening(port, network))
        if not found:
            return f"{text}: the program does not listen there"
        if all(one.is_loopback for one in found):
            return (
                f"{text}: the program listens at 127.0.0.1 of its container, where nobody else gets;"
                " have it listen at 0.0.0.0"
            )
        return text

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _looked(self, network: str | None, now: float) -> bool:
        if self._socket is None:
            if now - self._since < _BETWEEN_S:
                return False
            self._since, self._connected = now, False
            if network is not None and not any(listening(self._address[1], network)):
                return False
            self._socket = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if not self._connected:
            code = self._socket.connect_ex(self._address)
            if code in _GOES_ON and now - self._since < _PATIENCE_S:
                return False
            if code not in (0, errno.EISCONN):
                raise OSError(code, "nobody answers")
            self._since, self._connected = now, True
        try:
            said = self._socket.recv(1)
        except BlockingIOError:
            return now - self._since >= _OPEN_FOR_S
        if not said:
            self.close()
        return bool(said)
