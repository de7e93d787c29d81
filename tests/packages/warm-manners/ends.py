"""What is left to an interpreter's end."""

import atexit
import ctypes
import gzip
import logging
import os
import sys
import tempfile
import weakref
import zipfile

FOLDER = "out/artifacts"
LIBRARY = ctypes.CDLL(None)
LIBRARY.fopen.restype = ctypes.c_void_p
OPEN = []


class Writer:
    """Writes what it was told when it goes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = "nothing"

    def __del__(self, open=open) -> None:
        with open(os.path.join(FOLDER, self.name), "w") as file:
            file.write(self.told)


LIBRARY.puts(b"imported, by C")
WRITER = Writer("import")
atexit.register(lambda: note("registered by the import"))


def note(text: str) -> None:
    with open(f"{FOLDER}/notes", "a") as file:
        file.write(f"{text}\n")


def ends() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    atexit.register(note, "registered by the call")
    weakref.finalize(WRITER, note, "finalized")
    WRITER.told = "by the call"
    sys.modules["ends"].CALL = Writer("call")
    OPEN.append(open(f"{FOLDER}/alone", "w"))


def leaves_open() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    WRITER.told = "something"
    OPEN.append(open(f"{FOLDER}/text", "w"))
    OPEN[-1].write("text")
    OPEN.append(open(f"{FOLDER}/bytes", "wb"))
    OPEN[-1].write(b"bytes")
    OPEN.append(gzip.GzipFile(f"{FOLDER}/gzip", "wb", mtime=0))
    OPEN[-1].write(b"compressed")
    OPEN.append(zipfile.ZipFile(f"{FOLDER}/zip", "w"))
    OPEN[-1].writestr(zipfile.ZipInfo("member"), "text")
    OPEN.append(tempfile.NamedTemporaryFile(dir=FOLDER))
    handler = logging.FileHandler(f"{FOLDER}/log")
    logging.getLogger().addHandler(handler)
    logging.warning("logged")


def leaves_open_in_c() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    WRITER.told = "something"
    LIBRARY.puts(b"to standard output, by C")  # which keeps it: that is no terminal
    file = LIBRARY.fopen(f"{FOLDER}/c".encode(), b"w")
    LIBRARY.fputs(b"by C", ctypes.c_void_p(file))


def breaks() -> None:
    os.makedirs(FOLDER, exist_ok=True)
    atexit.register(note, "still called")
    atexit.register(fails)


def fails() -> None:
    raise RuntimeError("at the end")
