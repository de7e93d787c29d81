"""Which box a call wants: its key, and all that the keeper is to know to make one."""

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kedge import digest
from kedge.contract.variables import THREAD_POOLS
from kedge.data import asdict
from kedge.executor import identity, plan, reach, seccomp
from kedge.executor.bubblewrap import USER_ID
from kedge.executor.program import check_program
from kedge.executor.variables import program_variables
from kedge.executor.warm.places import COVERED, LINE
from kedge.task.payload import Forkable, PythonRoot, Root

if TYPE_CHECKING:
    from kedge.executor.job import Job
    from kedge.task.payload import Process

LIKE_A_SHELL: Final = {"PWD": plan.WORKSPACE}  # which bubblewrap sets too

_ZYGOTE: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")

# Variables that differ from call to call: a module that asks for one while it is imported runs cold.
_OF_A_CALL: Final = ("KEDGE_RUN_ID", "KEDGE_FUNCTION")

_KNOWN: Final = 64  # keys that are not put together again
_STATUS_BYTES: Final = 256  # of what the kernel says of a process: the mask follows its name


def key(payload: "Process", job: "Job") -> str:
    """What two calls have in common that can be forked from one process."""
    forkable, resources = payload.forkable, job.resources
    assert forkable is not None
    own: tuple[Any, ...]
    if isinstance(forkable, Forkable):
        own = forkable.runner, forkable.module, tuple(payload.env.items()), job.package
    else:  # nobody looks at what it has imported, when it is changed
        shown = (*job.paths, *_visible(payload))
        own = tuple(map(reach.identity, (*plan.system_paths(), *shown))), _names(job)
    return _digest(
        payload.root,
        *(*own, job.workspace.package, job.network, job.paths),
        *(resources.cpu, resources.memory_mb, resources.pids, _mask()),
    )


@lru_cache(_KNOWN)
def _digest(root: Root, *more: Any) -> str:
    return digest.of_json([type(root).__name__, asdict(root), *more])


def mounts(payload: "Process", job: "Job", *more: str) -> plan.MountPlan:
    """What all calls of a key see, and these paths.

    Raises:
        UsageError, Unavailable: a path that cannot be shown.
    """
    return plan.make_box(
        payload.root,
        job.workspace.package,
        uid=USER_ID,
        gid=USER_ID,
        network=job.network,
        paths=(*job.paths, *more),
    )


def box(payload: "Process", job: "Job", shown: plan.MountPlan) -> dict[str, Any]:
    """All that the keeper is to know for a box. `shown` is what its calls see.

    Raises:
        StartFailed: its interpreter, or a variable, cannot be.
    """
    forkable = payload.forkable
    assert forkable is not None
    common = {
        "snapshot": job.workspace.package,
        "uid": USER_ID,
        "mask": _mask(),
        "network": job.network,
        "resources": asdict(job.resources),
    }
    if not isinstance(forkable, Forkable):
        return common | {
            "name": "programs",
            "argv": (),
            "variables": {},
            "entries": plan.as_data(shown.entries),
            "shown": shown.below(*COVERED),  # in a call
        }
    found = program_variables(payload, job, plan.WORKSPACE)
    variables = {name: str(value) for name, value in found.items()} | LIKE_A_SHELL
    check_program(payload.argv, variables, shown.folder, shown.locate, by_others=identity.needed())
    for name in _OF_A_CALL:
        del variables[name]
    threads = {name: variables[name] for name in THREAD_POOLS}
    variables |= dict.fromkeys(THREAD_POOLS, "1")  # a process that is to be forked has one thread
    seen = mounts(payload, job, _ZYGOTE)
    instructions = {
        "program": _ZYGOTE,
        "line": LINE,
        "module": forkable.module,
        "filter": seccomp.entered_filter().hex(),
        "threads": threads,
        "withheld": _OF_A_CALL,
    }
    return common | {
        "name": f"{job.package} {forkable.module}",
        "argv": (*forkable.runner, "zygote", json.dumps(instructions)),
        "variables": variables,
        "entries": plan.as_data(seen.entries),
        "shown": shown.below(*COVERED),  # in a call
        "covered": seen.below(*COVERED),
    }


def _visible(payload: "Process") -> tuple[str, ...]:
    return payload.root.visible if isinstance(payload.root, PythonRoot) else ()


def _names(job: "Job") -> tuple[int, ...]:
    """When the files last changed that a box with the machine's network has copies of."""
    shown = [path for path in plan.NAMES if job.network and os.path.exists(path)]
    return tuple(os.stat(path).st_mtime_ns for path in shown)


def _mask() -> int:
    """The umask of this process. To ask umask(2) would change it, for all threads."""
    file = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        said = os.read(file, _STATUS_BYTES)
    finally:
        os.close(file)
    return int(said.partition(b"\nUmask:")[2].split(maxsplit=1)[0], 8)
