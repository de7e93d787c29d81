"""The Python interpreters that tests can use: every version that functions may ask for, found by running.

A name on PATH proves nothing (a version manager's shim may exist and fail), so every candidate is run and
says itself what it is. `KEDGE_TEST_ALL_ENGINES=1` makes a missing version an error.
"""

import functools
import glob
import os
import shutil
import subprocess
from dataclasses import dataclass

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
PYTHON_314 = (
    "/opt/kedge/python3.14"  # where scripts/python314 puts it when it is not told otherwise
)
START_LIMIT_S = 20.0  # a cold start from a slow disk; a candidate that takes longer is none
QUESTION = (
    "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2], "
    "'.'.join(map(str, sys.version_info[:3])), sys.executable, sep='\\n')"
)


@dataclass(frozen=True)
class Python:
    """One interpreter: `version` as a function names it ("3.12"), `full` as it is ("3.12.1")."""

    version: str
    full: str
    path: str

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])


@functools.lru_cache(maxsize=1)
def found() -> tuple[Python, ...]:
    """One working interpreter for each version, oldest first.

    Raises RuntimeError naming what is missing when `KEDGE_TEST_ALL_ENGINES=1`.
    """
    by_version: dict[str, Python] = {}
    for version in VERSIONS:
        for candidate in _candidates(version):
            python = _ask(candidate)
            if python is not None and python.version == version:
                by_version[version] = python
                break
    missing = [version for version in VERSIONS if version not in by_version]
    if missing and os.environ.get("KEDGE_TEST_ALL_ENGINES") == "1":
        raise RuntimeError(
            f"no working Python {', '.join(missing)} found "
            f"(3.14 is made by scripts/python314; KEDGE_TEST_ALL_ENGINES=1 asks for all of them)"
        )
    return tuple(by_version.values())


def _candidates(version: str) -> list[str]:
    """Paths worth a try, the most likely to work first."""
    home = os.path.expanduser("~")
    roots = [os.environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv")]
    paths = []
    for root in roots:
        paths += sorted(glob.glob(os.path.join(root, "versions", f"{version}.*", "bin", "python")))
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    paths += sorted(glob.glob(os.path.join(uv, f"cpython-{version}.*", "bin", f"python{version}")))
    if version == "3.14":
        paths.append(
            os.path.join(os.environ.get("KEDGE_TEST_PYTHON314") or PYTHON_314, "bin/python3.14")
        )
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        on_path = shutil.which(f"python{version}", path=folder) if folder else None
        if on_path:
            paths.append(on_path)
    return list(dict.fromkeys(paths))


def _ask(path: str) -> Python | None:
    """What the interpreter at `path` says it is; None when it does not start or is not CPython."""
    try:
        said = subprocess.run(
            [path, "-I", "-c", QUESTION],
            capture_output=True, text=True, timeout=START_LIMIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = said.stdout.split("\n")
    if said.returncode != 0 or len(lines) < 4 or lines[0] != "cpython":
        return None
    return Python(version=lines[1], full=lines[2], path=lines[3])
