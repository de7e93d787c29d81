"""The store's file: made once by whoever comes first, kept through kills, told plainly when unusable."""

import contextlib
import gc
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kedge.errors import StoreError
from kedge.store import FILE, connection, opened
from kedge.store.database import Database
from kedge.store.migrations import MIGRATIONS


def _python(code: str, home: Path, **options: object) -> subprocess.Popen[bytes]:
    environment = os.environ | {"KEDGE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=-1, stderr=-1, **options
    )


def _event(number: int) -> tuple[str, tuple[object, ...]]:
    return "INSERT INTO events (run, seq, ts, type, data) VALUES (?, ?, '', '', '')", ("r", number)


def _a_run() -> None:
    columns = {
        row[1]: "" if row[2] == "TEXT" else 0
        for row in connection().rows("PRAGMA table_info(runs)")
        if row[1] != "number"
    } | {"id": "r", "status": "created"}
    connection().write(
        f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        tuple(columns.values()),
    )


def test_the_first_to_open_makes_the_tables_and_nobody_else_can_read_them(kedge_home: Path) -> None:
    database = opened()
    tables = {
        row[0] for row in database.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    assert {"runs", "events"} <= tables
    assert database.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    assert database.rows("PRAGMA synchronous") == [(1,)]
    assert database.rows("PRAGMA foreign_keys") == [(1,)]
    for name in os.listdir(kedge_home):
        assert stat.S_IMODE(os.stat(kedge_home / name).st_mode) & 0o077 == 0, name
    database.close()


def test_many_processes_may_open_it_first_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "shared"
    code = """
import sys
from kedge.store import connection
sys.stdin.read()
connection().write("CREATE TABLE IF NOT EXISTS seen (pid INTEGER) STRICT")
import os
connection().write("INSERT INTO seen VALUES (?)", (os.getpid(),))
"""
    processes = [_python(code, home, stdin=subprocess.PIPE) for _ in range(12)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    for process in processes:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    monkeypatch.setenv("KEDGE_HOME", str(home))
    assert connection().rows("SELECT count(*) FROM seen") == [(12,)]


def test_a_commit_survives_the_kill_of_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import os, signal
from kedge.store import connection
connection().write("CREATE TABLE kept (value TEXT) STRICT")
with connection().transaction():
    connection().write("INSERT INTO kept VALUES ('whole')")
connection().write("BEGIN IMMEDIATE")
connection().write("INSERT INTO kept VALUES ('half')")
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = _python(code, tmp_path / "home")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    assert connection().rows("SELECT value FROM kept") == [("whole",)]


def test_a_transaction_is_all_or_nothing() -> None:
    _a_run()
    with pytest.raises(ZeroDivisionError), connection().transaction():
        connection().write(*_event(1))
        raise ZeroDivisionError
    assert connection().rows("SELECT count(*) FROM events") == [(0,)]
    with connection().transaction():
        connection().write(*_event(1))
    assert connection().rows("SELECT count(*) FROM events") == [(1,)]


def test_readers_see_what_was_there_while_another_writes() -> None:
    _a_run()
    writer, reader = opened(), opened()
    with writer.transaction():
        writer.write(*_event(1))
        assert reader.rows("SELECT count(*) FROM events") == [(0,)]
    assert reader.rows("SELECT count(*) FROM events") == [(1,)]
    writer.close()
    reader.close()


def test_a_child_after_a_fork_has_a_connection_of_its_own() -> None:
    _a_run()
    connection().write(*_event(1))
    child = os.fork()
    if child == 0:
        try:
            connection().write(*_event(2))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    connection().write(*_event(3))
    assert connection().rows("SELECT seq FROM events") == [(1,), (2,), (3,)]


def test_one_that_an_interruption_kept_from_being_made_has_nothing_to_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr(os, "getpid", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), contextlib.closing(sqlite3.connect(":memory:")) as made:
        Database("somewhere", made)
    monkeypatch.undo()
    gc.collect()
    assert unraisable == []


def test_another_thread_may_be_the_last_to_let_go_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(opened).result()
    del found
    gc.collect()
    assert unraisable == []


def test_another_home_is_another_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _a_run()
    connection().write(*_event(1))
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "other"))
    assert connection().rows("SELECT count(*) FROM events") == [(0,)]


def test_a_database_from_an_older_kedge_takes_the_steps_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _a_run()
    connection().close()
    step = "CREATE TABLE later (\n  text TEXT  -- one; two\n) STRICT;\nINSERT INTO later VALUES ('a;b');"
    monkeypatch.setattr("kedge.store.database.MIGRATIONS", (*MIGRATIONS, step))
    database = opened()
    assert database.rows("SELECT text FROM later") == [("a;b",)]
    assert database.rows("SELECT id FROM runs") == [("r",)]
    database.close()


