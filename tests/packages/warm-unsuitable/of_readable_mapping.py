"""Which may be made one to write to at any time."""

import ctypes
import mmap

LIBRARY = ctypes.CDLL(None)
LIBRARY.mmap.restype = ctypes.c_void_p
PLACE = LIBRARY.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, 0)


def value() -> int:
    LIBRARY.mprotect(ctypes.c_void_p(PLACE), 4096, mmap.PROT_READ | mmap.PROT_WRITE)
    counter = ctypes.c_int.from_address(PLACE)
    counter.value += 1
    return counter.value
