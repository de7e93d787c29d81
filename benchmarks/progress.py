"""How long it takes until a line of progress is seen."""

import glob
import os
import re
import selectors
import subprocess
import time
from collections.abc import Iterator
from typing import IO

from figure import Figure, Goal, LeftOutError, Side
from surroundings import Surroundings, program

# Apart by more than the second that plain output keeps between two lines, each time a little more, so
# that they fall into every part of the interval at which Kedge looks.
_PAUSE_S = 1.2
_MORE_S = 0.007
_PATIENCE_S = 30.0  # for the run to begin
_LOOK_S = 0.005
_SEEN = re.compile(rb"at (\d+\.\d+)")

_CODE = f"""\
import json
import time


def main(lines: int) -> None:
    with open("out/progress.jsonl", "ab", buffering=0) as file:
        for number in range(lines):
            time.sleep({_PAUSE_S} + {_MORE_S} * number)
            event = {{"step": number, "total": lines, "message": "at %.6f" % time.monotonic()}}
            file.write(json.dumps(event).encode() + b"\\n")
        time.sleep({_PAUSE_S})
"""


def seen(place: Surroundings) -> Iterator[Figure]:
    """Lines on the standard error of `kedge run` beside the same lines as `tail -f` prints them."""
    lines = place.rounds(25)
    package = place.package("reports", _CODE)
    folder = os.environ["KEDGE_HOME"]
    with (
        subprocess.Popen(
            [place.kedge, "run", package, f"lines={lines}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as run,
        subprocess.Popen(
            [program("tail"), "-n", "+1", "-f", _appears(folder, run)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as tail,
    ):
        try:
            ours, theirs = _delays(run, tail)
        finally:
            tail.kill()
            run.terminate()
    if not len(ours) == len(theirs) == lines:
        raise LeftOutError(f"of {lines} lines {len(ours)} were shown, {len(theirs)} by tail")
    yield Figure(
        "progress",
        Side("from a line's write to standard error of kedge run", ours),
        (Side("the same lines through tail -f, at the same time", theirs),),
        Goal("in all", 0.25),
        notes=("lines more than a second apart: of more, plain output shows one a second",),
    )


def _appears(folder: str, run: subprocess.Popen[bytes]) -> str:
    """The progress file of the only run that goes on, once it is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and run.poll() is None:
        if found := glob.glob(f"{folder}/runs/**/workspace/out/progress.jsonl", recursive=True):
            return found[0]
        time.sleep(_LOOK_S)
    run.kill()
    raise LeftOutError("the run that is to report its progress does not begin")


def _delays(
    run: subprocess.Popen[bytes], tail: subprocess.Popen[bytes]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds from each line's own time to the moment it was read, for both, until the run's end."""
    streams = [stream for stream in (run.stderr, tail.stdout) if stream is not None]
    found: dict[IO[bytes], list[float]] = {stream: [] for stream in streams}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                now = time.monotonic()
                if not data:
                    ours, theirs = found.values()
                    return tuple(ours), tuple(theirs)
                stream = next(one for one in streams if one.fileno() == key.fd)
                found[stream] += [now - float(time) for time in _SEEN.findall(data)]
