"""The engines' programs: where they are, calling one to its end, and starting one that goes on."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from kedge.data import Data
from kedge.errors import Unavailable

_SYSTEM_FOLDERS: Final = ("/usr/bin", "/usr/local/bin", "/bin")
_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
_ENDS_IN_TIME: Final = ("timeout", "--kill-after=5", "120")
PATIENCE_S: Final = 60.0  # for an engine's answer to what it does at once


class Finished(Data):
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last line that it wrote to say what was wrong."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ").removeprefix("docker: ") if lines else ""


def program(kind: str) -> str | None:
    """The path of an engine's program, None where it is not installed."""
    for folder in (*os.environ.get("PATH", "").split(":"), *_SYSTEM_FOLDERS):
        path = os.path.join(folder, kind)
        if os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    return None


def call(
    path: str,
    *arguments: str,
    input: bytes = b"",
    timeout: float = PATIENCE_S,
    folder: str | None = None,
) -> Finished:
    """Call an engine's program and wait; an exit code that is not 0 is the caller's to judge.

    Args:
        path: of the program.
        arguments: for it.
        input: what it reads.
        timeout: seconds to wait.
        folder: where it works: what watches a container of Podman's leaves a file there when one is out of
            memory. None: where this process does.

    Raises:
        Unavailable: it cannot be executed, or did not answer in time.
    """
    try:
        process = subprocess.Popen(
            [*dies_with_us(), path, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables(),
            start_new_session=True,
            cwd=folder,
        )
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be executed: {error.strerror}", hint="install it anew"
        ) from error
    with process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException as error:
            # What it started holds the pipes as well. After Ctrl-C Python has waited for it, and it may be gone.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise Unavailable(
                f"{os.path.basename(path)} did not answer within {timeout:g} s to `{arguments[0]}`",
                hint="see whether its service is well, for example with `kedge doctor`",
            ) from None
    return Finished(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def start(path: str, *arguments: str, outlives_us: bool = False) -> subprocess.Popen[bytes]:
    """Start an engine's program that nobody listens to.

    It ends with this process at the latest, or, where it must not be cut off, within two minutes.
    """
    front = _ENDS_IN_TIME if outlives_us else dies_with_us()
    return subprocess.Popen(
        [*front, path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=variables(),
        start_new_session=outlives_us,
    )


def dies_with_us() -> Sequence[str]:
    """The front of a command that is killed when this process is, where the system can."""
    return _DIES_WITH_US if os.access("/usr/bin/setpriv", os.X_OK) else ()


def variables() -> Mapping[str, str]:
    """The environment of an engine's program: the user's own, with its words in plain English."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "DOCKER_CLI_HINTS": "false", "NO_COLOR": "1"}
