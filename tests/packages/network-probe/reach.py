import socket


def connect(port: int, host: str = "127.0.0.1") -> dict:
    """What a listener at `host` says, or why it cannot be reached."""
    interfaces = sorted(name for _, name in socket.if_nameindex())
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            return {"reached": True, "said": connection.recv(64).decode(), "interfaces": interfaces}
    except OSError as reason:
        return {"reached": False, "said": type(reason).__name__, "interfaces": interfaces}
