"""scripts/python314: a real CPython 3.14 on this host. It downloads, so it is tried where all are asked for."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "python314"


if os.environ.get("KEDGE_TEST_ALL_ENGINES") == "1":

    @pytest.mark.slow
    def test_it_is_made_once_by_many_and_works_in_a_bare_sandbox(tmp_path: Path) -> None:
        folder = tmp_path / "made here"
        builds = [subprocess.Popen([SCRIPT, folder]) for _ in range(3)]
        assert [build.wait() for build in builds] == [0, 0, 0]
        python = folder / "bin" / "python3.14"
        inode = python.stat().st_ino
        subprocess.run([SCRIPT, folder], check=True)
        assert python.stat().st_ino == inode
        program = "import ctypes, sqlite3, ssl, sys; print(sys.version_info[:2], sys.prefix)"
        sandbox = [
            "bwrap",
            "--ro-bind",
            folder,
            folder,
            "--unshare-all",
            python,
            "-I",
            "-c",
            program,
        ]
        said = subprocess.run(sandbox, capture_output=True, text=True, check=True).stdout
        assert said == f"(3, 14) {folder}\n"
        python.unlink()
        python.write_text("broken")
        subprocess.run([SCRIPT, folder], check=True)
        assert subprocess.run([python, "-c", program], capture_output=True).returncode == 0


def test_every_version_that_functions_may_ask_for_is_looked_for(python: Any) -> None:
    said = subprocess.run([python.path, "-VV"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {python.version}.")
