"""Limits that the kernel keeps for each process, without control groups."""

import os
import resource

from kedge.task.resources import Resources

# Enough for any sane program; the old default of 1024 is not, for solvers that keep a file for each part.
_OPEN_FILES = 4096
_OPEN_FILES_MOST = (
    65536  # what a program may raise it to: some close every possible number at start
)

# From this kernel on RLIMIT_NPROC is counted within a user namespace, not for a whole user.
_COUNTED_IN_NAMESPACE = (5, 14)

# In a user's sandbox bubblewrap's own processes are counted too.
_OWN_PROCESSES = 2


def process_limits(
    resources: Resources, *, own_account: bool, own_namespace: bool
) -> dict[int, tuple[int, int]]:
    """RLIMIT_* → (soft, hard) for a run: no core dumps, a sane number of open files, of processes.

    Args:
        resources: effective limits of the run.
        own_account: no other run's processes have the same user number.
        own_namespace: the run has a user namespace.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _OPEN_FILES_MOST if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES_MOST)
    limits = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (min(_OPEN_FILES, most), most),
    }
    if counts_processes(own_account=own_account, own_namespace=own_namespace):
        number = resources.pids + (0 if own_account else _OWN_PROCESSES)
        highest = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        if highest != resource.RLIM_INFINITY:
            number = min(number, highest)
        limits[resource.RLIMIT_NPROC] = (number, number)
    return limits


def counts_processes(*, own_account: bool, own_namespace: bool) -> bool:
    """Whether RLIMIT_NPROC would count the processes of one run alone."""
    return own_account or (own_namespace and _kernel() >= _COUNTED_IN_NAMESPACE)


def _kernel() -> tuple[int, ...]:
    digits = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(part) for part in digits if part.isdigit())
