"""Programs at work that are told what to do by their standard input; `telling` is their side of it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from programs import ProgramFailedError
from surroundings import Surroundings

_BESIDE = os.path.dirname(os.path.abspath(__file__))


class Told:
    """A program that stands beside this file, at work. Ended at the end of a `with` block.

    Args:
        place: where everything happens.
        python: the path of the Python that it is run with.
        program: the file's name.
        words: its arguments, the first of which is what it does.
    """

    def __init__(self, place: Surroundings, python: str, program: str, *words: str) -> None:
        self._said = os.path.join(place.folder, f"said-{program}-{words[0]}")
        with open(self._said, "w") as said:
            self._process = subprocess.Popen(
                [python, os.path.join(_BESIDE, program), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.terminate()
        self._process.communicate()

    def asked(self, number: int) -> float:
        """Seconds that it took with that number.

        Raises:
            ProgramFailedError: it ended, or said something else.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
            return float(self._process.stdout.readline())
        except (BrokenPipeError, ValueError) as error:
            self._process.wait()
            with open(self._said, errors="replace") as said:
                raise ProgramFailedError(said.read().strip()) from error


@dataclass(frozen=True, slots=True)
class Doing:
    """A program that does so many of something: what that is called, and how many it is asked for at most."""

    what: str
    told: Told
    most: int = sys.maxsize
