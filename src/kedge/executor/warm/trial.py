"""Whether runs can be warm on this machine: one call of a function that does nothing, tried."""

import os
import re
from typing import Final

from kedge.contract import runner, workspace
from kedge.data import Data
from kedge.environment import folders
from kedge.executor.job import Job
from kedge.executor.warm import forked
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.pool import Pool
from kedge.home import folder
from kedge.ports import Ports
from kedge.task.payload import Forkable, Process, PythonRoot
from kedge.task.resources import Resources

KERNEL: Final = (5, 12)  # mount_setattr(2), with which a call's folders get into its slot

_RESOURCES: Final = Resources(cpu=1, memory_mb=256, timeout=20)  # seconds: a busy machine is slow
_INSTRUCTIONS: Final = {"handler": "os:get_exec_path", "outputs": {}, "open": True}
_HINT: Final = (
    "let Kedge mount in namespaces of its own: open_tree(2), move_mount(2), mount_setattr(2)"
)


class Obstacle(Data):
    """Why no call can be warm, as a clause, and what would lift that."""

    reason: str
    hint: str


def obstacle(python: str, visible: tuple[str, ...]) -> Obstacle | None:
    """What keeps calls from being warm here; None when nothing does.

    Args:
        python: an interpreter.
        visible: what of this machine that needs to see.
    """
    if _kernel() < KERNEL:
        wanted = ".".join(map(str, KERNEL))
        return Obstacle(f"this is Linux {os.uname().release}", f"use Linux {wanted} or newer")
    made = Forkable((python, "-I", "-B", runner.__file__), "os", _INSTRUCTIONS)
    payload = Process((python,), PythonRoot((*visible, runner.__file__)), forkable=made)
    with folders.temporary(folder(folders.TEMPORARIES)) as place, Pool() as pool:
        try:
            ended = forked.execute(pool, payload, _job(place))
        except NotWarmError as why:
            return Obstacle(str(why) or "a call was tried, and had no process", _HINT)
    return None if ended.exit_code == 0 else Obstacle("a call was tried, and failed", _HINT)


def _job(place: str) -> Job:
    """A call without inputs and without files, in a folder that is there."""
    snapshot = os.path.join(place, "package")
    for name in ("", "in", "out", "scratch"):
        folders.make_folder(os.path.join(snapshot, name))
    work = workspace.prepare(os.path.join(place, "workspace"), snapshot, Ports(), Ports(), {})
    return Job(os.urandom(6).hex(), "kedge", "trial", work, _RESOURCES)


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
