import socket
import urllib.request


def connect(port: int, host: str = "127.0.0.1") -> dict:
    """What a listener at `host` says, or why it cannot be reached."""
    interfaces = sorted(name for _, name in socket.if_nameindex())
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            return {"reached": True, "said": connection.recv(64).decode(), "interfaces": interfaces}
    except OSError as reason:
        return {"reached": False, "said": type(reason).__name__, "interfaces": interfaces}


def resolves() -> str:
    """Asks for a host that is nowhere."""
    with urllib.request.urlopen("http://kedge.invalid/", timeout=5) as answer:
        return answer.read().decode()


def wraps() -> str:
    """Fails for want of that host, in words of its own."""
    try:
        return resolves()
    except OSError as error:
        raise RuntimeError("no data today") from error


def unreachable() -> None:
    """Connects to an address that no machine has."""
    with socket.create_connection(("192.0.2.1", 80), timeout=5):
        raise AssertionError


def other() -> None:
    """Fails for another reason."""
    with open("/nowhere/hosts"):
        raise AssertionError
