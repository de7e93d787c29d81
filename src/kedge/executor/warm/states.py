"""What the keeper knows of a box and of a slot."""

import os
import socket
import time
from contextlib import ExitStack
from typing import Any, Final, final

from kedge.executor import cgroups
from kedge.executor.warm import box as boxes
from kedge.task.resources import Resources

STEP_S: Final = 10.0  # a step that makes a slot ready takes milliseconds; a machine may be busy
IMPORT_S: Final = 600.0  # a module that imports for longer is imported by each run, within its time

COMING: Final = ("up", "fresh", "born", "entered")
GIVEN: Final = ("mounted", "called", "empty", "ended", "killed", "settled")


@final
class Slot:
    """One slot and the fork in it.

    `step` is what it waits for: `up`, `fresh`, `born`, `entered`; then it is a `spare`. Once a call was asked for:
    `mounted`, `called` (the fork is at work), `empty`, `ended` (the caller still looks at its group); or, after
    `called`, `leaving` (the caller has what it wants, and the fork is ending). One whose call left somebody is
    `killed`, and `settled` as long as the zygote has still to say how the fork ended.
    """

    def __init__(self, box: "Box", number: int) -> None:
        self.box = box
        self.number = number
        self.resources = box.resources
        self.after = ExitStack()
        self.step = ""
        self.until: float | None = None
        self.group: cgroups.OwnGroup | None = None
        self.told: dict[str, Any] = {}  # to whoever gets its fork
        self.limits: dict[int, tuple[int, int]] = {}
        self.line: socket.socket | None = None  # to its first process
        self.first = 0
        self.ended = -1
        self.call: socket.socket | None = None  # to the fork
        self.process = 0
        self.descriptors: list[int] = []  # the fork's streams, then its end
        self.client: socket.socket | None = None
        self.files: list[tuple[str, str]] = []
        # Wait status, microseconds of CPU, KiB of memory at most, bytes read and written.
        self.usage: tuple[int, ...] | None = None
        self.is_empty = False

    def wait_for(self, step: str, seconds: float | None = STEP_S) -> None:
        """Wait for `step`, so many seconds."""
        self.step = step
        self.until = None if seconds is None else time.monotonic() + seconds

    def let_go(self) -> None:
        """Close what belongs to its fork."""
        if self.call is not None:
            self.call.close()
            self.call = None
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


@final
class Box:
    """One box, its slots and who waits for it. `wanted` is what was asked for, see `kedge.executor.warm.wanted`."""

    def __init__(self, key: str, wanted: dict[str, Any]) -> None:
        self.key = key
        self.wanted = wanted
        self.resources = Resources(**wanted["resources"])
        self.after = ExitStack()
        self.is_ready = False
        self.is_gone = False
        self.until: float | None = time.monotonic() + IMPORT_S
        self.used = time.monotonic()
        self.most = 1  # calls at once, lately
        self.started: boxes.Started | None = None
        self.group: cgroups.OwnGroup | None = None
        self.account = (0, 0)
        self.zygote = 0
        self.filters = 0
        self.memory_mb = 0.0
        self.slots: dict[int, Slot] = {}
        self.openers: list[socket.socket] = []
        self.callers: list[tuple[socket.socket, dict[str, Any]]] = []
        self.failures = 0  # slots in a row that could not be made
        self.has_served = False
        self.counts_together = False  # the kernel counts the processes of all its calls as one's

    def at(self, *steps: str) -> list[Slot]:
        """Its slots that are at one of these steps."""
        return [one for one in self.slots.values() if one.step in steps]

    def is_used(self) -> bool:
        """Whether a call goes on in it, or somebody waits for it."""
        return bool(self.callers or self.openers or self.at(*GIVEN))
