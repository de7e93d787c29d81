"""What a changed line costs: the next run of a Python package that imports numpy and scipy."""

import os
from collections.abc import Iterator

from figure import Figure, Goal, LeftOutError, Side
from programs import ProgramFailedError
from rounds import alternate
from surroundings import Surroundings

from kedge.engine import KINDS
from kedge.engine.look import look
from kedge.environment import images
from kedge.executor import executors

_VERSIONS = ("3.12", "3.13", "3.11")
_MANIFEST = """\
name: changing
runtime: {{kind: python, version: "{version}", requirements: [numpy, scipy]}}
functions: {{main: {{handler: "code_of_it:main"}}}}
"""
_CODE = """\
import numpy as np
from scipy import integrate


def main() -> float:
    turn = {number}
    return float(integrate.quad(np.sin, 0, np.pi)[0]) + 0 * turn
"""


def line(place: Surroundings) -> Iterator[Figure]:
    """A run after a line of the handler was changed, beside a run of the package as it was."""
    found = dict(_executors())
    if not found:
        raise LeftOutError("neither the sandbox nor an engine with a Python image works here")
    for executor, version in found.items():
        yield _one(place, executor, version)


def _one(place: Surroundings, executor: str, version: str) -> Figure:
    folder = place.new_folder(f"changing-{executor}")
    with open(os.path.join(folder, "kedge.yml"), "w") as file:
        file.write(_MANIFEST.format(version=version))
    number = 0

    def change() -> None:
        nonlocal number
        number += 1
        with open(os.path.join(folder, "code_of_it.py"), "w") as file:
            file.write(_CODE.format(number=number))

    def run() -> float:
        return place.timed(place.kedge, "run", folder, "--executor", executor, "--quiet")

    def changed() -> float:
        change()
        return run()

    change()
    try:
        place.timed(place.kedge, "build", folder, "--executor", executor)
    except ProgramFailedError as error:
        raise LeftOutError(f"numpy and scipy cannot be had: {error}") from error
    ours, same = alternate(place.rounds(7), changed, run)
    return Figure(
        f"change {executor}",
        Side(f"./kedge run after a line of the handler was changed ({executor})", ours),
        (Side("./kedge run of it unchanged", same),),
        Goal("times", 1.5),
        notes=("nothing is built, resolved or described again",),
    )


def _executors() -> Iterator[tuple[str, str]]:
    """Those that work here, each with a Python version that it has."""
    if executors.get("sandbox")().usable().ok:
        yield "sandbox", _VERSIONS[0]
    for kind in KINDS:
        engine = look(kind).engine
        if engine is None:
            continue
        for version in _VERSIONS:
            if images.find(engine, f"python:{version}-slim") is not None:
                yield kind, version
                break
