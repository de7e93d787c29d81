"""Workflow tools that tasks stand beside, each in an environment of its own that uv makes for it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from programs import ProgramFailedError, timed
from surroundings import Surroundings
from told import Doing, Told

from kedge.environment import uv

_LONGEST = 200  # characters of what a program said last


@dataclass(frozen=True, slots=True)
class Peer:
    """A workflow tool.

    Args:
        name: of the distribution.
        needed: what uv is to install.
        most: how many tasks it is given at once, for more would take too long.
        one_by_one: how it does them one after the other.
        at_once: how it does several at once.
        serves: whether it has a server, which goes on between its turns.
        lacks: subjects that it does not do, and whether several at once.
    """

    name: str
    needed: tuple[str, ...]
    most: int
    one_by_one: str
    at_once: str
    serves: bool = False
    lacks: tuple[tuple[str, bool], ...] = ()


PEERS = (
    Peer("dask", ("dask",), 10_000, "delayed, synchronous", "delayed, threads"),
    Peer(
        "luigi",
        ("luigi",),
        1_000,
        "local scheduler, one worker",
        "local scheduler, a worker for each CPU",
        lacks=(("functions", True),),  # its workers are processes, and nothing comes back from them
    ),
    Peer(
        "prefect",
        ("prefect", "fastapi<0.140"),  # newer ones refuse an argument that its server gives
        100,
        "calls in a flow, its own server",
        ".submit in a flow, its own server",
        serves=True,
    ),
)


@contextmanager
def at_work(
    place: Surroundings, subject: str, *, gathered: bool, serving: bool
) -> Iterator[tuple[list[Doing], list[str]]]:
    """The peers that do a subject, each tried once, and a line for each that cannot.

    Args:
        place: where everything happens.
        subject: `functions` or `commands`.
        gathered: several at once, as each of them does that.
        serving: those that have a server, or those that have none.
    """
    working, lacking = [], []
    with ExitStack() as after:
        for peer in PEERS:
            how = peer.at_once if gathered else peer.one_by_one
            if peer.serves != serving or (subject, gathered) in peer.lacks:
                continue
            try:
                python, version = _installed(place, peer)
                folder = os.path.join(place.folder, f"kept-{peer.name}")
                told = Told(
                    place,
                    python,
                    f"peer_{peer.name}.py",
                    f"{subject}-gathered" if gathered else subject,
                    folder,
                )
                after.enter_context(told).asked(1)
            except ProgramFailedError as error:
                lacking.append(f"without {peer.name.title()}: {last_line(error)}")
            else:
                name = f"{peer.name.title()} {version}"
                working.append(Doing(f"{name}, {how}", told, peer.most))
        yield working, lacking


def _installed(place: Surroundings, peer: Peer) -> tuple[str, str]:
    """The Python of an environment with a peer, and the peer's version.

    To show that everything works nothing is fetched: what uv's cache does not have is left out.
    """
    folder = os.path.join(place.folder, f"with-{peer.name}")
    python = os.path.join(folder, "bin", "python")
    said = os.path.join(place.folder, f"said-{peer.name}")
    common = ("--no-config", "--no-progress", "--color", "never", "--python")
    install = (uv.binary(), "pip", "install", *common, python, "--only-binary", ":all:")
    variables = uv.variables()
    if not os.path.exists(folder):
        timed(
            (uv.binary(), "venv", *common, os.path.realpath(place.python), folder), variables, said
        )
    timed((*install, *(["--offline"] if place.quick else []), *peer.needed), variables, said)
    words = (python, "-I", "-c", f"import importlib.metadata as m; print(m.version({peer.name!r}))")
    return python, subprocess.run(
        words, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def last_line(error: ProgramFailedError) -> str:
    """The last line of what a program said that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "it ended and said nothing"
