"""What the container engines keep for this home: images that it made, and containers of runs that are over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from kedge.engine import KINDS
from kedge.engine.look import Engine, look, was_used
from kedge.environment import folders, kept_images
from kedge.errors import Unavailable
from kedge.executor.containers import containers_left, remove_container
from kedge.package import holding
from kedge.run.entry import ALIVE
from kedge.run.keeping import CONTAINER, IMAGE, LEFT_OVER, Kept, entries, runs_now, seconds

_AT: Final = "@"  # between a thing and its engine, in its name


def containers() -> list[tuple[str, str]]:
    """The containers of this home: what is run in each, and its engine's kind.

    Asked for before the records are read: what begins in between is in those, and not in here.
    """
    found = []
    for engine in _engines():
        with suppress(Unavailable):
            found += [(run_id, engine.kind) for run_id in containers_left(engine)]
    return found


def look_into_engines(
    listed: Iterable[tuple[str, str]],
    runs: Mapping[str, tuple[str, float]],
    uses: Mapping[str, float],
    busy: frozenset[str],
) -> Iterator[Kept]:
    """What the engines that were ever used from this home keep for it.

    Args:
        listed: from `containers`.
        runs: status and last moment of every run, by id.
        uses: when each image was last used by a run, by its id.
        busy: what runs that go on use.
    """
    for run_id, kind in listed:
        if not _goes_on(run_id, runs):
            moment = runs.get(run_id, ("", 0.0))[1]
            yield Kept(CONTAINER, f"{run_id}{_AT}{kind}", "", moment, "its run is over")
    known = set()
    for engine in _engines():
        with suppress(Unavailable):
            for made in kept_images.listed(engine):
                known.add(made.name)
                yield _image(engine, made, uses, busy)
    for entry in entries(kept_images.FOLDER):
        gone = entry.name not in known and not entry.name.startswith(".")
        if gone and not holding.is_held(entry.path):
            yield Kept(LEFT_OVER, entry.name, entry.path, 0.0, "its image is gone")


def _goes_on(run_id: str, runs: Mapping[str, tuple[str, float]]) -> bool:
    """Whether somebody holds what is run: a run that is recorded, or work that has a folder only."""
    if run_id in runs:
        return runs[run_id][0] in ALIVE
    return any(
        entry.name.endswith(run_id) and holding.is_held(entry.path)
        for parent in ("tmp", folders.BUILDING)
        for entry in entries(parent)
    )


def remove_image(one: Kept, needed: Callable[[], bool]) -> bool:
    """Remove an image unless somebody came to need it; whether it was removed."""
    name, _, kind = one.name.rpartition(_AT)
    engine = look(kind).engine
    if engine is None:
        return False
    with suppress(Unavailable):
        for made in kept_images.listed(engine):
            if made.id == name:
                return kept_images.remove(engine, made, needed)
    return False


def remove_left_container(one: Kept) -> bool:
    """Remove the container of what is over; whether it was removed."""
    run_id, _, kind = one.name.rpartition(_AT)
    if _goes_on(run_id, runs_now()):
        return False
    remove_container(kind, run_id)
    return True


def _engines() -> Iterator[Engine]:
    for kind in KINDS:
        if was_used(kind) and (engine := look(kind).engine) is not None:
            yield engine


def _image(
    engine: Engine, made: kept_images.Made, uses: Mapping[str, float], busy: frozenset[str]
) -> Kept:
    used = max(uses.get(made.id, 0.0), seconds(made.created))
    needed = ""
    if made.id in busy:
        needed = "a run that goes on uses it"
    elif holding.is_held(kept_images.held_by(made.name)):
        needed = "a process uses it"
    name = f"{made.id}{_AT}{engine.kind}"
    return Kept(IMAGE, name, "", used, needed=needed, elsewhere=made.size)
