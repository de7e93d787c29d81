"""What the figures were measured on: they mean little without it."""

import os
import platform
import subprocess
from typing import Any

from surroundings import ROOT, Surroundings

from kedge.version import __version__

_BUSY = 0.5  # of all cores, in work of others: from here on figures are too high


def described(place: Surroundings) -> dict[str, Any]:
    """The machine, the interpreters and Kedge, as plain data."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "account": "root" if os.geteuid() == 0 else "an ordinary user",
        "python": place.version,
        "python_in_process": platform.python_version(),
        "kedge": __version__,
        "commit": _commit(),
        "load": load(),
    }


def load() -> float:
    """How many processes wanted a core, on average, in the last minute."""
    return os.getloadavg()[0]


def is_busy(found: float) -> bool:
    """Whether a load means that others disturb what is measured."""
    return found > _BUSY * len(os.sched_getaffinity(0))


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            named = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        named = []
    return named[0] if named else platform.machine()


def _commit() -> str | None:
    """The commit of the checkout, with `+` when files differ from it; None when it is none."""
    words = ["git", "-C", ROOT, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
