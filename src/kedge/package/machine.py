"""What this machine has for a run: CPUs that may be used, memory that may be had."""

import os
import time
from functools import lru_cache
from typing import Final

from kedge.data import Data

_CGROUPS: Final = "/sys/fs/cgroup"
_FALLBACK_MEMORY_MB: Final = 1024  # where no system file says: small enough to be there
# cgroup v1 says "no limit" by a number near 2^63.
_UNLIMITED: Final = 1 << 60


class Machine(Data):
    """CPUs and MiB of memory that a run could have at most."""

    cpu: float
    memory_mb: int


def this_machine() -> Machine:
    """The machine Kedge runs on, as far as this process may use it: its affinity, its cgroup's memory.

    As it was within the last second: to look takes as long as much else of a run.
    """
    return _machine(int(time.monotonic()))


@lru_cache(1)
def _machine(_second: int) -> Machine:
    return Machine(float(_cpus()), _memory_mb())


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _memory_mb() -> int:
    limits = [limit for limit in (_total(), *_cgroup_limits()) if limit]
    return max(1, min(limits) >> 20) if limits else _FALLBACK_MEMORY_MB


def _total() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) << 10
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _cgroup_limits() -> list[int]:
    """The limits of this process's cgroup and all above it, v2 and v1."""
    limits: list[int] = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = f"{_CGROUPS}/memory", "memory.limit_in_bytes"
        else:
            continue
        while True:
            text = _read(f"{root}{path.rstrip('/')}/{name}").strip()
            if text.isdigit() and int(text) < _UNLIMITED:
                limits.append(int(text))
            if path in ("/", ""):
                break
            path = os.path.dirname(path)
    return limits


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
