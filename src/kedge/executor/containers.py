"""The containers of this home: what they are called, which are left, and removing them."""

import os
import time
from contextlib import suppress
from typing import Final

from kedge.engine.look import Engine
from kedge.engine.programs import call, program
from kedge.errors import Unavailable
from kedge.home import home

LABEL_HOME: Final = "kedge.home"
LABEL_RUN: Final = "kedge.run"

_NAME: Final = "kedge-"
_LATE_S: Final = (0.3, 0.7)  # waits between the looks for a container that may still come


def remove_container(kind: str, run_id: str) -> None:
    """Remove the container of a run whose holder is gone, whatever it does; none there is fine."""
    path = program(kind)
    if path is None:
        return
    try:
        for wait_s in (0.0, *_LATE_S):  # it may just be making what its dead caller asked for
            time.sleep(wait_s)
            if kind == "podman":  # its `rm` lets what ignores SIGTERM go on for ten seconds
                call(path, "kill", name_of(run_id))
            done = call(path, "rm", "--force", "--volumes", name_of(run_id))
            if done.code == 0 and done.out.strip():
                return
    except Unavailable:
        note_left(kind, run_id)


def note_left(kind: str, run_id: str) -> None:
    """Note a container that could not be removed, since its engine was away or busy."""
    with suppress(OSError), open(_noted(kind), "a") as file:
        file.write(f"{run_id}\n")


def remove_noted(kind: str) -> None:
    """Remove the containers that could not be removed when their runs ended."""
    path = _noted(kind)
    try:
        with open(path) as file:
            noted = file.read().split()
        os.unlink(path)
    except OSError:
        return  # there is none, nearly always
    for run_id in noted:
        remove_container(kind, run_id)


def _noted(kind: str) -> str:
    return os.path.join(home(), "engines", f"left-{kind}")


def containers_left(engine: Engine) -> list[str]:
    """The runs that have a container in an engine, those of this home.

    Raises:
        Unavailable: it does not answer.
    """
    filtered = ("--filter", f"label={LABEL_HOME}={home()}")
    done = call(engine.path, "ps", "--all", "--format", "{{.Names}}", *filtered)
    return [name.removeprefix(_NAME) for name in done.out.split() if name.startswith(_NAME)]


def name_of(run_id: str) -> str:
    """The name of a run's container."""
    return f"{_NAME}{run_id}"
