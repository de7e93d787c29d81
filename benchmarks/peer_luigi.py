"""A program that does with Luigi what `tasked` does with Kedge; it runs where Luigi is installed.

    python peer_luigi.py SUBJECT

A task of Luigi is done when its output is there, and gives nothing back. Here it is done when the process
that ran it remembers that: no file is looked at or written.
"""

import os
import time
from collections.abc import Callable

import luigi
from luigi.contrib.external_program import ExternalProgramTask
from luigi.task_register import Register
from telling import check, obey

_DONE: dict[int, int] = {}


class Add(luigi.Task):
    """A sum."""

    first = luigi.IntParameter()
    second = luigi.IntParameter()

    def complete(self) -> bool:
        """Whether it ran."""
        return self.first in _DONE

    def run(self) -> None:
        """What Luigi calls."""
        _DONE[self.first] = self.first + self.second


class Command(ExternalProgramTask):
    """A command."""

    number = luigi.IntParameter()

    def complete(self) -> bool:
        """Whether it ran."""
        return self.number in _DONE

    def program_args(self) -> list[str]:
        """The command."""
        return ["/bin/sh", "-c", f"true {self.number}"]

    def run(self) -> None:
        """What Luigi calls."""
        super().run()
        _DONE[self.number] = 0


def functions(count: int) -> float:
    """So many functions called."""
    seconds = _built(lambda: [Add(number, 2) for number in range(count)], 1)
    check({number: number + 2 for number in range(count)} == _DONE)
    return seconds


def commands(workers: int, count: int) -> float:
    """So many commands run."""
    return _built(lambda: [Command(number=number) for number in range(count)], workers)


def _built(make: Callable[[], list[luigi.Task]], workers: int) -> float:
    _DONE.clear()
    Register.clear_instance_cache()  # it would give back the tasks of before
    began = time.perf_counter()
    went_well = luigi.build(make(), workers=workers, local_scheduler=True, log_level="WARNING")
    seconds = time.perf_counter() - began
    check(went_well)
    return seconds


if __name__ == "__main__":
    obey(
        {
            "functions": functions,
            "commands": lambda count: commands(1, count),
            "commands-gathered": lambda count: commands(len(os.sched_getaffinity(0)), count),
        }
    )
