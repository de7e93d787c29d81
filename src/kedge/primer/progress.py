"""What a start tells while it reaches states, on standard error.

On a terminal, a line that turns and counts seconds stands below what is said; elsewhere there are plain lines.
"""

import itertools
import os
import sys
import threading
import time

TURN_SECONDS = 0.1
UNKNOWN_COLUMNS = 80  # of a terminal that does not say how wide it is

_line: "Line | None" = None


def say(text: str) -> None:
    """Tell one thing, above the line that turns."""
    if not sys.stderr:  # the caller closed it
        return
    line = _line
    if line is None:
        print(f"primer: {text}", file=sys.stderr, flush=True)
    else:
        with line.writing:
            line.draw("")
            print(f"primer: {text}", file=sys.stderr, flush=True)


class Line:
    """What is told of one state while it is reached.

    Args:
        name: the state's.
        reason: why it is reached.
        verbose: whether tools write to the terminal themselves, so that nothing may turn there.
    """

    def __init__(self, name: str, reason: str, verbose: bool) -> None:
        self.name = name
        self.reason = reason
        terminal = bool(sys.stderr) and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.turns = terminal and not verbose
        self.ended = threading.Event()
        self.writing = threading.Lock()

    def __enter__(self) -> "Line":
        global _line
        self.started = time.monotonic()
        _line = self
        self.thread = threading.Thread(target=self.turn, daemon=True)
        if self.turns:
            self.thread.start()
        else:
            say(f"{self.name}: {self.reason}")
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        global _line
        self.ended.set()
        if self.turns:
            self.thread.join()
        _line = None
        if failure is None:
            say(f"{self.name}: reached in {time.monotonic() - self.started:.1f} s")

    def turn(self) -> None:
        """Draw the line until the state is reached; by another thread, while this one runs its function."""
        for mark in itertools.cycle("|/-\\"):
            seconds = int(time.monotonic() - self.started)
            text = f"{mark} {self.name} {seconds} s: {self.reason}"
            with self.writing:
                self.draw(text)
            if self.ended.wait(TURN_SECONDS):
                self.draw("")
                return

    def draw(self, text: str) -> None:
        """Put a text in place of the line, cut to the terminal's width; the next turn draws it again."""
        if not self.turns:
            return
        try:
            width = os.get_terminal_size(2).columns or UNKNOWN_COLUMNS
            os.write(2, b"\r\x1b[K" + text[: width - 1].encode(errors="replace"))
        except OSError:
            pass  # the terminal has gone
