"""Killing a command line and the process that holds its run, as no program can prevent."""

import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE_S = 60.0  # for a killed program's helpers to go; machines that test are busy


def children(process: int) -> list[int]:
    """Those of its main thread."""
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def lives(process: int) -> bool:
    """Whether a process has not ended; who is to be told of its end may not have looked yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(process: "subprocess.Popen[bytes]", *, supervisor: bool) -> str:
    """Kill a command that goes on; what it had said.

    Args:
        process: started in a process group of its own.
        supervisor: whether to kill that as well; else it has to notice that its face is gone.
    """
    supervisors = children(process.pid)  # none if it has ended
    if supervisor:
        for one in supervisors:
            os.kill(one, signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while any(map(lives, supervisors)):
        if time.monotonic() > until:
            raise AssertionError(f"a supervisor outlives its face: {said.decode()}")
        time.sleep(0.01)
    return said.decode()
