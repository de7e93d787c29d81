"""One SQLite database for everything that must outlive a process, opened in less than a millisecond.

Statements are plain SQL with `?` in the place of values. Write-ahead logging lets readers and one
writer work at once; a commit reaches the operating system, so it survives the kill of any process, and
a power cut may lose the last commits but never consistency.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, final

from kedge.errors import StoreBusy, StoreError
from kedge.home import home
from kedge.store.migrations import MIGRATIONS

FILE: Final = "kedge.db"
_BUSY_S: Final = 20.0  # waiting for another process's write: they last milliseconds, disks stall
_RETRY_S: Final = 0.005  # between tries where SQLite does not wait by itself
# Rows of one statement, which other threads do not wait for: after each of them they would be waited for.
_AT_ONCE: Final = 64

Row = tuple[Any, ...]
Values = Sequence[str | int | float | bytes | None]


@final
class Database:
    """An open database. Made by `opened` or `connection`; used by the thread that opened it.

    >>> database.write("UPDATE runs SET status = ? WHERE id = ?", ("running", run_id))
    1
    """

    __slots__ = ("_connection", "_process", "path")

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._process = os.getpid()
        self._connection = connection

    @property
    def usable(self) -> bool:
        """Whether this is the process that opened it: a connection does not survive a fork."""
        return self._process == os.getpid()

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """The rows that a query gives. Raises `StoreError`, as everything here does."""
        with self._told() as connection:
            return connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Values = ()) -> int:
        """Run one statement that changes something; the number of rows it changed."""
        with self._told() as connection:
            return connection.execute(sql, values).rowcount

    def write_many(self, sql: str, many: Sequence[Values]) -> None:
        """Run `INSERT … VALUES (?, …) …` with all of `many`; in one transaction when inside one."""
        with self._told() as connection:
            at = 0
            while left := len(many) - at:
                # Of a power of two, so that Python keeps all these statements prepared.
                count = min(_AT_ONCE, 1 << left.bit_length() - 1)
                rows = many[at : at + count]
                connection.execute(
                    _repeated(sql, len(rows[0]), count), [value for row in rows for value in row]
                )
                at += count

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of a block's statements or none of them; no other process writes in between."""
        with self._told() as connection:
            connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._told() as connection:
                connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(StoreError), self._told() as connection:
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def hurried(self) -> Iterator[None]:
        """A block that waits for no other process's write; it raises `StoreBusy` where there is one."""
        try:
            with self._told() as connection:
                connection.execute("PRAGMA busy_timeout = 0")
            yield
        finally:
            with self._told() as connection:
                connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000:.0f}")

    def close(self) -> None:
        """Give the file back. What was committed stays in the write-ahead log, beside the file."""
        if self.usable:
            self._connection.close()
        else:  # SQLite forbids touching what was opened before a fork, even to close it
            _INHERITED.append(self._connection)

    def __del__(self) -> None:
        if hasattr(self, "_connection"):  # else an interruption kept it from being made
            self.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[sqlite3.Connection]:
        """The connection, for a block whose SQLite errors are told as `StoreError`."""
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error


_INHERITED: list[sqlite3.Connection] = []
_OPEN = threading.local()


def connection(place: str | None = None) -> Database:
    """The thread's own database in Kedge's home, opened when first asked for, anew after a fork.

    `place` is another home than that of now.
    """
    found: Database | None = getattr(_OPEN, "database", None)
    place = place or home()
    if found is not None and found.usable and found.path == os.path.join(place, FILE):
        return found
    _OPEN.database = database = opened(place)  # one of another home, if there was, closes with this
    return database


def opened(place: str | None = None) -> Database:
    """A new connection to the database in Kedge's home, made and brought up to date when it must be.

    Raises `StoreError` when the file is damaged, was written by a newer Kedge, or cannot be written.
    """
    place = place or home()
    path = os.path.join(place, FILE)
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        return Database(path, _connected(path))
    except sqlite3.Error as error:
        raise _explained(error, path) from error
    except OSError as error:
        raise StoreError(
            f"`{error.filename or path}` cannot be made or written: {error.strerror}",
            hint="set KEDGE_HOME to a folder that you can write to",
        ) from error


@lru_cache
def _repeated(sql: str, width: int, count: int) -> str:
    """A statement that inserts one row of so many values, for as many rows."""
    row = f"({', '.join('?' * width)})"
    return sql.replace(row, ", ".join([row] * count))


def _connected(path: str) -> sqlite3.Connection:
    # Only its own thread uses it; another may be the last to let go of it, with an error that it came through.
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        # The last one to close would otherwise copy the log into the file and wait for the disk:
        # 10 ms at the end of every command. SQLite does it every 1000 pages instead.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        if _version(connection) != len(MIGRATIONS):
            _migrate(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    with _alone(path):
        if not _version(connection):  # it holds people's inputs; -wal and -shm take the same mode
            os.chmod(path, 0o600)
        _use_write_ahead_log(connection)
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection)  # again: another process may have done it meanwhile
        if version > len(MIGRATIONS):
            connection.execute("ROLLBACK")
            raise StoreError(
                f"`{path}` was written by a newer Kedge: its schema is {version}, this one knows "
                f"{len(MIGRATIONS)}",
                hint="use the newer Kedge, or set KEDGE_HOME to another folder for this one",
            )
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself for the readers that keep it from changing the mode.
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Only one process at a time makes or changes tables; the lock goes with its process."""
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _explained(error: sqlite3.Error, path: str) -> StoreError:
    """SQLite's error as a sentence about the file, with what to do."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    match code & 0xFF:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StoreError(
                f"`{path}` is damaged: {error}",
                hint="move it and the files beside it (-wal, -shm) away: Kedge starts a new one; "
                "the folders of earlier runs stay where they are",
            )
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"`{path}` cannot grow: {error}",
                hint="make room on that disk, or set KEDGE_HOME to a folder on another one",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(
                f"`{path}` was held by another process for {_BUSY_S:g} s",
                hint="end the process that holds it, then try again",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreError(
                f"`{path}` cannot be opened for writing: {error}",
                hint="set KEDGE_HOME to a folder that you can write to",
            )
    return StoreError(
        f"`{path}` cannot be used: {error}",
        hint="look at the disk that holds it, or set KEDGE_HOME to a folder on another one",
    )
