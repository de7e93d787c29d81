"""Programs that a state runs: to their end, and never beyond that of the start.

A tool is the leader of a session of its own, so that what it starts can be ended with it, and so that it
cannot wait for an answer at the terminal. Interrupted, all of it is asked to end, then killed. When this
process is killed, a guard beside the tool does that: it reads a pipe that only this process holds.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

from kedge.errors import FunctionError, Unavailable, UsageError
from kedge.primer.interrupts import held

Word = str | os.PathLike[str]

GRACE_SECONDS = 5  # for a tool that is to end by itself; npm and apt need about one
LAST_LINES = 20  # of a tool that failed: what fits on a screen with the error
GUARD = 'read -r _; kill -s KILL -- "-$0"'  # dash knows no `kill -KILL --`


def run(command: Sequence[Word], folder: str, variables: Mapping[str, str], verbose: bool) -> None:
    """Run a tool; see `Context.run`."""
    if verbose and sys.stderr:
        finish(command, folder, variables, 2, 2, None)
        return
    with tempfile.TemporaryFile() as said:  # no pipe: what the tool leaves running may hold it open
        finish(command, folder, variables, said, subprocess.STDOUT, said)


def output(
    command: Sequence[Word], folder: str, variables: Mapping[str, str], verbose: bool
) -> str:
    """Run a tool and return its standard output; see `Context.output`."""
    with tempfile.TemporaryFile() as wanted, tempfile.TemporaryFile() as said:
        errors: Any = 2 if verbose and sys.stderr else said
        finish(command, folder, variables, wanted, errors, said)
        wanted.seek(0)
        return os.fsdecode(wanted.read())


def finish(
    command: Sequence[Word],
    folder: str,
    variables: Mapping[str, str],
    out: Any,
    err: Any,
    said: IO[bytes] | None,
) -> None:
    """Run a tool with these streams to its end, and raise if that is none."""
    process = guard = None
    try:
        with held():
            process = start(command, folder, variables, out, err)
            guard = subprocess.Popen(
                ["sh", "-c", GUARD, str(process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        code = process.wait()
    except BaseException:
        if process is not None:
            end(process)
        raise
    finally:
        if guard is not None:
            guard.kill()
            guard.wait()
            guard.stdin.close()  # type: ignore[union-attr]
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = last_lines(said)
        raise FunctionError(f"`{spelled(command)}` {how}{':' if last else ''}{last}")


def start(
    command: Sequence[Word], folder: str, variables: Mapping[str, str], out: Any, err: Any
) -> "subprocess.Popen[bytes]":
    """Start a tool in a session of its own."""
    try:
        return subprocess.Popen(
            [os.fspath(word) for word in command],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        if not os.path.isdir(folder):
            raise UsageError(
                f"`{spelled(command)}` is to run in {folder}, which is no folder"
            ) from error
        raise Unavailable(
            f"there is no `{spelled(command[:1])}` here",
            hint="install it, or put its folder on PATH",
        ) from error
    except PermissionError as error:
        raise Unavailable(
            f"`{spelled(command[:1])}` cannot be executed: {error.strerror}"
        ) from error


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a tool and what it started: asked first, then killed."""
    try:
        signal_all(process, signal.SIGTERM)
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        signal_all(process, signal.SIGKILL)
        process.wait()


def signal_all(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a tool's whole group, if any of it is left."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: sudo's
        pass


def spelled(command: Sequence[Word]) -> str:
    """A command as one would type it."""
    return shlex.join(os.fspath(word) for word in command)


def last_lines(said: IO[bytes] | None) -> str:
    """The end of what a tool said, one line after the other, each indented."""
    if said is None:
        return ""
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines)
