"""A program that makes and runs Kedge's tasks when it is told to, and programs without Kedge.

    python tasked.py SUBJECT

Each line that it is given is a number of tasks; the seconds that they took together are told. Started by
`tasks`, which stands beside it.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from telling import check, obey

from kedge import CommandRuntime, Number, PythonFunctionRuntime, Task

if TYPE_CHECKING:
    from kedge.run.core import Result

_LOOP = asyncio.Runner()


def add(first: float, second: float) -> float:
    """The sum."""
    return first + second


def in_process(count: int) -> float:
    """So many tasks, each made and run when the one before is over."""
    began = time.perf_counter()
    found = [_sum(number).run_sync().outputs["result"] for number in range(count)]
    seconds = time.perf_counter() - began
    check(found == _sums(count))
    return seconds


def again(count: int) -> float:
    """One task, made before, run so many times."""
    task = _sum(count)
    began = time.perf_counter()
    found = [task.run_sync().outputs["result"] for _ in range(count)]
    seconds = time.perf_counter() - began
    check(found == [count + 2] * count)
    return seconds


def in_process_gathered(count: int) -> float:
    """So many tasks made, then all of them awaited together."""
    began = time.perf_counter()
    found = [ended.outputs["result"] for ended in _LOOP.run(_gathered(_sum, count))]
    seconds = time.perf_counter() - began
    check(found == _sums(count))
    return seconds


def commands(executor: str, count: int) -> float:
    """So many tasks of a shell command, each made and run when the one before is over."""
    began = time.perf_counter()
    found = [_command(executor, number).run_sync().run.status for number in range(count)]
    seconds = time.perf_counter() - began
    check(found == ["succeeded"] * count)
    return seconds


def commands_gathered(executor: str, count: int) -> float:
    """So many of them made, then all of them awaited together."""
    began = time.perf_counter()
    ended = _LOOP.run(_gathered(partial(_command, executor), count))
    found = [one.run.status for one in ended]
    seconds = time.perf_counter() - began
    check(found == ["succeeded"] * count)
    return seconds


def processes(count: int) -> float:
    """The commands alone, one after the other."""
    began = time.perf_counter()
    found = [_process(number) for number in range(count)]
    seconds = time.perf_counter() - began
    check(found == [0] * count)
    return seconds


def processes_gathered(count: int) -> float:
    """The commands alone, as many at once as there are CPUs."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        found = list(threads.map(_process, range(count)))
    seconds = time.perf_counter() - began
    check(found == [0] * count)
    return seconds


def _sum(number: int) -> Task:
    inputs = [Number("first", number), Number("second", 2)]
    return Task(runtime=PythonFunctionRuntime(add), inputs=inputs)


def _sums(count: int) -> list[int]:
    return [number + 2 for number in range(count)]


def _command(executor: str, number: int) -> Task:
    return Task(runtime=CommandRuntime("true {n}"), inputs=[Number("n", number)], executor=executor)


async def _gathered(make: Callable[[int], Task], count: int) -> "list[Result]":
    return await asyncio.gather(*[make(number).run() for number in range(count)])


def _process(number: int) -> int:
    return subprocess.run(["/bin/sh", "-c", f"true {number}"], check=False).returncode


SUBJECTS: dict[str, Callable[[int], float]] = {
    "in-process": in_process,
    "again": again,
    "in-process-gathered": in_process_gathered,
    "process": partial(commands, "process"),
    "process-gathered": partial(commands_gathered, "process"),
    "sandbox": partial(commands, "sandbox"),
    "sandbox-gathered": partial(commands_gathered, "sandbox"),
    "alone": processes,
    "alone-gathered": processes_gathered,
}


if __name__ == "__main__":
    with _LOOP:
        obey(SUBJECTS)
