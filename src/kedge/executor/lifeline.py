"""Removes a container at once when the process whose run it is for is killed.

An engine's service goes on with a container whoever asked for it. So a shell waits beside each, in a session
of its own, for the end of a pipe that only this process holds: with a word it goes, without one it removes.
"""

import os
import subprocess
from contextlib import suppress
from typing import Final, final

from kedge.engine.look import Engine
from kedge.engine.programs import variables
from kedge.executor.descriptors import Descriptors

# Podman's `rm` lets what ignores SIGTERM go on for ten seconds; and an engine may just be making what it
# was asked for, so that it is asked again a little later.
_SCRIPT: Final = """\
read -r _ && exit
for wait in 0 0.3 0.7; do
    sleep $wait
    timeout 60 "$1" kill "$2" >/dev/null 2>&1
    test -n "$(timeout 60 "$1" rm --force --volumes "$2" 2>/dev/null)" && exit
done
"""


@final
class Lifeline:
    """What removes the container `name` of `engine` should this process be killed before `release`."""

    def __init__(self, descriptors: Descriptors, engine: Engine, name: str) -> None:
        self._descriptors = descriptors
        end, self._line = descriptors.pipe()
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", engine.path, name],
            stdin=end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=variables(),
            cwd="/",
            start_new_session=True,
        )
        descriptors.close(end)

    def release(self) -> None:
        """Let go: the container is gone, or somebody else sees to it."""
        with suppress(BrokenPipeError):  # somebody has ended it
            os.write(self._line, b"\n")
        self._descriptors.close(self._line)
        self._shell.wait()
