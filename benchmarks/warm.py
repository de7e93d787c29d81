"""What a warm call costs: a fresh process, sandboxed and limited, that has imported its module already."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from boxes import mounts
from figure import Check, Figure, Goal, Side
from forks import at_once
from programs import ProgramFailedError
from rounds import Sample, in_blocks
from surroundings import Surroundings, program
from warmed import Warmed, warmed

from containers import NOTHING, with_an_image
from kedge.engine import KINDS
from kedge.engine.look import Engine
from kedge.environment.image import Image

NOTHING_DONE = "def main(x: float) -> float:\n    return x\n"
IMPORTS = ("numpy", "scipy.integrate", "scipy.linalg", "scipy.optimize")
IMPORTING = f"import {', '.join(IMPORTS)}\n\n\n{NOTHING_DONE}"
NEEDED = "[numpy, scipy]"

_PAUSE_S = 0.03
_TIMES_FASTER = 100  # than `docker run --rm`
_CALLERS = (1, 2, 8)
_QUICK_BATCH = 8
_BATCH = 40  # calls in one sample of throughput, of all callers together


def nothing(place: Surroundings) -> Iterator[Figure]:
    """A call of a function that does nothing, back to back and with pauses."""
    with warmed(place, "idle", NOTHING_DONE) as warm:
        for figure in _beside_peers(place, "warm", warm, "pass", Goal("in all", 0.005)):
            runs = [peer.median for peer in figure.peers if peer.what.startswith("docker run")]
            faster = runs[0] / figure.ours.median if runs else 0.0
            check = Check(
                f"{faster:.0f} times as fast as docker run --rm (goal: at least {_TIMES_FASTER})",
                faster >= _TIMES_FASTER,
            )
            yield replace(figure, checks=(check,)) if runs else figure


def importing(place: Surroundings) -> Iterator[Figure]:
    """The same where the module has imported numpy and scipy."""
    with warmed(place, "importing", IMPORTING, NEEDED) as warm:
        text = f"import {', '.join(IMPORTS)}"
        yield from _beside_peers(place, "warm-numpy", warm, text, Goal("in all", 0.01))


def throughput(place: Surroundings) -> Iterator[Figure]:
    """Calls that several threads make at the same time, in one Kedge process."""
    batch = _QUICK_BATCH if place.quick else _BATCH
    with warmed(place, "crowded", NOTHING_DONE) as warm, ExitStack() as after:
        forking = [after.enter_context(warm.forking()) for _ in range(max(_CALLERS))]

        def by_forks(callers: int) -> Sample:
            each = batch // callers
            return lambda: at_once(forking[:callers], each) / (callers * each)

        found = in_blocks(
            place.rounds(15),
            *((_by_threads(warm.called, callers, batch // callers), 1) for callers in _CALLERS),
            *((_by_threads(warm.ran, callers, batch // callers), 1) for callers in _CALLERS),
            *((by_forks(callers), 1) for callers in _CALLERS),
        )
    for number, callers in enumerate(_CALLERS):
        called, ran, forked = found[number :: len(_CALLERS)]
        at = "1 caller" if callers == 1 else f"{callers} callers at once"
        ours = Side(f"a call at the executor, {at}: time by number of calls", called)
        yield Figure(
            f"warm-throughput {callers}",
            ours,
            (
                Side("fork and exit alone, in as many processes", forked),
                Side("Kedge: the whole run", ran),
            ),
            notes=(f"{1 / ours.median:.0f} calls a second; callers are threads of one process",),
        )


def _beside_peers(
    place: Surroundings, name: str, warm: Warmed, text: str, goal: Goal
) -> Iterator[Figure]:
    """The figures of one package; `text` is what a Python that starts anew does."""
    python = (warm.python, "-I", "-c", text)
    sandbox = (program("bwrap"), *mounts(warm.workspace(), warm.visible), *python)
    with ExitStack() as after:
        forking = after.enter_context(warm.forking())
        peers: list[tuple[str, Sample, int]] = [
            ("the same call, answered when its process has ended", warm.called_patiently, 20),
            ("fork and exit alone, the same imported, the same files", forking.called, 20),
            ("posix_spawn of true", lambda: place.timed(NOTHING), 20),
            (f"python -I -c '{text}'", lambda: place.timed(*python), 4),
            ("the same in bubblewrap with comparable mounts", lambda: place.timed(*sandbox), 4),
        ]
        lacking = []
        for kind in KINDS:
            if (found := with_an_image(kind)) is None:
                lacking.append(f"{kind} does not work here")
                continue
            peers += after.enter_context(_containers(place, *found))
        peers.append(("Kedge: the whole run, with record, checks and outputs", warm.ran, 20))
        for pauses in (False, True):
            taken = in_blocks(
                place.rounds(15),
                *(
                    (_after_pause(sample) if pauses else sample, 1 if place.quick else times)
                    for _, sample, times in [("", warm.called, 20), *peers]
                ),
            )
            ours, *theirs = taken
            how = f"{_PAUSE_S * 1000:g} ms after the one before" if pauses else "back to back"
            yield Figure(
                f"{name} pauses" if pauses else name,
                Side(f"a warm call at the executor, {how}", ours),
                tuple(Side(what, found) for (what, *_), found in zip(peers, theirs, strict=True)),
                goal,
                notes=tuple(lacking),
            )


@contextmanager
def _containers(
    place: Surroundings, engine: Engine, image: Image
) -> Iterator[list[tuple[str, Sample, int]]]:
    """What an engine's own commands take, with a container that runs for the length of the block."""
    words = [engine.path, "run", "--detach", "--rm", "--init", image.id, "sleep", "infinity"]
    begun = subprocess.run(words, capture_output=True, text=True, check=False)
    if begun.returncode:
        raise ProgramFailedError(f"{' '.join(words)}\n{begun.stderr.strip()}")
    container = begun.stdout.strip()
    try:
        yield [
            (
                f"{engine.kind} exec of {NOTHING} into a container that runs",
                lambda: place.timed(engine.path, "exec", container, NOTHING),
                2,
            ),
            (
                f"{engine.kind} run --rm of {NOTHING}",
                lambda: place.timed(engine.path, "run", "--rm", image.id, NOTHING),
                1,
            ),
        ]
    finally:
        subprocess.run([engine.path, "rm", "--force", container], capture_output=True, check=False)


def _after_pause(sample: Sample) -> Sample:
    def paused() -> float:
        time.sleep(_PAUSE_S)
        return sample()

    return paused


def _by_threads(call: Sample, callers: int, each: int) -> Sample:
    """Seconds for one call where so many threads make `each` of them."""

    def several(_: int) -> None:
        for _ in range(each):
            call()

    def sample() -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(callers) as threads:
            list(threads.map(several, range(callers)))
        return (time.perf_counter() - began) / (callers * each)

    return sample
