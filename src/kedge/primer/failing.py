"""Failures as people see them: the project's own traceback, or one sentence with a hint."""

import os
import sys
import traceback

from kedge.errors import KedgeError, RunFailed
from kedge.primer import progress

OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def show(failure: BaseException, root: str, during: str | None) -> int:
    """Tell what failed, and return the exit code.

    Args:
        failure: what was raised.
        root: the project's folder.
        during: the state that was being reached, None when it was none.
    """
    if isinstance(failure, KedgeError):
        if isinstance(failure, RunFailed) and failure.traceback:
            write(failure.traceback)
        place = where(failure, root)
        told = [part for part in (during and f"state `{during}`", place and f"({place})") if part]
        progress.say(f"error: {' '.join(told)}{': ' if told else ''}{failure}")
        if failure.hint:
            progress.say(f"hint: {failure.hint}")
        return failure.exit_code
    write(traceback_of(failure))
    if during:
        progress.say(f"error: state `{during}` failed; what was reached before it stays so")
    return 1


def traceback_of(failure: BaseException) -> str:
    """The traceback without frames of the primer, as Python writes it."""
    shown = traceback.TracebackException.from_exception(failure)
    if not cut(shown):
        shown = traceback.TracebackException.from_exception(
            failure
        )  # the fault is the primer's own
    return "".join(shown.format())


def cut(shown: traceback.TracebackException) -> bool:
    """Take the primer's frames out of a traceback and those it came from; whether any is left."""
    before = bool(shown.stack)
    shown.stack[:] = [frame for frame in shown.stack if not frame.filename.startswith(OURS)]
    for other in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        if other is not None:
            cut(other)
    return bool(shown.stack) or not before or isinstance(shown.exc_type, type(SyntaxError))


def where(failure: BaseException, root: str) -> str:
    """File and line of the project that an error came from, below the root; empty for none."""
    for frame in reversed(traceback.extract_tb(failure.__traceback__)):
        inside = frame.filename.startswith(root + os.sep)
        if inside and not frame.filename.startswith((OURS, sys.prefix + os.sep)):
            return f"{os.path.relpath(frame.filename, root)}:{frame.lineno}"
    return ""


def write(text: str) -> None:
    """Write text to standard error as it is."""
    if sys.stderr:
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        sys.stderr.flush()
