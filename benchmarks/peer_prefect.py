"""A program that does with Prefect what `tasked` does with Kedge; it runs where Prefect is installed.

    python peer_prefect.py SUBJECT FOLDER

FOLDER is for all that Prefect keeps. Its server is the one that it starts by itself, with the first flow, and
ends with the program.
"""

import os
import subprocess
import sys
import time
from typing import Any

from telling import check, obey

for name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[name]
os.environ |= {
    "PREFECT_HOME": sys.argv[2],
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

from prefect import flow, task  # noqa: E402  # it reads them when it is imported


@task
def add(first: float, second: float) -> float:
    """The sum."""
    return first + second


@task
def run(number: int) -> int:
    """A command's exit code."""
    return subprocess.run(["/bin/sh", "-c", f"true {number}"]).returncode


@flow
def added(count: int) -> list[Any]:
    """Sums, one after the other."""
    return [add(number, 2) for number in range(count)]


@flow
def added_at_once(count: int) -> list[Any]:
    """Sums, as many at once as Prefect likes."""
    return [going.result() for going in [add.submit(number, 2) for number in range(count)]]


@flow
def ran(count: int) -> list[Any]:
    """Commands, one after the other."""
    return [run(number) for number in range(count)]


@flow
def ran_at_once(count: int) -> list[Any]:
    """Commands, as many at once as Prefect likes."""
    return [going.result() for going in [run.submit(number) for number in range(count)]]


def functions(called: Any, count: int) -> float:
    """So many functions called."""
    return _timed(called, count, [number + 2 for number in range(count)])


def commands(called: Any, count: int) -> float:
    """So many commands run."""
    return _timed(called, count, [0] * count)


def _timed(called: Any, count: int, wanted: list[int]) -> float:
    began = time.perf_counter()
    found = called(count)
    seconds = time.perf_counter() - began
    check(found == wanted)
    return seconds


if __name__ == "__main__":
    obey(
        {
            "functions": lambda count: functions(added, count),
            "functions-gathered": lambda count: functions(added_at_once, count),
            "commands": lambda count: commands(ran, count),
            "commands-gathered": lambda count: commands(ran_at_once, count),
        }
    )
