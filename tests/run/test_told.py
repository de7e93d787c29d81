"""What a machine does not enforce is said the first time that somebody sees it."""

from pathlib import Path
from typing import Any

from kedge.run import told

CODE = "def f(x: int = 1) -> int:\n    return x\n"
OPEN = "named Unix sockets"  # of what the `process` executor leaves open, on any machine


def test_a_sentence_is_new_once_whatever_its_numbers(kedge_home: Path) -> None:
    assert told.first_time("looked at above its 128 MB")
    assert not told.first_time("looked at above its 64.5 MB")
    assert told.first_time("another\nsentence")
    assert not told.first_time("another\nsentence")


def test_a_file_that_cannot_be_read_only_says_it_again(kedge_home: Path) -> None:
    kedge_home.mkdir()
    (kedge_home / "told").write_bytes(b"\xff\xfe\n")
    assert told.first_time("said")
    assert not told.first_time("said")
    (kedge_home / "told").unlink()
    (kedge_home / "told").mkdir()
    assert told.first_time("said") and told.first_time("said")


def test_what_nobody_saw_is_not_said_yet(kedge_alone: Any, tmp_path: Path) -> None:
    script = tmp_path / "f.py"
    script.write_text(CODE)
    words = ("run", script, "--executor", "process")
    quiet = kedge_alone(*words, "-q").err
    first, second, verbose = (kedge_alone(*words, *more).err for more in ((), (), ("-v",)))
    if OPEN not in first:  # a machine without Landlock has another sentence
        assert "files are not isolated" in first
        return
    assert OPEN not in quiet + second
    assert f"warning: {OPEN}" in first and f"note: {OPEN}" in verbose


def test_the_network_is_said_each_time(kedge_alone: Any, tmp_path: Path) -> None:
    script = tmp_path / "f.py"
    script.write_text(CODE)
    for _ in range(2):
        assert "can use this machine's network" in kedge_alone("run", script, "--network").err
    assert "network" not in kedge_alone("run", script).err
    listed = kedge_alone("runs", "--json").json
    assert [bool(run["warnings"]) for run in listed] == [False, True, True]
    assert all(0 <= run["measured"]["queued_s"] < 60 for run in listed)
