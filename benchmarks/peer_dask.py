"""A program that does with Dask what `tasked` does with Kedge; it runs where Dask is installed.

python peer_dask.py SUBJECT
"""

import subprocess
import time

import dask
from telling import check, obey


def add(first: float, second: float) -> float:
    """The sum."""
    return first + second


def functions(scheduler: str, count: int) -> float:
    """So many functions called."""
    began = time.perf_counter()
    found = dask.compute(
        *[dask.delayed(add)(number, 2) for number in range(count)], scheduler=scheduler
    )
    seconds = time.perf_counter() - began
    check(list(found) == [number + 2 for number in range(count)])
    return seconds


def commands(scheduler: str, count: int) -> float:
    """So many commands run."""
    began = time.perf_counter()
    ended = dask.compute(
        *[
            dask.delayed(subprocess.run)(["/bin/sh", "-c", f"true {number}"])
            for number in range(count)
        ],
        scheduler=scheduler,
    )
    seconds = time.perf_counter() - began
    check([one.returncode for one in ended] == [0] * count)
    return seconds


if __name__ == "__main__":
    obey(
        {
            "functions": lambda count: functions("synchronous", count),
            "functions-gathered": lambda count: functions("threads", count),
            "commands": lambda count: commands("synchronous", count),
            "commands-gathered": lambda count: commands("threads", count),
        }
    )
