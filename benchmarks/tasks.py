"""What a task costs, in Kedge's own process and as a shell command, beside workflow tools and beside none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from figure import Check, Figure, Goal, LeftOutError, Side
from peers import at_work
from rounds import Sample, alternate
from surroundings import Surroundings
from told import Doing, Told

from kedge.executor import executors

_COUNTS = ((10, 9), (1_000, 3), (10_000, 1))  # so many tasks, so often
_QUICK_COUNTS = ((2, 2), (10, 2))
_FLAT = 1.5  # times: what one of the most tasks may take of what one of the fewest does
_HOW = {False: "one after the other", True: "all awaited at once"}


def in_process(place: Surroundings) -> Iterator[Figure]:
    """Tasks of a function that adds two numbers, in Kedge's own process."""
    for gathered in (False, True):
        with ExitStack() as after:
            what = f"a task made and run in process, {_HOW[gathered]}"
            ours = {"tasks": Doing(what, after.enter_context(_told(place, "in-process", gathered)))}
            beside = []
            if not gathered:
                again = after.enter_context(_told(place, "again", gathered))
                beside.append(Doing("Kedge: a task made before, run again", again))
            yield from _figures(place, "functions", ours, beside, Goal("in all", 0.0002), gathered)


def shell(place: Surroundings) -> Iterator[Figure]:
    """Tasks of a command that does nothing, beside the same command that no tool starts."""
    usable = [kind for kind in ("process", "sandbox") if executors.get(kind)().usable().ok]
    if not usable:
        raise LeftOutError("neither the process executor nor the sandbox works here")
    for gathered in (False, True):
        with ExitStack() as after:
            ours = {
                f"shell-tasks {kind}": Doing(
                    f"a task made and run: true N, executor {kind}, {_HOW[gathered]}",
                    after.enter_context(_told(place, kind, gathered)),
                )
                for kind in usable
            }
            alone = Doing(
                "subprocess.run of it" + (", in a thread for each CPU" if gathered else ""),
                after.enter_context(_told(place, "alone", gathered)),
            )
            yield from _figures(place, "commands", ours, [alone], Goal("above", 0.004), gathered)


def _figures(
    place: Surroundings,
    subject: str,
    ours: Mapping[str, Doing],
    beside: Sequence[Doing],
    goal: Goal,
    gathered: bool,
) -> Iterator[Figure]:
    """For each number of tasks a figure of each of ours, by its name, beside all that is not ours."""
    with at_work(place, subject, gathered=gathered, serving=False) as (peers, lacking):
        sides = _sides(place, [*ours.values(), *beside, *peers])
    with at_work(place, subject, gathered=gathered, serving=True) as (peers, lacking_too):
        served = _sides(place, peers)
    fewest, *_ = sides
    for count, found in sides.items():
        for number, name in enumerate(ours):
            grown = found[number].median / sides[fewest][number].median
            text = f"flat: {grown:.2f} times one of {fewest} (goal: at most {_FLAT:g})"
            yield Figure(
                f"{name} gathered {count}" if gathered else f"{name} {count}",
                found[number],
                (*found[len(ours) :], *served[count]),
                goal,
                () if count == fewest else (Check(text, grown <= _FLAT),),
                (*lacking, *lacking_too) if count == fewest else (),
            )


def _sides(place: Surroundings, doing: Sequence[Doing]) -> dict[int, list[Side]]:
    """Seconds for one of so many, by their number; once the most that a program is asked for."""
    sides: dict[int, list[Side]] = {}
    before = 0
    for count, rounds in _QUICK_COUNTS if place.quick else _COUNTS:
        asked = [(one, min(count, one.most)) for one in doing if before < one.most]
        before = count
        taken = alternate(
            rounds, *(_one_of(one.told, number) for one, number in asked), warm=int(rounds > 1)
        )
        sides[count] = [
            Side(one.what if number == count else f"{one.what}: of {number}", found)
            for (one, number), found in zip(asked, taken, strict=True)
        ]
    return sides


def _told(place: Surroundings, subject: str, gathered: bool) -> Told:
    return Told(place, place.python, "tasked.py", f"{subject}-gathered" if gathered else subject)


def _one_of(told: Told, number: int) -> Sample:
    return lambda: told.asked(number) / number
