"""What a task costs, in Kedge's own process and as a shell command, beside workflow tools and beside none."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from figure import Check, Figure, Goal, LeftOutError, Side
from peers import Working, at_work
from rounds import Sample, alternate
from surroundings import Surroundings
from told import Told

from kedge.executor import executors

_COUNTS = ((10, 9), (1_000, 3), (10_000, 1))  # so many tasks, so often
_QUICK_COUNTS = ((2, 2), (10, 2), (20, 2))
_FLAT = 1.5  # times: what one of the most tasks may take of what one of the fewest does
_HOW = {False: "one after the other", True: "all awaited at once"}


@dataclass(frozen=True, slots=True)
class _Done:
    """What is measured: its figure's name or none, what it is called in a table, what does it."""

    name: str
    what: str
    told: Told


def in_process(place: Surroundings) -> Iterator[Figure]:
    """Tasks of a function that adds two numbers, in Kedge's own process."""
    for gathered in (False, True):
        with ExitStack() as after:
            added = after.enter_context(_told(place, "in-process", gathered))
            ours = _Done("tasks", "a task made and run in process", added)
            beside = []
            if not gathered:
                again = after.enter_context(_told(place, "again", gathered))
                beside.append(_Done("", "Kedge: a task made before, run again", again))
            working, lacking = after.enter_context(at_work(place, "functions", gathered=gathered))
            yield from _figures(
                place, [ours], beside, working, lacking, Goal("in all", 0.0002), gathered
            )


def shell(place: Surroundings) -> Iterator[Figure]:
    """Tasks of a command that does nothing, beside the same command that no tool starts."""
    usable = [kind for kind in ("process", "sandbox") if executors.get(kind)().usable().ok]
    if not usable:
        raise LeftOutError("neither the process executor nor the sandbox works here")
    for gathered in (False, True):
        with ExitStack() as after:
            ours = [
                _Done(
                    f"shell-tasks {kind}",
                    f"a task made and run: true N, executor {kind}",
                    after.enter_context(_told(place, kind, gathered)),
                )
                for kind in usable
            ]
            alone = _Done(
                "",
                "subprocess.run of the same" + (" in a thread for each CPU" if gathered else ""),
                after.enter_context(_told(place, "alone", gathered)),
            )
            working, lacking = after.enter_context(at_work(place, "commands", gathered=gathered))
            yield from _figures(
                place, ours, [alone], working, lacking, Goal("above", 0.004), gathered
            )


def _figures(
    place: Surroundings,
    ours: Sequence[_Done],
    beside: Sequence[_Done],
    working: Sequence[Working],
    lacking: Sequence[str],
    goal: Goal,
    gathered: bool,
) -> Iterator[Figure]:
    """For each number of tasks a figure of each of ours, beside all that is not ours."""
    fewest: dict[str, tuple[int, float]] = {}  # how many they were, and seconds of one
    before = 0
    for count, rounds in _QUICK_COUNTS if place.quick else _COUNTS:
        asked = [(done.what, done.told, count) for done in (*ours, *beside)]
        for peer in working:
            if before < peer.most:
                of = min(count, peer.most)
                asked.append((peer.what if of == count else f"{peer.what}: {of}", peer.told, of))
        before = count
        taken = alternate(
            rounds, *(_one_of(told, of) for _, told, of in asked), warm=int(rounds > 1)
        )
        sides = [Side(what, found) for (what, *_), found in zip(asked, taken, strict=True)]
        for done, side in zip(ours, sides[: len(ours)], strict=True):
            few, seconds = fewest.setdefault(done.name, (count, side.median))
            grown = side.median / seconds
            check = Check(
                f"flat: {grown:.2f} times one of {few} (goal: at most {_FLAT:g})", grown <= _FLAT
            )
            yield Figure(
                f"{done.name} gathered {count}" if gathered else f"{done.name} {count}",
                Side(f"{done.what}, {_HOW[gathered]}", side.samples),
                tuple(sides[len(ours) :]),
                goal,
                () if count == few else (check,),
                tuple(lacking) if count == few else (),
            )


def _told(place: Surroundings, subject: str, gathered: bool) -> Told:
    return Told(place, place.python, "tasked.py", f"{subject}-gathered" if gathered else subject)


def _one_of(told: Told, count: int) -> Sample:
    """Seconds for one of so many tasks."""
    return lambda: told.asked(count) / count
