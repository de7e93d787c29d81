"""What decorated functions cost: a call, large arrays, many calls, and the first call of all."""

import glob
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from figure import Figure, Goal, LeftOutError, Side
from programs import ProgramFailedError, timed
from rounds import Sample, alternate, in_blocks
from surroundings import Surroundings
from told import Told

from containers import NOTHING, with_an_image
from kedge.contract.ownership import remove
from kedge.engine import KINDS
from kedge.environment import bytecode, uv
from kedge.package.source import open_package
from kedge.run.prepare import prepare

_TIMES_FASTER = 50  # than `docker run --rm`
_NUMBERS, _QUICK_NUMBERS = 12_500_000, 125_000  # of 8 bytes
_ITEMS, _QUICK_ITEMS = 10_000, 40
_FIRST = """\
import kedge


@kedge.function(pip=["numpy"])
def mean(values):
    import numpy as np

    return float(np.mean(values))


assert mean.run([1, 2, 3]) == 2.0
"""
_BY_HAND = "import numpy as np; assert float(np.mean([1, 2, 3])) == 2.0"
_PATIENCE_S = 120.0  # for what compiles behind a first run


def called(place: Surroundings) -> Iterator[Figure]:
    """A call of a function that does nothing, warm, beside a container that does nothing."""
    times = 1 if place.quick else 20
    with _told(place, "called") as calling:
        peers: list[tuple[str, Sample]] = []
        for kind in KINDS:
            if (found := with_an_image(kind)) is not None:
                engine, image = found
                words = (engine.path, "run", "--rm", image.id, NOTHING)
                peers.append((f"{kind} run --rm of {NOTHING}", partial(place.timed, *words)))
        peers.append(("python -I -c pass", lambda: place.timed(place.python, "-I", "-c", "pass")))
        calling.asked(1)  # makes its environment
        ours, *theirs = in_blocks(
            place.rounds(15), (lambda: calling.asked(1), times), *((peer, 1) for _, peer in peers)
        )
    is_beside_docker = peers[0][0].startswith("docker")
    yield Figure(
        "function",
        Side("a call of a decorated function that does nothing, the whole run", ours),
        tuple(Side(what, found) for (what, _), found in zip(peers, theirs, strict=True)),
        Goal("times", 1 / _TIMES_FASTER) if is_beside_docker else None,
        notes=(f"goal: at least {_TIMES_FASTER} times as fast as docker run --rm",),
    )


def arrays(place: Surroundings) -> Iterator[Figure]:
    """An array of 100 MB as an argument, and as a result."""
    count = _QUICK_NUMBERS if place.quick else _NUMBERS
    size = f"{count * 8 / 1e6:g} MB"
    site = _numpy(place)
    with ExitStack() as after:
        sending, receiving, copying = (
            after.enter_context(_told(place, subject, site))
            for subject in ("sent", "received", "copied")
        )
        for told in (sending, receiving):
            told.asked(count)
        sent, received, copied = alternate(
            place.rounds(9), *(partial(one.asked, count) for one in (sending, receiving, copying))
        )
    for name, what, taken in (
        ("argument", "a call with an array of {} that it reads", sent),
        ("result", "a call that gives an array of {}, which is read", received),
    ):
        yield Figure(
            f"function-array {name}",
            Side(what.format(size), taken),
            (Side("numpy: one copy of it in memory", copied),),
            Goal("times", 3),
            notes=("reading: a number of each page; the making of the result does not count",)
            if name == "result"
            else (),
        )


def many(place: Surroundings) -> Iterator[Figure]:
    """Many calls by `.map`: the time by their number."""
    count = _QUICK_ITEMS if place.quick else _ITEMS
    with _told(place, "mapped") as mapping, _told(place, "pooled") as pooling:
        mapping.asked(1)
        ours, theirs = alternate(
            1, lambda: mapping.asked(count) / count, lambda: pooling.asked(count) / count, warm=0
        )
    cores = len(os.sched_getaffinity(0))
    yield Figure(
        "function-map",
        Side(f"an item of .map, of {count}", ours),
        (Side("multiprocessing.Pool, a process for each", theirs),),
        notes=(f"{1 / ours[0]:.0f} items a second on {cores} CPUs",),
    )


def first(place: Surroundings) -> Iterator[Figure]:
    """A program that decorates a function that needs numpy and runs it, where nothing is prepared."""
    _numpy(place)  # so that uv has it in its cache
    script = os.path.join(place.new_folder("first"), "first.py")
    with open(script, "w") as file:
        file.write(_FIRST)
    said = os.path.join(place.folder, "said")
    homes = os.path.join(place.folder, "first-home")
    venv = os.path.join(place.folder, "first-venv")
    base = os.path.realpath(place.python)

    def ours() -> float:
        taken = timed((place.python, script), os.environ | {"KEDGE_HOME": homes}, said)
        _wait_for_compiling(homes)
        remove(homes)
        return taken

    def by_hand() -> float:
        words = (uv.binary(), "venv", "--no-config", "--python", base, venv)
        python = f"{venv}/bin/python"
        install = (uv.binary(), "pip", "install", "--no-config", "--python", python, "numpy")
        try:
            return sum(
                timed(command, os.environ, said)
                for command in (words, install, (python, "-c", _BY_HAND))
            )
        finally:
            remove(venv)

    mine, theirs = alternate(place.rounds(7), ours, by_hand)
    yield Figure(
        "function-first",
        Side('a program with @kedge.function(pip=["numpy"]) that runs it once', mine),
        (Side("uv venv, uv pip install numpy, and python importing it", theirs),),
        Goal("in all", 2),
        notes=("nothing is prepared but numpy in uv's cache; from start to end of the programs",),
    )


def _told(place: Surroundings, subject: str, *site: str) -> Told:
    """The program `decorated`; `site` is a folder with packages that it can import."""
    return Told(place, place.python, "decorated.py", subject, *site)


def _numpy(place: Surroundings) -> str:
    """A folder with numpy for the Python that `decorated` runs on, in an environment that Kedge makes."""
    name = "with-numpy"
    package = os.path.join(place.folder, name)
    if not os.path.exists(package):
        place.package(name, "def main() -> None:\n    pass\n", requirements="[numpy]")
    try:
        place.timed(place.kedge, "build", package)
    except ProgramFailedError as error:
        raise LeftOutError(f"numpy cannot be had: {error}") from error
    folder = os.path.dirname(os.path.dirname(prepare(open_package(package)).python.python))
    return glob.glob(f"{folder}/lib/python*/site-packages")[0]


def _wait_for_compiling(home: str) -> None:
    """Until nothing is at work in a home any more."""
    until = time.monotonic() + _PATIENCE_S
    while not all(map(bytecode.is_finished, glob.glob(f"{home}/environments/[0-9a-f]*"))):
        if time.monotonic() > until:
            raise ProgramFailedError("what was installed is not compiled")
        time.sleep(0.05)
