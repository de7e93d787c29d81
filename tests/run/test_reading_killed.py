"""Reading signatures leaves nothing behind, whatever the code built and however the reading ended."""

import os
import signal
from pathlib import Path
from typing import Any

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
