"""A small project with states of its own, booted in processes of their own as `primer/proto.py` does it."""

import json
import os
import select
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import kedge

SOURCE = Path(kedge.__file__).parents[1]
FINISHED_SECONDS = 120  # A boot that takes longer hangs.

# As the end of primer/proto.py: in the environment, with the caller's arguments.
DRIVER = """
import json, sys
given = json.loads(sys.argv[1])
sys.argv = ["./prime", *sys.argv[2:]]
sys.prefix = given["prefix"]
sys.path[:0] = given["paths"]
from kedge.primer.boot import main
if given["audit"]:
    import os
    seen = []
    def hook(event, arguments):
        written = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if written or event.startswith(
            ("subprocess.", "os.fork", "os.posix_spawn", "os.exec", "os.system", "socket.",
             "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.utime")
        ):
            seen.append(f"{event} {arguments}")
    sys.addaudithook(hook)
code = main(*given["main"])
if given["audit"]:
    print(json.dumps(seen))
sys.exit(code)
"""

# Each state of a test notes that it was executed.
HEADER = """
from kedge.primer import Context, state

def note(ctx, name):
    with open(ctx.root / "reached", "a") as file:
        file.write(name + "\\n")
"""


@dataclass(frozen=True)
class Ended:
    """A boot that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)


class Pipe:
    """A named pipe that this process can read and write; its other side sees its end once it is closed."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDWR)

    def text(self) -> str:
        """What comes first."""
        assert select.select([self.descriptor], [], [], FINISHED_SECONDS)[0], "nothing came"
        return os.read(self.descriptor, 1000).decode()

    def close(self) -> None:
        """Be done with it."""
        os.close(self.descriptor)


@dataclass
class Project:
    """A checkout with a module of states, `pkg.things`."""

    root: Path
    variables: dict[str, str]

    @property
    def home(self) -> Path:
        """Where the states of this machine are recorded."""
        return self.root / ".primer" / "states" / os.uname().nodename

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        if file.suffix == ".py":  # Python takes one of the same second and size for the same
            shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)
        return file

    def states(self, text: str, module: str = "things", header: str = HEADER) -> None:
        """Write the module of states, below a header with what each test uses."""
        self.write(f"src/pkg/{module}.py", header + text)

    def command(
        self,
        *words: str,
        rebuild: bool = False,
        verbose: bool = False,
        explain: dict[str, Any] | None = None,
        audit: bool = False,
        module: str = "pkg.things",
    ) -> list[str]:
        """The command of a boot."""
        given = {
            "prefix": str(self.root / ".primer" / "app"),
            "paths": [str(SOURCE), str(self.root / "src")],
            "main": [module, str(self.root), rebuild, verbose, explain],
            "audit": audit,
        }
        return [sys.executable, "-I", "-c", DRIVER, json.dumps(given), *words]

    def boot(self, *words: str, code: int = 0, before: tuple[str, ...] = (), **how: Any) -> Ended:
        """Boot to the end; `code` is the exit code that is expected."""
        done = subprocess.run(
            [*before, *self.command(*words, **how)],
            cwd=self.root,
            env=self.variables,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=FINISHED_SECONDS,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert ended.code == code, ended
        return ended

    @staticmethod
    def all_end(descriptors: list[int]) -> bool:
        """Whether the processes of these pidfds end in good time."""
        return all(has_ended(descriptor) for descriptor in descriptors)

    def begin_with_tool(self) -> "tuple[subprocess.Popen[str], int, list[int]]":
        """Begin a boot whose tool writes its own number to `ready` and that of its child to `inner`.

        The process, the tool's number, and descriptors that are readable once tool and child have ended.
        """
        ready = self.pipe("ready")
        boot = self.begin()
        tool = int(ready.text())
        ready.close()
        inner = int((self.root / "inner").read_text())
        return boot, tool, [os.pidfd_open(pid) for pid in (tool, inner)]

    def begin(self, *words: str, **how: Any) -> "subprocess.Popen[str]":
        """Begin a boot without waiting for it."""
        return subprocess.Popen(
            self.command(*words, **how),
            cwd=self.root,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def pipe(self, name: str) -> "Pipe":
        """A named pipe below the root, for a test and a state to wait for each other."""
        return Pipe(self.root / name)

    def reached(self) -> list[str]:
        """The states that were executed since this was asked last."""
        file = self.root / "reached"
        names = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return names

    def reasons(self) -> dict[str, list[str]]:
        """Why each state is stale."""
        states = self.boot(explain={}).json["states"]
        return {one["name"]: one["reasons"] for one in states if one["reasons"]}


def has_ended(descriptor: int) -> bool:
    """Whether the process of a pidfd ends in good time; closes it."""
    ended = bool(select.select([descriptor], [], [], FINISHED_SECONDS)[0])
    os.close(descriptor)
    return ended


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout whose path has spaces and other letters than ASCII's."""
    root = tmp_path / "ein Ordner ü"
    (root / "src/pkg").mkdir(parents=True)
    (root / "src/pkg/__init__.py").touch()
    dropped = ("PRIMER_", "KEDGE_", "PYTHON", "GIT_", "npm_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return Project(root.resolve(), kept | {"HOME": str(tmp_path)})
