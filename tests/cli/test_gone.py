"""A working directory that was removed meanwhile."""

import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("words", [["check", "package"], ["init", "package"]])
def test_a_working_directory_that_is_gone_is_said_to_be(
    kedge: Any, tmp_path: Path, words: list[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *kedge.words, *words],
        cwd=gone,
        capture_output=True,
    )
    assert ended.returncode == 3
    assert ended.stderr.endswith(
        b"error[unavailable]: the working directory is gone\nhint: change to another folder\n"
    )
