"""What a control group of a run is, whatever the kernel's version of them."""

from typing import Protocol

from kedge.data import Data


class Usage(Data):
    """What a group's processes used so far. None is what the kernel does not say.

    Args:
        cpu_s: CPU seconds of all processes that were ever in the group.
        oom_kills: processes that the kernel killed at this group's own limit so far.
        forks_refused: processes and threads that the kernel refused to start at the limit on their number.
    """

    cpu_s: float | None = None
    oom_kills: int | None = None
    forks_refused: int | None = None


class Group(Protocol):
    """The control group of one run.

    `enforces` says which of "memory", "cpu" and "pids" it really limits. `entrances` are the files to
    which a process writes its number, or "0" for itself, to come in: all of them.
    """

    @property
    def enforces(self) -> frozenset[str]:
        """Which of "memory", "cpu" and "pids" it limits."""

    @property
    def entrances(self) -> tuple[str, ...]:
        """Absolute paths of the files by which a process comes in."""

    def join(self, pid: int) -> None:
        """Bring a process in; its children will be born there.

        Raises:
            ProcessLookupError: it is gone.
            OSError: the kernel refuses, as for a process that lives outside what was delegated.
        """

    def processes(self) -> list[int]:
        """The processes that are in it now, as far as they can be seen from here."""

    def usage(self) -> Usage:
        """What they used; a few dozen microseconds a file."""

    def memory_mb(self) -> float | None:
        """MiB that belong to them now, None when the kernel does not say.

        That is anonymous and shared memory and tmpfs files, and not the page cache of other files.
        """

    def kill(self) -> None:
        """Kill all that is in it, until it is empty or the patience is over; no process can start after.

        What could not be killed, because it waits in the kernel, is still in `processes()`.
        """

    def remove(self) -> None:
        """Kill what is left and remove the group; what is gone already is fine."""


class OwnGroup(Group, Protocol):
    """A group that Kedge has made, and may keep for another program."""

    def shared_mb(self) -> float:
        """MiB of shared memory and tmpfs files that belong to it now, whoever made them."""

    def was_short(self) -> bool:
        """Whether it ever was at its limit of memory, or a process in it was killed for want of memory."""


class Available(Data):
    """What this process could have in control groups, and why not more.

    Args:
        version: 1 or 2, None when there are none to be had.
        controllers: of "memory", "cpu" and "pids", those that can limit a run.
        reason: why not more, a clause; empty when all is well.
        hint: what would lift that.
    """

    version: int | None
    controllers: frozenset[str]
    reason: str = ""
    hint: str = ""


LIMITING = (
    "memory",
    "pids",
    "cpu",
)  # the controllers that limit a run, in the order of their worth

CPU_PERIOD_US = 100_000  # the kernel's default: shorter ones cost more and even out little
_LEAST_QUOTA_US = 1000  # the kernel refuses less


def quota_us(cpu: float, processors: int) -> int | None:
    """Microseconds of CPU time in each period, None where all processors together give no more."""
    if cpu >= processors:
        return None
    return max(_LEAST_QUOTA_US, round(cpu * CPU_PERIOD_US))
