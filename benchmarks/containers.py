"""What a container costs: one cold call of a program that does nothing, on each engine that works here."""

import itertools
import os
from collections.abc import Iterator

from boxes import called
from figure import Figure, Goal, LeftOutError, Side
from rounds import alternate
from surroundings import Surroundings

from kedge.contract import workspace
from kedge.engine import KINDS
from kedge.engine.look import Engine, look
from kedge.environment import images
from kedge.environment.image import Image
from kedge.executor import executors
from kedge.ports import Ports
from kedge.task import Process
from kedge.task.payload import ImageRoot

_IMAGES = ("localhost/kedge-test/debian:bookworm", "debian:bookworm-slim", "python:3.12-slim")
NOTHING = "/bin/true"


def cold(place: Surroundings) -> Iterator[Figure]:
    """A call through the container executors beside the engine's own `run --rm`, the container removed."""
    found = [one for one in map(with_an_image, KINDS) if one is not None]
    if not found:
        raise LeftOutError(f"no engine works here that has one of {', '.join(_IMAGES)}")
    for engine, image in found:
        yield _one(place, engine, image)


def with_an_image(kind: str) -> tuple[Engine, Image] | None:
    """An engine that works here and an image that it has; None where there is none."""
    engine = look(kind).engine
    if engine is None:
        return None
    for name in _IMAGES:
        if (image := images.find(engine, name)) is not None:
            return engine, image
    return None


def _one(place: Surroundings, engine: Engine, image: Image) -> Figure:
    folder = os.path.join(place.folder, f"work-{engine.kind}")
    made = workspace.prepare(folder, None, Ports({}), Ports({}), {})
    payload = Process((NOTHING,), ImageRoot(image.id, "/workspace", image.variables))
    executor = executors.get(engine.kind)()
    numbers = itertools.count()
    alike = ("--init", "--network", "none", "--read-only", "--cap-drop", "ALL")
    mine, plain, shut_in = alternate(
        place.rounds(15),
        lambda: called(executor, payload, made, next(numbers)),
        lambda: place.timed(engine.path, "run", "--rm", image.id, NOTHING),
        lambda: place.timed(engine.path, "run", "--rm", *alike, image.id, NOTHING),
    )
    return Figure(
        f"container {engine.kind}",
        Side(f"{NOTHING} through the {engine.kind} executor", mine),
        (
            Side(f"{engine.kind} run --rm of it", plain),
            Side("the same without a network, capabilities and a writable root", shut_in),
        ),
        Goal("times", 1.15),
        notes=("the executor also limits, measures, mounts a workspace and asks how it ended",),
    )
