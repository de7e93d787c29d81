"""Programs that are started and timed, all of them in the same way."""

import os
import time
from collections.abc import Mapping, Sequence


class ProgramFailedError(Exception):
    """A program that is measured ended badly: its command and what it wrote."""


def timed(argv: Sequence[str], variables: Mapping[str, str], said: str) -> float:
    """Seconds from the start of a program to its end.

    Args:
        argv: the program's absolute path and its arguments.
        variables: all of its environment.
        said: a file for what it writes to standard error; standard output goes nowhere.

    Raises:
        ProgramFailedError: it did not exit with 0.
    """
    new = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, said, new, 0o600),
    ]
    began = time.perf_counter()
    process = os.posix_spawn(argv[0], argv, variables, file_actions=actions)
    _, status = os.waitpid(process, 0)
    taken = time.perf_counter() - began
    if status:
        with open(said, errors="replace") as file:
            raise ProgramFailedError(f"{' '.join(argv)}\n{file.read().strip()}")
    return taken
