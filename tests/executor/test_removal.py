"""Folders that a thread removes while their owner goes on."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kedge import home
from kedge.environment import folders
from kedge.executor.warm import removal
from kedge.executor.warm.removal import Removal


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    return tmp_path


def made(place: Path, name: str = "it") -> str:
    (place / name / "a" / "b").mkdir(parents=True)
    (place / name / "a" / "file").write_text("x")
    return str(place / name)


def temporaries() -> list[str]:
    return os.listdir(home.folder(folders.TEMPORARIES))


def test_it_is_gone_at_once_and_nothing_is_left_at_the_end(place: Path) -> None:
    removing = Removal()
    for number in range(100):
        path = made(place, str(number))
        removing.remove(path)
        assert not os.path.exists(path)
    assert len(temporaries()) == 1
    removing.close()
    assert temporaries() == []
    removing.close()


def test_what_cannot_be_put_aside_is_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    removing = Removal()
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", elsewhere)
        path = made(place)
        os.rmdir(os.path.join(path, "a", "b"))  # else the removal renames
        removing.remove(path)
    assert not os.path.exists(path)
    removing.close()
    assert temporaries() == []


def test_nothing_waits_while_the_disk_is_full(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "is_full", lambda _: True)
    removing = Removal()
    removing.remove(made(place))
    assert not (place / "it").exists() and temporaries() == []
    removing.close()


def test_without_another_thread_it_is_removed_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> None:
        raise RuntimeError("can't start new thread")

    removing = Removal()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        removing.remove(made(place))
        assert not (place / "it").exists() and temporaries() == []
    removing.remove(made(place))
    assert not (place / "it").exists() and len(temporaries()) == 1
    removing.close()
    assert temporaries() == []


def test_what_is_not_there_is_no_error(place: Path) -> None:
    removing = Removal()
    removing.remove(str(place / "nothing"))
    removing.close()
    removing.remove(made(place))  # at once, by then
    assert not (place / "it").exists() and temporaries() == []


def test_a_fork_removes_what_it_is_given_itself(place: Path) -> None:
    removing = Removal()
    removing.remove(made(place, "first"))
    path = made(place)
    child = os.fork()
    if not child:
        removing.remove(path)
        removing.close()
        os._exit(0 if not os.path.exists(path) and temporaries() else 1)
    assert os.waitpid(child, 0)[1] == 0
    removing.close()
    assert temporaries() == []


def aside() -> int:
    """How many folders are put aside and not removed yet."""
    (one,) = temporaries()
    return len(os.listdir(os.path.join(home.folder(folders.TEMPORARIES), one)))


def wait_until_none_is_aside() -> None:
    patience = time.monotonic() + 30
    while aside():
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_what_waits_goes_when_its_owner_waits_and_not_before(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_LATER_S", 1000.0)
    removing = Removal()
    removing.go_on()  # there is nothing yet
    for number in range(2):
        removing.remove(made(place, str(number)))
    time.sleep(0.1)
    assert aside() == 2
    removing.go_on()
    wait_until_none_is_aside()
    removing.close()


def test_what_waits_goes_a_moment_later_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removing = Removal()
    removing.remove(made(place, "first"))
    wait_until_none_is_aside()
    monkeypatch.setattr(removal, "_LATER_S", 0.001)
    assert removing._aside is not None
    patience = time.monotonic() + 30
    while not removing._aside.thread._sleeps:  # nobody looks any more
        assert time.monotonic() < patience
        time.sleep(0.01)
    removing.remove(made(place, "second"))
    wait_until_none_is_aside()
    removing.close()


KILLED = """
import os, sys
from kedge.environment import folders
from kedge.executor.warm.removal import Removal
folders.remove = lambda path: None
Removal().remove(sys.argv[1])
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_swept(place: Path) -> None:
    path = made(place)
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    parent = home.folder(folders.TEMPORARIES)
    [left] = temporaries()
    assert not os.path.exists(path) and os.listdir(os.path.join(parent, left))
    assert folders.sweep(parent) == 1
    assert temporaries() == []
