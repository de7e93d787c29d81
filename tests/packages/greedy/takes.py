"""Functions that ask for more than they are given."""

import os
import time


def memory(mb: int = 1024) -> int:
    blocks = []
    for _ in range(mb):
        blocks.append(bytearray(os.urandom(1)) * (1 << 20))
    return len(blocks)


def time_(seconds: float = 3600.0) -> float:
    time.sleep(seconds)
    return seconds


def processes(n: int = 1000) -> int:
    """How many children could be started before the system said no."""
    started = []
    try:
        for _ in range(n):
            child = os.fork()
            if child == 0:
                time.sleep(3600)
                os._exit(0)
            started.append(child)
    except OSError:
        pass
    for child in started:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return len(started)


def disk(mb: int = 256) -> int:
    with open("out/artifacts/big.bin", "wb") as file:
        for _ in range(mb):
            file.write(b"\0" * (1 << 20))
            file.flush()
    return mb
