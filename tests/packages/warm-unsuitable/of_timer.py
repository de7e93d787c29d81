"""Has a timer from when it is imported."""

import signal

signal.setitimer(signal.ITIMER_REAL, 1000.0)


def value() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0
