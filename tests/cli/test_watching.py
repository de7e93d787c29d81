"""Which files have changed since they were looked at before."""

import os
import time
from pathlib import Path

import pytest

from kedge.cli.dev.watching import Watched

LATER_NS = 1 << 62  # nothing was written after that


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file, and a folder with another."""
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "b.txt").write_text("1")
    return tmp_path


def watched(place: Path, since_ns: int = LATER_NS) -> Watched:
    return Watched([str(place / "a.py"), str(place / "folder"), str(place / "absent")], since_ns)


def test_nothing_has_changed_until_something_does(place: Path) -> None:
    found = watched(place)
    assert found.changed() == found.changed() == []
    (place / "a.py").write_text("22")
    assert found.changed() == [str(place / "a.py")]
    assert found.changed() == []


def test_what_comes_and_goes_has_changed(place: Path) -> None:
    found = watched(place)
    (place / "absent").write_text("")
    (place / "folder" / "c").symlink_to("nowhere")
    assert found.changed() == [str(place / "absent"), str(place / "folder" / "c")]
    (place / "a.py").unlink()
    (place / "folder" / "below" / "b.txt").unlink()
    assert found.changed() == [str(place / "a.py"), str(place / "folder" / "below" / "b.txt")]


def test_mode_and_another_file_of_the_same_size_count(place: Path) -> None:
    found = watched(place)
    other = place / "other"
    other.write_text("2")
    stamp = os.stat(place / "a.py")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other.rename(place / "a.py")
    assert found.changed() == [str(place / "a.py")]
    (place / "folder" / "below" / "b.txt").chmod(0o700)
    assert found.changed() == [str(place / "folder" / "below" / "b.txt")]


def test_what_is_not_shipped_is_not_looked_at(place: Path) -> None:
    found = watched(place)
    for name in ("__pycache__", ".git"):
        (place / "folder" / name).mkdir()
        (place / "folder" / name / "x").touch()
    assert found.changed() == []


def test_what_was_written_after_a_version_began_has_changed_already(place: Path) -> None:
    before = time.time_ns() - 3_600_000_000_000
    found = watched(place, before)
    assert found.changed() == [
        str(place / "a.py"),
        str(place / "folder" / "below" / "b.txt"),
    ]
    assert found.changed() == []
