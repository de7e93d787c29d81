"""Folders that several processes make at once: owned by locks, never by age."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kedge.environment import folders
from kedge.errors import StoreError

HOLD = """
import sys
from kedge.environment import folders
with folders.temporary(sys.argv[1]) as path:
    print(path, flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_use_is_not_swept_and_one_left_over_is(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    path = process.stdout.readline().strip()
    assert folders.sweep(str(tmp_path)) == 0
    assert os.path.isdir(path)
    process.kill()
    process.communicate()
    assert os.path.isdir(path)
    assert folders.sweep(str(tmp_path)) == 1
    assert not os.path.exists(path)


def test_what_belongs_to_a_folder_is_cleared_before_it_goes_and_again_if_that_was_interrupted(
    tmp_path: Path,
) -> None:
    left = tmp_path / "tmp-1"
    left.mkdir()
    seen: list[tuple[str, bool]] = []

    def clear(path: str) -> None:
        seen.append((path, os.path.isdir(path)))
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.sweep(str(tmp_path), clear)
    assert left.is_dir()
    assert folders.sweep(str(tmp_path), clear) == 1
    assert seen == [(str(left), True)] * 2
    assert not left.exists()


def test_each_folder_is_swept_by_one_of_those_who_sweep_at_once(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"tmp-{number}" / "in").mkdir(parents=True)
    cleared: list[str] = []
    with ThreadPoolExecutor() as pool:
        swept = [pool.submit(folders.sweep, str(tmp_path), cleared.append) for _ in range(4)]
    assert sum(one.result() for one in swept) == 200
    assert len(cleared) == len(set(cleared)) == 200
    assert os.listdir(tmp_path) == []


def test_a_temporary_folder_goes_with_its_block_unless_renamed(tmp_path: Path) -> None:
    with folders.temporary(str(tmp_path)) as path:
        Path(path, "x").write_text("")
    assert not os.path.exists(path)
    with folders.temporary(str(tmp_path)) as path:
        os.rename(path, tmp_path / "kept")
    assert (tmp_path / "kept").is_dir()
    with pytest.raises(KeyError), folders.temporary(str(tmp_path)) as path:
        raise KeyError
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("last", ["mkdir", "open"])
def test_a_folder_that_is_interrupted_while_it_is_made_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    made = getattr(os, last)

    def interrupted(*args: object) -> object:
        found = made(*args)
        signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(os, last, interrupted)
    with pytest.raises(KeyboardInterrupt):
        folders.claimed(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = str(tmp_path / "sub" / "lock")
    assert not folders.is_held(path)
    waited: list[int] = []
    with folders.held(path, 1) as first, folders.held(path, 0, lambda: waited.append(1)) as second:
        assert (first, second) == (True, False)
        assert folders.is_held(path)
    assert not folders.is_held(path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    folders.write_file(str(path), "one")
    with pytest.raises(UnicodeEncodeError):
        folders.write_file(str(path), "\udcff")
    assert path.read_text() == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("number", "part"),
    [(28, "The disk is full"), (13, "may not be written"), (30, "may not be written"), (5, "I/O")],
)
def test_what_the_system_refuses_is_a_typed_error(number: int, part: str) -> None:
    with pytest.raises(StoreError, match=part) as caught, folders.writing("a thing"):
        raise OSError(number, "I/O trouble" if number == 5 else "no", "/some/where")
    assert caught.value.hint
    assert "/some/where" in caught.value.message
