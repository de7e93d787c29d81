"""What engines' programs are called by."""

import signal

import pytest

from kedge.engine import programs


def test_ctrl_c_is_what_is_raised_when_the_program_has_ended_since() -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # Python waits for it, for a quarter of a second
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            programs.call("/bin/sleep", "0.1")
    finally:
        signal.signal(signal.SIGALRM, before)
