"""One loop from a program's start to its end, the same for every executor.

It passes on what the program writes, ticks, and ends it: at its own end, at its timeout, or when asked to.
Nothing is kept of the output, and a program that writes faster than it is read simply waits.
"""

import math
import os
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kedge.data import Data
from kedge.errors import Lost
from kedge.executor.job import Ended, Reason, Stream

if TYPE_CHECKING:
    from kedge.errors import StartFailed
    from kedge.executor.bounds import Bounds
    from kedge.executor.job import Job
    from kedge.executor.readiness import Readiness

OWN_NETWORK = "/proc/self/net"
TICK_S = 0.05  # half of what is promised, so that a late wake-up still keeps the promise
CHUNK_BYTES = 1 << 16  # what a pipe holds
# A killed process may sit out a disk or network wait in the kernel, not longer.
KILL_PATIENCE_S = 10.0
EAGER_WAIT_S = 0.001  # between two looks for a program that has only just been started
START_PATIENCE_S = 60.0  # for a start that cannot be seen from here; its time counts from then on
SILENT_S = 5.0  # until somebody who waits for a service is told that it does not answer yet
DRAIN_BYTES = 1 << 20  # the most a pipe can hold: what is more comes from a process that got away
_TAIL_BYTES = 4096


class Outcome(Data):
    """How a program ended, from whoever started it.

    `started` is False when what was to start the program failed; the other fields as in `Ended`. `wall_s`
    is None where the watch's own clock is the best there is.
    """

    started: bool
    exit_code: int | None
    signal: int | None
    cpu_s: float | None
    peak_memory_mb: float | None
    read_bytes: int | None
    written_bytes: int | None
    wall_s: float | None = None


class Program(Protocol):
    """A program that was started, with the means to end it. Its descriptors are its own to close."""

    stdout: int
    stderr: int
    ended: int  # readable once it has ended
    # The monotonic time from which its own counts; None while it is being started.
    began: float | None
    eager_s: float  # between two looks while there is something to be found

    def found(self) -> bool:
        """Whether all is known that can only be learnt while it lives; looks again when not."""

    def is_done(self) -> bool:
        """Whether it has nothing more to do but to end; asked once both of its streams have ended."""

    def ask(self) -> bool:
        """SIGTERM to its process group; False while there is nobody yet who would hear it."""

    def ask_all(self) -> None:
        """SIGTERM to all of its processes."""

    def kill(self) -> None:
        """SIGKILL to everything it started."""

    def processes(self) -> list[int]:
        """The host's numbers of its processes that live now."""

    def shared_memory(self) -> str | None:
        """Its private /dev/shm as seen from here, None when it has none."""

    def settle(self) -> Outcome:
        """After its end: see that nothing of it is left, and say how it ended."""

    def refused(self, said: bytes) -> "StartFailed":
        """The error when it was not started, from the last of what was written to standard error."""

    def close(self) -> None:
        """Let go of its descriptors; kills it when it still runs."""


def watch(
    program: Program,
    job: "Job",
    bounds: "Bounds",
    network: Callable[[], str | None] = lambda: OWN_NETWORK,
) -> Ended:
    """See a program through to its end.

    Args:
        program: what was started.
        job: its surroundings.
        bounds: what it is held to.
        network: tells the folder of /proc that tells of the network it serves in, None where that is not
            seen.

    Raises:
        StartFailed: it turns out that it could not be started.
        Lost: it cannot be killed.
    """
    try:
        return _Watch(program, job, bounds, network).run()
    finally:
        program.close()