def test_a_step_that_fails_changes_nothing(
    kedge_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().close()
    step = "CREATE TABLE later (text TEXT) STRICT;\nINSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr("kedge.store.database.MIGRATIONS", (*MIGRATIONS, step))
    with pytest.raises(StoreError):
        opened()
    raw = sqlite3.connect(kedge_home / FILE)
    assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert not raw.execute("SELECT 1 FROM sqlite_schema WHERE name = 'later'").fetchall()
    raw.close()


def test_one_written_by_a_newer_kedge_is_left_alone(kedge_home: Path) -> None:
    opened().close()
    raw = sqlite3.connect(kedge_home / FILE)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreError, match="newer Kedge: its schema is 99") as told:
        opened()
    assert "KEDGE_HOME" in str(told.value.hint)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 100, b"\0" * 8192]
)
def test_a_damaged_file_is_named_with_what_to_do(kedge_home: Path, content: bytes) -> None:
    kedge_home.mkdir()
    (kedge_home / FILE).write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as told:
        opened().rows("SELECT * FROM runs")
    assert "move it" in str(told.value.hint)
    assert (kedge_home / FILE).read_bytes() == content


def test_pages_damaged_in_the_middle_are_told_when_they_are_met(kedge_home: Path) -> None:
    database = opened()
    database.write("CREATE TABLE big (text TEXT) STRICT")
    database.write_many("INSERT INTO big VALUES (?)", [("x" * 3000,)] * 50)
    database.write("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with open(kedge_home / FILE, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(kedge_home / FILE) - 4096))
    with pytest.raises(StoreError, match="damaged"):
        opened().rows("SELECT * FROM runs, big")


@pytest.mark.parametrize("many", [0, 1, 63, 64, 203])
def test_many_rows_are_inserted_in_their_order_by_few_statements(many: int) -> None:
    database = opened()
    database.write("CREATE TABLE pairs (one INTEGER, other TEXT) STRICT")
    statements: list[str] = []
    database._connection.set_trace_callback(statements.append)
    database.write_many(
        "INSERT INTO pairs (one, other) VALUES (?, ?)", [(at, f"{at}") for at in range(many)]
    )
    assert len(statements) <= many // 64 + 6
    found = database.rows("SELECT one, other FROM pairs ORDER BY rowid")
    assert found == [(at, f"{at}") for at in range(many)]


def test_a_full_disk_is_told_as_such() -> None:
    database = opened()
    pages = database.rows("PRAGMA page_count")[0][0]
    database.rows(f"PRAGMA max_page_count = {pages}")
    _a_run()
    with pytest.raises(StoreError, match="cannot grow") as told:
        database.write("INSERT INTO events VALUES ('r', 1, '', '', ?)", ("x" * 1_000_000,))
    assert "room" in str(told.value.hint)
    database.close()


def test_a_disk_that_refuses_bytes_is_a_store_error(tmp_path: Path) -> None:
    code = """
from kedge.errors import StoreError
from kedge.store import connection
try:
    connection().write("CREATE TABLE big (text TEXT) STRICT")
    connection().write("INSERT INTO big VALUES (?)", ("x" * 5_000_000,))
except StoreError as error:
    print(error.message, error.hint)
"""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    out, err = _python(code, tmp_path / "home", preexec_fn=small_files).communicate()
    assert err == b""
    assert b"kedge.db" in out


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "taken"])
def test_a_home_that_cannot_be_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "taken" / FILE).mkdir(parents=True)
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / place))
    with pytest.raises(StoreError, match=r"a-file|taken") as told:
        opened()
    assert "KEDGE_HOME" in str(told.value.hint)


def test_a_home_that_may_only_be_read_is_a_store_error(tmp_path: Path) -> None:
    code = """
import os
from kedge.errors import StoreError
from kedge.store import connection
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    connection()
except StoreError as error:
    print(error.message, error.hint)
"""
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    out, err = _python(code, home).communicate()
    assert err == b""
    assert b"cannot be" in out
    assert b"KEDGE_HOME" in out


def test_a_database_held_by_another_is_waited_for_and_then_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened().close()
    monkeypatch.setattr("kedge.store.database._BUSY_S", 0.05)
    holder, other = opened(), opened()
    with holder.transaction(), pytest.raises(StoreError, match="held by another process"):
        other.write("DELETE FROM runs")
    holder.close()
    other.close()
