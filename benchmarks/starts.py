"""What it costs to start: `kedge --help`, a run of nothing, the primer by itself, and `import kedge`."""

import os
import re
import subprocess
from collections.abc import Iterator

from figure import Check, Figure, Goal, Side
from rounds import alternate
from surroundings import Surroundings, program

_PASS = ("-I", "-c", "pass")  # -I as `./kedge` has it
_IMPORT = ("-I", "-c", "import kedge")
_VERSION = ("-I", "-c", "from kedge.cli import main; main(['--version'])")
_WHOLE = "python -I -c pass"


def help_shown(place: Surroundings) -> Iterator[Figure]:
    """`./kedge --help` beside the bare start of its interpreter."""
    ours, bare = alternate(
        place.rounds(25),
        lambda: place.timed(place.kedge, "--help"),
        lambda: place.timed(place.python, *_PASS),
    )
    yield Figure("help", Side("./kedge --help", ours), (Side(_WHOLE, bare),), Goal("times", 6))


def imported(place: Surroundings) -> Iterator[Figure]:
    """`import kedge`, as a program of one's own begins, beside the bare start of its interpreter."""
    ours, bare = alternate(
        place.rounds(50),
        lambda: place.timed(place.python, *_IMPORT),
        lambda: place.timed(place.python, *_PASS),
    )
    yield Figure(
        "import",
        Side("python -I -c 'import kedge'", ours),
        (Side(_WHOLE, bare),),
        Goal("times", 1.5),
    )


def run_of_nothing(place: Surroundings) -> Iterator[Figure]:
    """`./kedge run` of a function that does nothing, seen before, beside the bare start."""
    package = place.package("nothing", "def main() -> None:\n    pass\n")
    ours, bare = alternate(
        place.rounds(25),
        lambda: place.timed(place.kedge, "run", package),
        lambda: place.timed(place.python, *_PASS),
        warm=3,  # the first ones make what the others find, and see the package come to rest
    )
    yield Figure(
        "run", Side("./kedge run of a no-op", ours), (Side(_WHOLE, bare),), Goal("times", 12)
    )


def through_an_agent(place: Surroundings) -> Iterator[Figure]:
    """`./kedge run` of the same function where an agent waits for commands, and where none does."""
    package = place.package("agent", "def main() -> None:\n    pass\n")
    env = program("env")
    homes = [place.new_folder(name) for name in ("home-with-agent", "home-without")]
    there, alone = [(env, f"KEDGE_HOME={home}", place.kedge) for home in homes]
    place.timed(*there, "agent", "start")
    try:
        ours, without, bare = alternate(
            place.rounds(25),
            lambda: place.timed(*there, "run", package),
            lambda: place.timed(*alone, "run", package),
            lambda: place.timed(env, place.python, *_PASS),
            warm=3,
        )
    finally:
        place.timed(*there, "agent", "stop")
    yield Figure(
        "agent",
        Side("./kedge run of a no-op, with an agent", ours),
        (Side("the same without one", without), Side(_WHOLE, bare)),
    )


def primer(place: Surroundings) -> Iterator[Figure]:
    """`./kedge --version` beside the same call made by the environment's Python itself."""
    ours, bare = alternate(
        place.rounds(25),
        lambda: place.timed(place.kedge, "--version"),
        lambda: place.timed(place.python, *_VERSION),
    )
    yield Figure(
        "primer",
        Side("./kedge --version", ours),
        (Side("the environment's python calls the same main", bare),),
        Goal("above", 0.025),
        checks=tuple(_execs(place)),
    )


def _execs(place: Surroundings) -> Iterator[Check]:
    """How often a Python is started, also where the first `python3` on PATH is a broken one."""
    broken = os.path.join(place.new_folder("broken"), "python3")
    with open(broken, "w") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(broken, 0o755)
    log = os.path.join(place.folder, "strace")
    path = f"{os.path.dirname(broken)}:{os.environ.get('PATH', os.defpath)}"
    try:
        subprocess.run(
            ["strace", "-f", "-qq", "-e", "trace=execve", "-o", log, place.kedge, "--version"],
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return  # no strace, or one that may not trace
    with open(log, errors="replace") as file:
        started = re.findall(r'execve\("([^"]+)".* = 0$', file.read(), re.MULTILINE)
    pythons = [path for path in started if os.path.basename(path).startswith("python")]
    yield Check(
        f"execs of Python: {len(pythons)}, of anything: {len(started)}, with a broken python3 first"
        " on PATH (goal: at most 1 of Python)",
        len(pythons) <= 1,
    )
