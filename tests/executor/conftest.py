"""People who run things: root, and an ordinary user when root can play one."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.executor import cgroups

PERFORMING = Path(__file__).parent / "performing.py"
# A user number without an account, of this test process alone: limits are counted by it.
ORDINARY = 61_000 + os.getpid() % 900
INSIDE_PYTHON = "/usr/bin/python3"

# Root plays both; anybody else is themselves.
PEOPLE = ("root", "user") if os.geteuid() == 0 else ("me",)


@pytest.fixture(scope="session")
def control_groups() -> None:
    """All that limit something; without them there is nothing to be tried."""
    found = cgroups.look().available if os.geteuid() == 0 else None
    if found is None or found.controllers != {"memory", "pids", "cpu"}:
        reason = "not root" if found is None else found.reason
        pytest.skip(f"not all control groups can be had here: {reason}")


class Person:
    """Somebody with a folder of their own, who executes requests in it."""

    def __init__(self, name: str, base: Path) -> None:
        self.name = name
        self.base = base
        self.is_root = name == "root"
        self.warm = self.waiting = False

    def run(self, *argv: str, **request: Any) -> dict[str, Any]:
        """What came of executing `argv`; see `performing.perform`."""
        whole = {"base": str(self.base), "argv": argv, "warm": self.warm, **request}
        whole["waiting"] = self.waiting
        if (way := request.get("kind")) in ("warm", "waiting"):
            whole |= {"kind": "sandbox", way: True}
        if self.name != "user":
            answer: dict[str, Any] = runpy.run_path(str(PERFORMING))["perform"](whole)
            return answer
        done = subprocess.run(
            self.command(), input=json.dumps(whole), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def python(self, code: str, **request: Any) -> dict[str, Any]:
        """What came of executing Python `code` with the system's interpreter."""
        return self.run(INSIDE_PYTHON, "-I", "-S", "-c", code, **request)

    def told(self, code: str, **request: Any) -> Any:
        """What Python `code` leaves in the variable `said`, having ended well."""
        answer = self.python(f"import json\n{code}\nprint(json.dumps(said))", **request)
        assert answer.get("ended", {}).get("exit_code") == 0, answer
        return json.loads(answer["stdout"])

    def command(self) -> list[str]:
        """The program that performs a request from its standard input, as this person."""
        if self.name != "user":
            return [sys.executable, str(PERFORMING)]
        # This interpreter and this checkout may lie where nobody else can go: show them elsewhere.
        shown = {
            "python": sys.base_prefix,
            "src": str(Path(kedge.__file__).parent.parent),
            "tests": str(PERFORMING.parent),
            "site": str(Path(pytest.__file__).parent.parent),
        }
        places = {name: self.base.parent / name for name in shown}
        binds = " && ".join(f"mount --bind '{shown[name]}' '{places[name]}'" for name in shown)
        python = places["python"] / "bin" / Path(os.path.realpath(sys.executable)).name
        variables = {
            "HOME": str(self.base),
            "KEDGE_HOME": str(self.base / "kedge-home"),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{places['src']}:{places['site']}",
            "LD_LIBRARY_PATH": str(places["python"] / "lib"),
            "HOST_SECRET": "do not show",
        }
        return [
            *("unshare", "--mount", "sh", "-c"),
            f'mount --make-rprivate / && {binds} && exec "$@"',
            *("sh", "setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--", "env", "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *(str(python), "-B", str(places["tests"] / PERFORMING.name)),
        ]


@pytest.fixture
def make_person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Person]]:
    """Makes the people of a test, with folders that everybody can reach (tmp_path is closed)."""
    made: list[str] = []
    monkeypatch.setenv("HOST_SECRET", "do not show")

    def make(name: str) -> Person:
        above = tempfile.mkdtemp(prefix="kedge-test-", dir="/tmp")
        made.append(above)
        os.chmod(above, 0o755)
        for folder in ("python", "src", "tests", "site", "base"):
            os.mkdir(os.path.join(above, folder))
        base = Path(above) / "base"
        if name == "user":
            os.chown(base, ORDINARY, ORDINARY)
        else:
            monkeypatch.setenv("KEDGE_HOME", str(base / "kedge-home"))
        return Person(name, base)

    yield make
    for above in made:
        shutil.rmtree(above)


@pytest.fixture(params=PEOPLE)
def person(request: pytest.FixtureRequest, make_person: Callable[[str], Person]) -> Person:
    """Each of the people in turn."""
    return make_person(request.param)


@pytest.fixture(params=["cold", "warm", "waiting"])
def anyhow(request: pytest.FixtureRequest, person: Person) -> Person:
    """Each of them, with a program of its own, with a fork of a warm one, with one that becomes the program."""
    person.warm, person.waiting = request.param == "warm", request.param == "waiting"
    return person


@pytest.fixture
def somebody(make_person: Callable[[str], Person]) -> Person:
    """Whoever runs the tests, in this process."""
    return make_person(PEOPLE[0])


def living(marker: str) -> list[int]:
    """The processes that have `marker` as one of their arguments."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if marker.encode() in file.read().split(b"\0"):
                    found.append(int(name))
        except (OSError, ValueError):
            continue
    return found


@pytest.fixture
def marker() -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """A number of seconds to sleep that no other process sleeps, and who sleeps it."""
    seconds = f"4242.{os.getpid()}{os.urandom(2).hex(sep='0').translate(str.maketrans('abcdef', '123456'))}"
    yield seconds, lambda: living(seconds)
    assert not living(seconds)
