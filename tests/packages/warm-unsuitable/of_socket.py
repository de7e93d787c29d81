import socket

PAIR = socket.socketpair()


def value() -> str:
    PAIR[0].send(b"text")
    return PAIR[1].recv(16).decode()
