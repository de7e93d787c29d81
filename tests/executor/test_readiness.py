"""Whether something serves at a port: looked at without waiting, and nobody is taken in by a mere door."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.executor import readiness
from kedge.executor.readiness import Readiness
from kedge.executor.watch import OWN_NETWORK
from kedge.task import Published

LONG_S = 0.5  # some attempts
PATIENCE_S = 30.0


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "::1"])
def server(request: pytest.FixtureRequest) -> socket.socket:
    """A socket that is bound, and does not listen yet."""
    host: str = request.param
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.bind((host, 0))
    except OSError:
        pytest.skip(f"this machine has no {host}")
    return made


def of(server: socket.socket) -> Readiness:
    host, port = server.getsockname()[:2]
    return Readiness(Published(port, host))


def looked(found: Readiness, seconds: float, network: str | None) -> bool:
    """Whether it answers within these seconds; no look takes long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.thread_time()
        if found.look(network):
            return True
        assert time.thread_time() - began < 0.2
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("network", [None, OWN_NETWORK])
def test_it_answers_once_somebody_listens(server: socket.socket, network: str | None) -> None:
    with server:
        found = of(server)
        assert not looked(found, LONG_S, network)
        server.listen()
        assert looked(found, PATIENCE_S, network)


def test_who_listens_in_another_network_is_not_asked(server: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text("  sl  local_address rem_address   st\n")
    with server:
        server.listen()
        server.setblocking(False)
        assert not looked(of(server), LONG_S, str(tmp_path))
        with pytest.raises(BlockingIOError):
            server.accept()


def attended(server: socket.socket, meet: Callable[[socket.socket], object]) -> None:
    """Have a thread accept what comes, until the server is closed."""

    def attend() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                meet(connection)

    server.listen()
    threading.Thread(target=attend, daemon=True).start()


def test_who_only_opens_and_closes_does_not_answer(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_OPEN_FOR_S", PATIENCE_S)  # who closes may be late to it
    met: list[socket.socket] = []
    with server:
        attended(server, met.append)
        found = of(server)
        until = time.monotonic() + PATIENCE_S
        while len(met) < 3:
            assert not found.look(None) and time.monotonic() < until
            time.sleep(0.01)
        found.close()
        server.shutdown(socket.SHUT_RDWR)


def test_who_speaks_first_answers_although_he_closes(server: socket.socket) -> None:
    with server:
        attended(server, lambda connection: connection.send(b"220 ready\r\n"))
        assert looked(of(server), PATIENCE_S, None)
        server.shutdown(socket.SHUT_RDWR)


def test_it_holds_no_connection_afterwards(server: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with server:
        server.listen()
        found = of(server)
        assert looked(found, PATIENCE_S, None)
        given_up = of(server)
        given_up.look(None)
        given_up.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0100007F", "127.0.0.1 of its container"),
        ("0B00007F", "127.0.0.1 of its container"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1 of its container"),
        ("00000000000000000000000001000000", "127.0.0.1 of its container"),
        ("00000000", ""),
        ("00000000000000000000000000000000", ""),
        ("0200A8C0", ""),
        (None, "the program does not listen there"),
    ],
)
def test_why_nothing_answers_is_told_as_far_as_it_is_seen(
    tmp_path: Path, address: str | None, why: str
) -> None:
    line = (
        f"   0: {address}:4951 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711\n"
    )
    name = "tcp6" if address and len(address) > 8 else "tcp"
    (tmp_path / name).write_text("  sl  local_address rem_address   st\n" + line * bool(address))
    said = Readiness(Published(0x4951)).why(str(tmp_path))
    assert said.startswith("nothing answers at port 18769 yet")
    assert why in said and (why or said.endswith("yet"))


@pytest.mark.parametrize("network", [None, OWN_NETWORK])
def test_where_its_network_is_this_machines_nothing_is_guessed(network: str | None) -> None:
    assert Readiness(Published(18769)).why(network) == "nothing answers at port 18769 yet"
