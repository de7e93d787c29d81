"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere.

Everything goes to standard error. Without a terminal a line is written for each thing that happens, and
for progress at most one a second.
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from kedge.cli.report import safe_stderr, say
from kedge.cli.text import indented, one_line, printable

_PLAIN_PROGRESS_S: Final = 1.0  # between two progress lines in a log file
_QUIET, _NORMAL, _VERBOSE = -1, 0, 1


class Display:
    """Shows preparing, output, progress and notices, as much as was asked for.

    Args:
        verbosity: -1 for errors alone, 0, or 1 for every step.
        output: whether to show what the code prints.

    Used as a context manager: leaving it takes the live line away.
    """

    def __init__(self, verbosity: int = _NORMAL, *, output: bool = True) -> None:
        self.verbosity = verbosity
        self.output = output and verbosity > _QUIET
        self._live = _Live() if verbosity > _QUIET and _is_terminal() else None
        self._last = 0.0
        self._begun_line = False  # whether what the code printed last had no newline yet

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.close()

    def step(self, text: str) -> None:
        """Something that is being prepared or waited for."""
        if self._live:
            self._live.show(text)
        elif self.verbosity > _QUIET:
            self._line(f"preparing: {indented(text)}")

    def notice(self, text: str) -> None:
        """A sentence that the user should read."""
        if self.verbosity > _QUIET:
            self._say(f"warning: {text}")

    def detail(self, text: str) -> None:
        """A sentence for who wants to know everything."""
        if self.verbosity >= _VERBOSE:
            self._say(f"note: {text}")

    def lacking(self, text: str) -> None:
        """What this machine does not enforce: a notice the first time that it is shown."""
        from kedge.run.told import first_time

        if self.verbosity > _QUIET and first_time(text):
            self.notice(text)
        else:
            self.detail(text)

    def show(self, name: str, payload: Any) -> None:
        """Whatever a run's observer is told: the name of its call, and what was told."""
        match name:
            case "step":
                self.step(payload)
            case "started":
                self._started(payload)
            case "progress":
                self._progress(payload)
            case "output":
                self._printed(payload[1])
            case "notice":
                self.notice(payload)
            case "detail":
                self.detail(payload)
            case "lacking":
                self.lacking(payload)

    def _started(self, run: Mapping[str, Any]) -> None:
        text = f"running {run['function']}"
        if self._live:
            self._live.show(text)
        elif self.verbosity >= _VERBOSE:
            self._line(f"{text} (run {run['id']}, {run['executor']})")

    def _progress(self, event: Mapping[str, Any]) -> None:
        if self.verbosity <= _QUIET:
            return
        step, total = event.get("step"), event.get("total")
        if self._live:
            self._live.progress(step, total, event.get("message"))
            return
        now = time.monotonic()
        done = step is not None and step == total
        if now - self._last >= _PLAIN_PROGRESS_S or done:
            self._last = now
            self._line(f"progress: {indented(progress_text(event))}")

    def _printed(self, data: bytes) -> None:
        if self.output:
            self._write(data)

    def _say(self, text: str) -> None:
        if self._live:
            self._live.print(printable(indented(text)).encode())
        else:
            self._line(indented(text))

    def _line(self, text: str) -> None:
        """A line of Kedge's own, never behind what the code has begun to print."""
        if self._begun_line:
            self._begun_line = False
            say("")
        say(text)

    def _write(self, data: bytes) -> None:
        if self._live:
            self._live.print(data)
        else:
            self._begun_line = not data.endswith(b"\n")
            safe_stderr(data)


def progress_text(event: Mapping[str, Any]) -> str:
    """An event as words: `3/10 assembling`, or its own keys when it has none of the usual ones."""
    step, total, message = (event.get(key) for key in ("step", "total", "message"))
    words = []
    if step is not None:
        words.append(f"{step}/{total}" if total is not None else f"{step}")
    if message is not None:
        words.append(str(message))
    if not words:
        words = [f"{key}={value}" for key, value in event.items()]
    return " ".join(words)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class _Live:
    """The live line: a spinner, what is going on, a bar when there is a total, the time it takes.

    A terminal that was closed is no error: the run still has its grace period.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._what = "starting"
        self._progress.add_task(self._what, total=None)
        (self._task,) = self._progress.tasks
        self._progress.start()

    def show(self, text: str) -> None:
        self._what = one_line(text)
        self._task.total = None
        with suppress(OSError):
            self._progress.reset(self._task.id, description=self._what)

    def progress(self, step: Any, total: Any, message: Any) -> None:
        good = all(isinstance(one, (int, float)) for one in (step, total))
        text = f"{self._what}: {one_line(str(message))}" if message is not None else self._what
        if good:
            text += f" ({step}/{total})"
        # Not by Progress.update(): that stops spinner and time at the last step, after which the code may
        # still be at work.
        self._task.description = text
        self._task.completed = step if good else 0
        self._task.total = total if good and total else None

    def print(self, data: bytes) -> None:
        from rich.text import Text

        text = Text(data.decode("utf-8", "replace").removesuffix("\n"))
        with suppress(OSError):
            self._progress.console.print(text, soft_wrap=True)

    def close(self) -> None:
        with suppress(OSError):
            self._progress.stop()
