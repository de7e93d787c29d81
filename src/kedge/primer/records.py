"""What was reached on this machine: a folder for each state, with its record, its lock and what it keeps.

    <home>/states/<machine>/<state>/record    the key with which it was reached, and what it returned
                                   /inputs    what was read of its inputs, so that it is not read again
                                   /kept      a text that it has kept: what its check has found
                                   /lock      held by the start that reaches it
                                   /folder    the state's own

A record is written last, in one step, and checked by a sum: one that is not whole is as if there were none.
"""

import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BEGUN = b"begun\n"  # in place of a record, while a state is being reached


class Record:
    """That a state was reached: with which key, the key's digest, and what its function returned, as JSON."""

    __slots__ = ("digest", "key", "value")

    def __init__(self, key: str, digest: str, value: str) -> None:
        self.key = key
        self.digest = digest
        self.value = value

    def to_bytes(self) -> bytes:
        """The record as it is written."""
        whole = f"{self.digest}\n{self.value}\n{self.key}".encode()
        return b"%08x\n%b" % (zlib.crc32(whole), whole)

    @staticmethod
    def of(data: bytes | None) -> "Record | None":
        """The record that was written, None when it is not whole."""
        checksum, _, whole = (data or b"").partition(b"\n")
        parts = whole.split(b"\n", 2)
        if len(parts) != 3 or checksum != b"%08x" % zlib.crc32(whole):
            return None
        digest, value, key = (part.decode("utf-8") for part in parts)
        return Record(key, digest, value)


class Place:
    """Where a project is, and where what it reached is recorded.

    Args:
        root: the project's folder.
        home: the folder that environments are in; records are for each machine, since a home may be shared.
    """

    __slots__ = ("home", "root")

    def __init__(self, root: str, home: str) -> None:
        self.root = root
        self.home = os.path.join(home, "states", os.uname().nodename)

    def folder(self, name: str) -> str:
        """Where everything of one state is."""
        return os.path.join(self.home, name)

    def read(self, name: str, file: str = "record") -> bytes | None:
        """The bytes of a state's file, None when there is none."""
        try:
            with open(os.path.join(self.home, name, file), "rb", 0) as stream:
                return stream.read()
        except OSError:
            return None

    def write(self, name: str, data: bytes, file: str = "record") -> None:
        """Write a state's file, in one step.

        Raises:
            StoreError: it cannot be written.
        """
        path = os.path.join(self.home, name, file)
        new = f"{path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(new, "wb") as stream:
                stream.write(data)
            os.replace(new, path)
        except OSError as error:
            raise refused(path, error) from None

    def remember(self, name: str, data: bytes, file: str) -> None:
        """Write a state's file that only saves time; where that cannot be, the time is not saved."""
        from kedge.errors import StoreError

        try:
            self.write(name, data, file)
        except StoreError:
            pass

    def lock(self, name: str, wait: "Callable[[], None]") -> int:
        """A descriptor that holds a state's lock until it is closed, or this process ends however it does.

        Args:
            name: the state's.
            wait: called when another start has the lock.

        Raises:
            StoreError: the lock's file cannot be written.
        """
        import fcntl

        path = os.path.join(self.home, name, "lock")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise refused(path, error) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def refused(path: str, error: OSError) -> Exception:
    """That a state cannot be recorded."""
    from kedge.errors import StoreError

    return StoreError(
        f"what is reached cannot be recorded in {path}: {error.strerror}",
        hint="make that folder one that you can write, or remove it",
    )
