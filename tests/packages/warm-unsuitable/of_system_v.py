"""Makes a semaphore when it is imported."""

import ctypes

LIBC = ctypes.CDLL(None)
SEMAPHORE = LIBC.semget(0, 1, 0o600)
GETVAL = 12


def value() -> bool:
    return LIBC.semctl(SEMAPHORE, 0, GETVAL) == 0
