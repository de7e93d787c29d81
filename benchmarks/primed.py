"""What the primer costs in a small project: its start, where nothing is to be done, and the first one."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

from checkouts import DEPENDENCY, STATES, checkout, script, variables
from figure import Check, Figure, Goal, LeftOutError, Side
from peers import last_line
from programs import ProgramFailedError, timed
from protoprimed import BUILDERS, protoprimed
from rounds import Sample, alternate
from surroundings import Surroundings

from kedge.contract.ownership import remove
from kedge.environment import uv

_CALL = "import sys; from app import main; sys.exit(main())"
_CACHED = (
    f"one dependency, {DEPENDENCY}, by the same lock; all is cached, nothing is asked of a network"
)


def app(place: Surroundings) -> Iterator[Figure]:
    """The start of a program that does nothing, its environment ready."""
    known = variables(place)
    ours = checkout(place, "primed-app", known)
    lacking = []
    with ExitStack() as after:
        words = {
            "./app of a main that returns": (ours.app,),
            "the environment's python calls the same main": (ours.python, "-I", "-c", _CALL),
            "uv run --script of the same": after.enter_context(script(place, known)),
        }
        try:
            peer = protoprimed(place, known)
            words[f"protoprimer {peer.version}: a start_app script of the same"] = (peer.app,)
        except ProgramFailedError as error:
            lacking.append(f"without protoprimer: {last_line(error)}")
        mine, bare, by_uv, *others = _sides(place, 25, words)
    yield Figure(
        "primer-app",
        mine,
        (bare, by_uv, *others),
        Goal("above", 0.025),
        checks=(
            _faster(mine, by_uv, 1, "uv run --script"),
            *(_faster(mine, other, 4, "protoprimer") for other in others),
        ),
        notes=(_CACHED, *lacking),
    )


def boot(place: Surroundings) -> Iterator[Figure]:
    """The same where states are to be reached, and all of them are."""
    known = variables(place)
    ours = checkout(place, "primed-boot", known)
    timed((ours.boot,), known, os.path.join(place.folder, "said"))
    words = {
        f"./prime, which has nothing to do for {STATES} states": (ours.boot,),
        "the environment's python alone": (ours.python, "-I", "-c", "pass"),
        "./app of the same project": (ours.app,),
    }
    lacking = []
    for built_by in BUILDERS:
        try:
            peer = protoprimed(place, known, built_by)
            what = f"protoprimer {peer.version}: a boot_env script of the same, built by {built_by}"
            words[what] = (peer.boot,)
        except ProgramFailedError as error:
            lacking.append(f"without protoprimer: {built_by}: {last_line(error)}")
    mine, bare, start, *others = _sides(place, 9, words)
    yield Figure(
        "primer-boot",
        mine,
        (bare, start, *others),
        checks=tuple(
            _faster(mine, other, 20, other.what.replace(": a boot_env script of the same", ""))
            for other in others
        ),
        notes=(_CACHED, *lacking),
    )


def first(place: Surroundings) -> Iterator[Figure]:
    """The same start in a bare checkout: an interpreter is found, and an environment made."""
    known = variables(place)
    ours = checkout(place, "primed-first", known)
    said = os.path.join(place.folder, "said")
    base = os.path.realpath(place.python)
    venv = os.path.join(place.folder, "by-hand")
    inside = f"{venv}/bin/python"
    offline = {**known, "UV_OFFLINE": "1"}
    wheels = place.new_folder("wheels")
    locked = ("--require-hashes", "-r", ours.lock)
    local = ("--no-index", "--find-links", wheels)
    pip = (inside, "-I", "-m", "pip")
    make = (base, "-I", "-m", "venv", venv)
    common = ("--no-config", "--python")
    by_uv = (
        (uv.binary(), "venv", *common, base, venv),
        (uv.binary(), "pip", "install", *common, inside, "--compile-bytecode", *locked),
    )

    def bootstrapped() -> float:
        ours.forget()
        return timed((ours.app,), offline, said)

    def by_hand(*commands: tuple[str, ...]) -> Sample:
        def once() -> float:
            if os.path.exists(venv):
                remove(venv)
            return sum(timed(words, offline, said) for words in commands)

        return once

    try:
        by_hand(make, (*pip, "download", "--no-deps", "--dest", wheels, *locked))()
    except ProgramFailedError as error:
        reason = f"it needs venv, and {DEPENDENCY} from a package index: {last_line(error)}"
        raise LeftOutError(reason) from error
    mine, pips, uvs = alternate(
        place.rounds(9),
        bootstrapped,
        by_hand(make, (*pip, "install", *local, *locked)),
        by_hand(*by_uv),
    )
    side = Side("the first ./app in a bare checkout", mine)
    by_pip = Side("python -m venv and pip install -r of its lock, the wheel at hand", pips)
    yield Figure(
        "primer-first",
        side,
        (by_pip, Side("uv venv and uv pip install --compile-bytecode -r", uvs)),
        checks=(_faster(side, by_pip, 3, "venv and pip"),),
        notes=(_CACHED,),
    )


def _sides(place: Surroundings, rounds: int, words: dict[str, tuple[str, ...]]) -> list[Side]:
    """What was measured of each program, by what it is; none of them may ask a network."""
    offline = {**variables(place), "UV_OFFLINE": "1"}
    said = os.path.join(place.folder, "said")
    taken = alternate(
        place.rounds(rounds),
        *(lambda argv=argv: timed(argv, offline, said) for argv in words.values()),
        warm=2,
    )
    return [Side(what, samples) for what, samples in zip(words, taken, strict=True)]


def _faster(ours: Side, other: Side, least: float, than: str) -> Check:
    faster = other.median / ours.median
    return Check(
        f"{faster:.1f} times as fast as {than} (goal: at least {least:g})", faster >= least
    )
