"""Reading signatures leaves nothing behind, whatever the code built and however the reading ended."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import cgroups

DEEP = """
import os
os.chdir("out")
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
os.chdir("/")


def f() -> int:
    return 1
"""
ENDLESS = (
    'print("importing", flush=True)\nwhile True:\n    pass\n\n\ndef f() -> int:\n    return 1\n'
)


def once_reading(process: Any, home: Path, groups: Any) -> set[str]:
    """Wait until a command reads signatures; the groups that what it started is in."""
    can_be_had = cgroups.available().version is not None
    while not (held := groups.groups_of(process.pid)):
        assert process.poll() is None
        if not can_be_had and list(home.glob("tmp/*")):
            break
        time.sleep(0.01)
    return set(held)


def test_a_deep_tree_made_while_importing_is_removed(
    kedge_alone: Any, tmp_path: Path, kedge_home: Path
) -> None:
    (tmp_path / "deep.py").write_text(DEEP)
    kedge_alone("inspect", tmp_path / "deep.py")
    assert list((kedge_home / "tmp").iterdir()) == []


def test_what_a_killed_reading_left_is_removed_by_the_next(
    kedge_alone: Any, tmp_path: Path, kedge_home: Path
) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    (tmp_path / "good.py").write_text("def f() -> int:\n    return 1\n")
    process = kedge_alone.start("inspect", tmp_path / "endless.py")
    while not list(kedge_home.glob("tmp/*")):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kedge_alone("inspect", tmp_path / "good.py")
    assert list((kedge_home / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "executor", "after"),
    [
        ("inspect", "sandbox", "runs"),
        ("check", "process", "gc"),
        ("run", "sandbox", "gc"),
        ("run", "process", "runs"),
    ],
)
def test_a_killed_reading_leaves_no_folder_and_no_control_group_after_the_next_start(
    kedge_alone: Any,
    tmp_path: Path,
    kedge_home: Path,
    groups: Any,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    executor: str,
    after: str,
) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    monkeypatch.setenv("KEDGE_EXECUTOR", executor)
    process = kedge_alone.start(command, tmp_path / "endless.py")
    held = once_reading(process, kedge_home, groups)
    killed = [process.pid]
    if command == "run":
        killed += list(groups.descendants(process.pid))[:1]
        os.kill(killed[1], signal.SIGSTOP)  # else the supervisor tidies up first
    for one in killed:
        os.kill(one, signal.SIGKILL)
    process.communicate()
    assert list((kedge_home / "tmp").iterdir())
    assert {os.path.basename(folder) for folder in groups.standing(held)} == held
    kedge_alone(after)
    assert list((kedge_home / "tmp").iterdir()) == []
    assert groups.standing(held) == []


def test_a_reading_that_goes_on_is_left_alone(
    kedge_alone: Any, tmp_path: Path, kedge_home: Path, groups: Any
) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    process = kedge_alone.start("inspect", tmp_path / "endless.py")
    held = once_reading(process, kedge_home, groups)
    standing = groups.standing(held)
    kedge_alone("runs")
    kedge_alone("gc")
    assert list((kedge_home / "tmp").iterdir())
    assert groups.standing(held) == standing
    assert process.poll() is None and groups.groups_of(process.pid) == held
    process.terminate()
    process.communicate()
    assert list((kedge_home / "tmp").iterdir()) == []
    assert groups.standing(held) == []
