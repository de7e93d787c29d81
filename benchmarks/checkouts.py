"""Small projects as they are committed: one package, whose `main` returns, and one dependency, locked.

One with Kedge's primer, and one that is a single script for uv.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from figure import LeftOutError
from peers import last_line
from programs import ProgramFailedError, timed
from surroundings import ROOT, Surroundings

from kedge.contract.ownership import remove
from kedge.environment import uv
from kedge.primer.repository.entry import Entry, shell_script

DEPENDENCY = "click"  # small, needs nothing itself, and where Kedge runs it is in uv's cache
_LOCK = os.path.join(ROOT, "requirements", "kedge.txt")
MAIN = "def main() -> None:\n    pass\n"
STATES = 5  # each needs the one before it, and makes a file
_STATE = """
@state(needs=[{needs}], inputs=["lock.txt"], outputs=["made/{number}"])
def state_{number}(ctx: Context) -> None:
    (ctx.root / "made").mkdir(exist_ok=True)
    (ctx.root / "made" / "{number}").touch()

"""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout with Kedge's primer.

    Args:
        root: its folder.
        app: its entry script that starts `main`.
        boot: its entry script that reaches its states.
    """

    root: str
    app: str
    boot: str

    @property
    def python(self) -> str:
        """The Python of its environment."""
        return f"{self.root}/.primer/app/bin/python"

    @property
    def lock(self) -> str:
        """Its lock file."""
        return f"{self.root}/lock.txt"

    def forget(self) -> None:
        """Make it bare again."""
        remove(f"{self.root}/.primer")


def checkout(place: Surroundings, name: str, variables: Mapping[str, str]) -> Checkout:
    """A new checkout, started once.

    Raises:
        LeftOutError: its environment cannot be made.
    """
    root = place.new_folder(name)
    path = os.path.relpath(os.path.join(ROOT, "src"), root)
    environments = {"app": {"lock": "lock.txt", "paths": ["src", path]}}
    texts = {
        "primer.json": json.dumps({"python": f"=={place.version}", "environments": environments}),
        "lock.txt": locked(),
        "src/app/__init__.py": MAIN,
        "primer/proto.py": _read(os.path.join(ROOT, "primer", "proto.py")),
        "src/app/states.py": _states(),
        "run": shell_script(Entry("start", "app:main", "app")),
        "prime": shell_script(Entry("boot", "app.states", "app")),
    }
    write(root, texts)
    made = Checkout(root, f"{root}/run", f"{root}/prime")
    for script in (made.app, made.boot):
        os.chmod(script, 0o755)
    try:
        timed((made.app,), variables, os.path.join(place.folder, "said"))
    except ProgramFailedError as error:
        reason = f"it needs {DEPENDENCY} from a package index or uv's cache: {last_line(error)}"
        raise LeftOutError(reason) from error
    return made


@contextmanager
def script(place: Surroundings, variables: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """The words that have uv run a script with the same dependency. What uv keeps for it is removed."""
    path = os.path.join(place.new_folder("script"), "script.py")
    with open(path, "w") as file:
        file.write(f'# /// script\n# dependencies = ["{requirement()}"]\n# ///\n')
        file.write(f"{MAIN}\n\nmain()\n")
    common = ("--no-config", "--python", os.path.realpath(place.python), "--script", path)
    words = (uv.binary(), "run", *common)
    timed(words, variables, os.path.join(place.folder, "said"))
    try:
        yield words
    finally:
        find = (uv.binary(), "python", "find", "--no-config", "--script", path)
        python = subprocess.run(find, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        made = os.path.dirname(os.path.dirname(python))
        if os.path.basename(os.path.dirname(made)).startswith("environments-"):  # of uv's cache
            remove(made)


def locked() -> str:
    """The lines of Kedge's own lock that say which version of the dependency, and its hashes."""
    return re.findall(rf"^{DEPENDENCY}==(?:.*\\\n)*.*\n", _read(_LOCK), re.MULTILINE)[0]


def requirement() -> str:
    """The dependency with its version."""
    return locked().split()[0]


def variables(place: Surroundings) -> dict[str, str]:
    """Those of this process, with the Python that all of them run on as the first `python3` on PATH, and uv.

    uv leaves locks in TMPDIR, which is a folder that is removed.
    """
    folder = os.path.join(place.folder, "on-path")
    if not os.path.exists(folder):
        os.mkdir(folder)
        python = os.path.realpath(place.python)
        minor = ".".join(place.version.split(".")[:2])
        for name, program in (("python3", python), (f"python{minor}", python), ("uv", uv.binary())):
            os.symlink(program, os.path.join(folder, name))
    path = f"{folder}:{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "TMPDIR": place.folder}


def write(root: str, texts: Mapping[str, str]) -> None:
    """Files of a project, by their paths."""
    for path, text in texts.items():
        os.makedirs(os.path.dirname(f"{root}/{path}"), exist_ok=True)
        with open(f"{root}/{path}", "w") as file:
            file.write(text)


def _states() -> str:
    """A module with states."""
    needed = ["", *(f"state_{number}" for number in range(STATES - 1))]
    states = [_STATE.format(number=number, needs=needs) for number, needs in enumerate(needed)]
    return "\n".join(["from kedge.primer import Context, state\n", *states])


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
