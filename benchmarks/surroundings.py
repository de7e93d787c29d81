"""Where everything happens: a Kedge home of its own, which is removed, and the programs that are measured."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from figure import LeftOutError
from programs import timed

from kedge import home
from kedge.contract.ownership import remove

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_FOREIGN = (
    "KEDGE_",
    "PRIMER_",
    "PYTHON",
    "VIRTUAL_ENV",
)  # of the caller's shell; measured is without
_QUICK_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a measurement is given.

    Args:
        folder: an empty folder for its files; KEDGE_HOME is inside it.
        quick: whether to show only that it works, in as little time as possible.
        kedge: the path of the checkout's `kedge`.
        python: the path of the Python in the environment that `kedge` moves into.
        version: of that Python, as in "3.12.1".
    """

    folder: str
    quick: bool
    kedge: str
    python: str
    version: str

    def rounds(self, wanted: int) -> int:
        """How many rounds to take where `wanted` would be good."""
        return _QUICK_ROUNDS if self.quick else wanted

    def timed(self, *argv: str) -> float:
        """Seconds that a program takes, in this process's cleaned environment."""
        return timed(argv, os.environ, os.path.join(self.folder, "said"))

    def new_folder(self, name: str) -> str:
        """A new folder that everybody may read."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def package(self, name: str, code: str, function: str = "", requirements: str = "false") -> str:
        """A package with one function `main`, for the Python that Kedge itself runs on.

        Args:
            name: its name.
            code: its module's text.
            function: what its manifest says of the function besides its handler, one YAML line each.
            requirements: what its manifest says of them.
        """
        path = self.new_folder(name)
        version = ".".join(self.version.split(".")[:2])
        lines = "".join(f"    {line}\n" for line in function.splitlines())
        manifest = (
            f'name: {name}\nruntime: {{kind: python, version: "{version}", '
            f"requirements: {requirements}}}\n"
            f"functions:\n  main:\n    handler: code_of_it:main\n{lines}"
        )
        for file, text in (("kedge.yml", manifest), ("code_of_it.py", code)):
            with open(os.path.join(path, file), "w") as stream:
                stream.write(text)
        return path


@contextmanager
def surroundings(quick: bool) -> Iterator[Surroundings]:
    """The surroundings for the length of a `with` block. This process's variables are cleaned for good."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    folder = os.path.realpath(tempfile.mkdtemp(prefix="kedge-benchmark-", dir=_place()))
    try:
        os.chmod(folder, 0o755)  # an unprivileged account stands in it
        os.environ["KEDGE_HOME"] = os.path.join(folder, "home")
        kedge = os.path.join(ROOT, "kedge")
        timed((kedge, "--version"), os.environ, os.path.join(folder, "said"))  # makes it ready
        explained = subprocess.run(
            [kedge], env={**os.environ, "PRIMER_EXPLAIN": "1"}, stdout=subprocess.PIPE, check=True
        )
        python = f"{json.loads(explained.stdout)['environment']}/bin/python"
        yield Surroundings(folder, quick, kedge, python, _version(python))
    finally:
        remove(folder)


def program(name: str) -> str:
    """The path of a program on PATH.

    Raises:
        LeftOutError: there is none.
    """
    found = shutil.which(name)
    if found is None:
        raise LeftOutError(f"there is no `{name}` on PATH")
    return found


def _place() -> str | None:
    """Where Kedge's home is by default, unless the caller names a place in TMPDIR.

    Not /tmp: runs have one of their own, and what they are to see of Kedge's home there has to be put into it.
    """
    beside = os.path.dirname(home.home())
    return None if "TMPDIR" in os.environ or not os.path.isdir(beside) else beside


def _version(python: str) -> str:
    words = [python, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