class _Watch:
    def __init__(
        self,
        program: Program,
        job: "Job",
        bounds: "Bounds",
        network: Callable[[], str | None],
    ) -> None:
        self.program = program
        self.job = job
        self.bounds = bounds
        self.network = network
        self.unanswered = _unanswered(job)
        self.told = False  # that it does not answer
        self.breach = ""
        self.started = time.monotonic()
        self.next_tick = self.started + TICK_S  # there is nothing to be seen of it yet
        self.reason: Reason = "exited"
        self.asked: float | None = None  # when the program was asked to end
        self.heard = False
        self.asked_all = False
        self.killed: float | None = None
        self.tail = b""
        self.poll = select.poll()  # `selectors` takes longer for each of them than the kernel

    def run(self) -> Ended:
        if self.job.pool is not None:
            self.job.pool.removal.go_on()
        self.bounds.attend(self.program)
        streams: dict[int, Stream] = {self.program.stdout: "stdout", self.program.stderr: "stderr"}
        for descriptor in streams:
            os.set_blocking(descriptor, False)
        cancel = self.job.cancel
        control = cancel.control_fileno()
        asked = (cancel.fileno(), cancel.forced_fileno(), *(() if control is None else (control,)))
        for descriptor in (*streams, self.program.ended, *asked):
            self.poll.register(descriptor, select.POLLIN)
        over, silent = False, 0
        while not over:
            for descriptor, _ in self.poll.poll(math.ceil(self._wait() * 1000)):
                if descriptor in streams:
                    if self._pass_on(descriptor, streams[descriptor]) == 0:
                        self.poll.unregister(descriptor)
                        silent += 1
                        over = over or (silent == len(streams) and self.program.is_done())
                elif descriptor == self.program.ended:
                    over = True
                elif descriptor == control:
                    cancel.look()
                else:
                    self.poll.unregister(descriptor)
            self._advance(time.monotonic(), over)
        began = self.program.began
        wall = time.monotonic() - (self.started if began is None else began)
        if self.unanswered is not None:
            self.unanswered.close()
        outcome = self.program.settle()
        for descriptor, stream in streams.items():
            self._drain(descriptor, stream)
        self.job.on_tick()
        if not outcome.started and self.reason == "exited":
            raise self.program.refused(self.tail)
        if outcome.exit_code == 0 and self.breach:
            self.reason, self.breach = "exited", ""  # it was quicker than the kill
        used = self.bounds.used()
        peaks = [peak for peak in (outcome.peak_memory_mb, used.peak_memory_mb) if peak is not None]
        return Ended(
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            reason=self.reason,
            wall_s=wall if outcome.wall_s is None else outcome.wall_s,
            cpu_s=used.cpu_s if outcome.cpu_s is None else max(outcome.cpu_s, used.cpu_s or 0.0),
            peak_memory_mb=max(peaks, default=None),
            read_bytes=outcome.read_bytes,
            written_bytes=outcome.written_bytes,
            disk_mb=used.disk_mb,
            oom_kills=used.oom_kills,
            forks_refused=used.forks_refused,
            breach=self.breach,
            killed=self.killed is not None,
        )

    def _wait(self) -> float:
        if not self.program.found():
            return self.program.eager_s
        now = time.monotonic()
        return max(0.0, min([self.next_tick, *self._deadlines()]) - now)

    def _deadlines(self) -> list[float]:
        resources = self.job.resources
        if self.killed is not None:
            return [self.killed + KILL_PATIENCE_S]
        if self.asked is not None:
            share = 1.0 if self.asked_all else 0.5
            return [self.asked + share * resources.grace]
        if resources.timeout is None:
            return []
        began = self.program.began
        return [(self.started + START_PATIENCE_S if began is None else began) + resources.timeout]

    def _advance(self, now: float, over: bool) -> None:
        """Tick, and take whatever step towards the end is due."""
        if now >= self.next_tick:
            self.next_tick = now + TICK_S
            self._look_whether_it_answers(now)
            self.job.on_tick()
            if self.job.on_processes is not None:
                self.job.on_processes(self.program.processes())
            breach = self.bounds.look(now)
            if breach is not None and self.killed is None and not over:
                self._end_as(breach.kind)
                self.breach = breach.sentence
                self._kill(now)
            if self.asked is not None and not self.heard and self.killed is None:
                self.heard = self.program.ask()
        if over:
            return
        cancel = self.job.cancel
        due = any(now >= deadline for deadline in self._deadlines())
        if cancel.forced and self.killed is None:
            self._end_as("abandoned" if cancel.abandoned else "cancelled")
            self._kill(now)
        elif cancel.requested and self.asked is None and self.program.found():
            self._end_as("cancelled")  # before it was found, nobody would hear of it
            self._ask(now)
        elif not due:
            return
        elif self.killed is not None:
            raise Lost(
                f"a process of the run could not be killed within {KILL_PATIENCE_S:g} seconds",
                hint="it waits in the kernel, for a disk or network that does not answer, most likely",
            )
        elif self.asked is None:
            self._end_as("timeout")
            self._ask(now)
        elif not self.asked_all:
            self.asked_all = True
            self.program.ask_all()
        else:
            self._kill(now)

    def _look_whether_it_answers(self, now: float) -> None:
        if self.unanswered is None or not self.program.found():
            return
        network = self.network()
        if self.unanswered.look(network):
            self.unanswered = None
            self.job.on_ready()
        elif now - self.started > SILENT_S and not self.told:
            self.told = True
            self.job.on_notice(self.unanswered.why(network))

    def _end_as(self, reason: Reason) -> None:
        if self.reason == "exited":
            self.reason = reason

    def _ask(self, now: float) -> None:
        self.asked = now
        self.heard = self.program.ask()

    def _kill(self, now: float) -> None:
        self.killed = now
        self.program.kill()

    def _pass_on(self, descriptor: int, stream: Stream) -> int | None:
        """Hand on one chunk; its length, 0 at the stream's end, None when there is nothing yet."""
        try:
            data = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if data:
            if stream == "stderr":
                self.tail = (self.tail + data)[-_TAIL_BYTES:]
            self.job.on_output(stream, data)
        return len(data)

    def _drain(self, descriptor: int, stream: Stream) -> None:
        left = DRAIN_BYTES
        while left > 0 and (length := self._pass_on(descriptor, stream)):
            left -= length


def _unanswered(job: "Job") -> "Readiness | None":
    """What has yet to answer; None for what does not serve."""
    if job.publish is None:
        return None
    from kedge.executor.readiness import Readiness

    return Readiness(job.publish)
