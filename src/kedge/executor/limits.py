"""What the kernel limits for each process, and what is done where there are no control groups."""

import math
import os
import resource
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kedge.executor import cgroups
from kedge.task.resources import Resources

if TYPE_CHECKING:
    from kedge.executor.job import Job

# Enough for any sane program; the old default of 1024 is not, for solvers that keep a file for each part.
_OPEN_FILES = 4096
# What a program may raise it to: some close every possible number at start.
_OPEN_FILES_MOST = 65536

# From this kernel on RLIMIT_NPROC is counted within a user namespace, not for a whole user.
_COUNTED_IN_NAMESPACE = (5, 14)

# In a user's sandbox bubblewrap's own processes are counted too.
_OWN_PROCESSES = 2

# Without a control group one process may reserve this much before memory is looked at again: numerical
# libraries reserve buffers for each thread that they never touch, so the limit itself would be too little.
_DATA_SHARE, _DATA_MORE_MB = 2, 512


def process_limits(
    resources: Resources,
    held_by_kernel: frozenset[str],
    *,
    own_account: bool,
    own_namespace: bool,
    others: int = 0,
) -> dict[int, tuple[int, int]]:
    """RLIMIT_* → (soft, hard) for a run: no core dumps, a sane number of open files, of processes.

    Args:
        resources: effective limits of the run.
        held_by_kernel: what a control group holds it to: "memory", "cpu", "pids".
        own_account: no other run's processes have the same user number.
        own_namespace: the run has a user namespace.
        others: how many processes of Kedge's the kernel counts with the run's, besides those of a sandbox.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _OPEN_FILES_MOST if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES_MOST)
    limits = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (min(_OPEN_FILES, most), most),
    }
    # Not besides a group, which counts what it refuses: whatever refuses first is what can be told.
    if "pids" not in held_by_kernel:
        if counts_processes(own_account=own_account, own_namespace=own_namespace):
            others += 0 if own_account else _OWN_PROCESSES
        else:
            others += _threads_of_account()  # counted with the run's own: as many as there are now
        limits[resource.RLIMIT_NPROC] = _both(resources.pids + others, resource.RLIMIT_NPROC)
    if "memory" not in held_by_kernel:
        number = (resources.memory_mb * _DATA_SHARE + _DATA_MORE_MB) << 20
        limits[resource.RLIMIT_DATA] = _both(number, resource.RLIMIT_DATA)
    return limits


def hold(process: int, job: "Job", group: cgroups.Group | None) -> None:
    """Bring a process that has not begun yet, and all it will start, under its run's limits."""
    if group is not None:
        group.join(process)
    if (chosen := processors(job.resources, job.run_id, group)) is not None:
        os.sched_setaffinity(process, chosen)


@contextmanager
def kept_to(chosen: tuple[int, ...] | None) -> Iterator[None]:
    """A block in which this thread, and what it starts, is kept to these processors."""
    usable = os.sched_getaffinity(0)
    if chosen is not None:
        os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        if chosen is not None:
            os.sched_setaffinity(0, usable)


def processors(
    resources: Resources, run_id: str, group: cgroups.Group | None
) -> tuple[int, ...] | None:
    """The processors that a run is kept to where no control group limits its time; None for all.

    Different runs get different ones, by their ids.
    """
    if group is not None and "cpu" in group.enforces:
        return None
    usable = sorted(os.sched_getaffinity(0))
    count = math.ceil(resources.cpu)
    if count >= len(usable):
        return None
    first = zlib.crc32(run_id.encode()) % len(usable)
    return tuple((usable * 2)[first : first + count])


def missing(resources: Resources, *, own_account: bool, own_namespace: bool) -> list[str]:
    """What of `resources` the kernel does not hold a run to here, a sentence each."""
    found = cgroups.available()
    counted = counts_processes(own_account=own_account, own_namespace=own_namespace)
    return not_held(resources, found.controllers, found.reason, counted=counted)


def not_held(
    resources: Resources, controllers: Collection[str], reason: str, *, counted: bool
) -> list[str]:
    """The same where these control groups are to be had, and not more for this `reason`.

    `counted` says whether RLIMIT_NPROC counts the processes of one run alone.
    """
    why = f" ({reason})" if reason else ""
    said = []
    if "memory" not in controllers:
        said.append(
            f"memory is looked at from outside and the run killed above its {resources.memory_mb} MB;"
            f" the kernel does not hold it to them{why}"
        )
    if "cpu" not in controllers and resources.cpu != int(resources.cpu):
        said.append(
            f"CPU time is limited to whole processors, {math.ceil(resources.cpu)} in place of"
            f" {resources.cpu:g}{why}"
        )
    if "pids" not in controllers and not counted:
        said.append(
            f"processes are counted together with all others of this account: {resources.pids} more than"
            f" there are now{why}"
        )
    return said


def counts_processes(*, own_account: bool, own_namespace: bool) -> bool:
    """Whether RLIMIT_NPROC would count the processes of one run alone."""
    return own_account or (own_namespace and _kernel() >= _COUNTED_IN_NAMESPACE)


def _threads_of_account() -> int:
    own, found = os.geteuid(), 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == own:
                found += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return found


def _both(number: int, limit: int) -> tuple[int, int]:
    highest = resource.getrlimit(limit)[1]
    if highest != resource.RLIM_INFINITY:
        number = min(number, highest)
    return number, number


def _kernel() -> tuple[int, ...]:
    digits = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(part) for part in digits if part.isdigit())
