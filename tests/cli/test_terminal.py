"""What a terminal shows: a live line that goes away, and then what there is to read."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
LIMIT_S = 60.0  # of waiting for what has to be shown
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(
    kedge: Any,
    *words: object,
    term: str = "xterm",
    code: int = 0,
    until: str | None = None,
) -> str:
    """Everything that a command wrote to its terminal; one with `until` is interrupted once it shows that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*kedge.words, *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": term, "COLUMNS": "80"},
    )
    os.close(theirs)
    written = b""
    give_up = time.monotonic() + LIMIT_S
    while True:
        if until is not None and (re.search(until, plain(written)) or time.monotonic() > give_up):
            process.send_signal(signal.SIGINT)
            until = None
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the last process that had the terminal open is gone
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    assert process.wait() == code, written
    return written.decode()


def plain(written: bytes) -> str:
    """What was written, without what acts on the terminal."""
    return CONTROL.sub("", written.decode(errors="replace"))


def test_progress_is_a_live_line_and_the_result_follows_it(kedge: Any) -> None:
    shown = on_a_terminal(kedge, "run", PACKAGES / "progress-artifacts", "steps", "n=3")
    assert "\x1b[?25l" in shown and "\x1b[?25h" in shown  # the cursor is hidden and comes back
    assert "step 3 (3/3)" in shown
    assert shown.rpartition("\x1b[2K")[2].startswith("result  3")


def test_the_live_line_says_from_its_first_moment_that_something_happens(kedge: Any) -> None:
    shown = on_a_terminal(kedge, "run", PACKAGES / "progress-artifacts", "steps", "n=3")
    assert re.match(r"\s*\S starting ━{30} 0:00:00", CONTROL.sub("", shown))


def test_bar_and_time_are_shown_and_the_time_goes_on_after_the_last_step(kedge: Any) -> None:
    words = ("run", PACKAGES / "stubborn", "sleeps")
    after_the_last = r"\S running sleeps: ready \(1/1\) ━{30} 0:00:0[2-9]"
    shown = on_a_terminal(kedge, *words, code=130, until=after_the_last)
    assert re.search(after_the_last, CONTROL.sub("", shown))


@pytest.mark.parametrize("function", ["malformed", "flood"])
def test_odd_progress_does_no_harm(kedge: Any, function: str) -> None:
    shown = on_a_terminal(kedge, "run", PACKAGES / "progress-artifacts", function)
    assert "Traceback" not in shown


def test_what_the_code_prints_stays_readable(kedge: Any) -> None:
    shown = on_a_terminal(kedge, "run", PACKAGES / "print-flood", "both", "n=3")
    lines = CONTROL.sub("", shown).split("\n")
    for word in ("out 0", "out 2", "err 0", "err 2"):
        assert any(line.strip("\r").endswith(word) for line in lines)
    on_a_terminal(kedge, "run", PACKAGES / "print-flood", "bytes")


def test_a_failure_is_told_after_the_live_line(kedge: Any) -> None:
    shown = on_a_terminal(kedge, "run", PACKAGES / "raises", "raises", code=1)
    assert shown.count("the screw cannot carry 1 N") == 2  # in the traceback and in the error
    assert "error[function_error]: Overloaded" in shown.rpartition("\x1b")[2]


@pytest.mark.parametrize(("words", "term"), [(["-q"], "xterm"), ([], "dumb")])
def test_quiet_or_dumb_terminals_get_no_control_sequences(
    kedge: Any, words: list[str], term: str
) -> None:
    given = ["run", PACKAGES / "progress-artifacts", "steps", "n=2", *words]
    assert "\x1b" not in on_a_terminal(kedge, *given, term=term)
