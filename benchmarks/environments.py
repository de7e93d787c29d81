"""What it costs to have an environment: numpy and scipy, from the lock of examples/truss."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from figure import Check, Figure, Goal, LeftOutError, Side
from programs import timed
from rounds import alternate
from surroundings import ROOT, Surroundings

from kedge import home, settings
from kedge.contract.ownership import remove
from kedge.environment import interpreters, lock, python, uv
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock
from kedge.environment.python import PythonEnvironment
from kedge.environment.requirements import Requirements
from kedge.errors import KedgeError
from kedge.package.source import open_package
from kedge.run.declared import declare

_TRUSS = os.path.join(ROOT, "examples", "truss")
_CACHED = "from the lock of examples/truss, everything in uv's cache"


@dataclass(frozen=True, slots=True)
class _Truss:
    """The declaration of examples/truss, its lock, and a Python of its version."""

    requirements: Requirements
    interpreter: Interpreter
    locked: Lock


def built(place: Surroundings) -> Iterator[Figure]:
    """An environment whose wheels were compiled before, beside uv's own install."""
    truss = _ready()

    def ours() -> float:
        _forget(truss)
        began = time.perf_counter()
        made = _ensured(truss)
        taken = time.perf_counter() - began
        if not (made.created and made.compiled):
            raise LeftOutError("the environment was not built from what was compiled before")
        return taken

    peer = _Uv(place, truss)
    mine, installs = alternate(place.rounds(9), ours, peer.install)
    venvs = peer.venvs[-len(installs) :]
    yield Figure(
        "environment",
        Side("build, wheels compiled before", mine),
        (
            Side(
                "uv venv and uv pip install",
                tuple(one + other for one, other in zip(venvs, installs, strict=True)),
            ),
            Side("uv pip install alone, into a venv made before", installs),
        ),
        Goal("times", 1.3),
        notes=(_CACHED, "both from nothing; uv's install is not compiled, Kedge's is"),
    )


def compiled(place: Surroundings) -> Iterator[Figure]:
    """An environment whose wheels were never compiled, beside uv with --compile-bytecode."""
    truss = _ready()

    def ours() -> float:
        _forget(truss, compiled_files=True)
        began = time.perf_counter()
        _ensured(truss, wait=True)
        return time.perf_counter() - began

    peer = _Uv(place, truss, "--compile-bytecode")
    mine, installs = alternate(place.rounds(3), ours, peer.install, warm=0)
    _forget(truss, compiled_files=True)
    began = time.perf_counter()
    usable = _ensured(truss)
    waited = time.perf_counter() - began
    _ensured(truss, wait=True)  # until what compiles in the background is done
    yield Figure(
        "compile",
        Side("build and compile, the first time", mine),
        (Side("uv pip install --compile-bytecode, into a venv made before", installs),),
        Goal("times", 1.3),
        checks=(
            Check(
                f"the first run does not wait for compiling: usable after {waited:.2f} s",
                not usable.compiled,
            ),
        ),
        notes=(_CACHED,),
    )


def found(place: Surroundings) -> Iterator[Figure]:
    """A ready environment found again: interpreter, lock and environment, as `prepare` does it."""
    truss = _ready()

    def ours() -> float:
        began = time.perf_counter()
        _ensured(_looked_up(truss.requirements))
        return time.perf_counter() - began

    def environment_alone() -> float:
        began = time.perf_counter()
        _ensured(truss)
        return time.perf_counter() - began

    peer = _Uv(place, truss)
    peer.install()
    mine, alone, nothing_to_do = alternate(
        place.rounds(50), ours, environment_alone, peer.install_again
    )
    yield Figure(
        "found",
        Side("interpreter, lock and environment found again, in process", mine),
        (
            Side("uv pip install when all is installed, a process", nothing_to_do),
            Side("Kedge: the environment alone, in process", alone),
        ),
        Goal("in all", 0.002),
    )


class _Uv:
    """uv by itself, with the variables, the cache and the options with which Kedge calls it."""

    def __init__(self, place: Surroundings, truss: _Truss, *options: str) -> None:
        self.said = os.path.join(place.folder, "said")
        self.program = uv.binary()
        self.variables = uv.variables()
        self.venv = os.path.join(place.folder, "uv-environment")
        self.python = truss.interpreter.path
        self.venvs: list[float] = []  # seconds that each `uv venv` took
        self.words = [
            *(self.program, "pip", "install", "--python", f"{self.venv}/bin/python", "--offline"),
            *("--require-hashes", "--no-deps", "--link-mode", "hardlink", "--only-binary", ":all:"),
            *("--no-config", "--no-progress", "-r", truss.locked.path or "", *options),
        ]

    def install(self) -> float:
        """Seconds for the install into a new virtual environment, without those for making that."""
        if os.path.exists(self.venv):
            remove(self.venv)
        make = [self.program, "venv", "--no-config", "--python", self.python, self.venv]
        self.venvs.append(timed(make, self.variables, self.said))
        return self.install_again()

    def install_again(self) -> float:
        """Seconds for the install into what is there."""
        return timed(self.words, self.variables, self.said)


def _ready() -> _Truss:
    """With the environment built once, so that uv's cache and the compiled files are there."""
    try:
        declared, _ = declare(open_package(_TRUSS))
        if declared.requirements is None:
            raise LeftOutError("examples/truss is no Python package any more")
        truss = _looked_up(declared.requirements)
        _ensured(truss, wait=True)
    except KedgeError as error:
        raise LeftOutError(
            "it needs the Python that the lock of examples/truss is for, and a package index or"
            f" those packages in uv's cache: {error.message}"
        ) from error
    return truss


def _looked_up(requirements: Requirements) -> _Truss:
    interpreter = interpreters.find(
        requirements.python, paths=tuple(settings.get("python.paths")), download=False
    )
    return _Truss(
        requirements,
        interpreter,
        lock.ensure_lock(requirements, _TRUSS, "locked", interpreter=interpreter),
    )


def _ensured(truss: _Truss, *, wait: bool = False) -> PythonEnvironment:
    return python.ensure(truss.interpreter, truss.locked, compile="wait" if wait else "background")


def _forget(truss: _Truss, *, compiled_files: bool = False) -> None:
    """Take the environment away, and what was compiled for it."""
    digest = python.environment_digest(truss.interpreter, truss.locked)
    for name in (f"environments/{digest}", *(["bytecode"] if compiled_files else [])):
        path = os.path.join(home.home(), name)
        if os.path.exists(path):
            remove(path)
