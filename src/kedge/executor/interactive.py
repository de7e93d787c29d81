"""A program on the user's own terminal, in the surroundings of a run: for people who look into one.

The same mounts, account, limits and system-call filter as a run's, the standard streams of whoever asks.
In the sandbox, bubblewrap starts no session of its own: the terminal belongs to this one, and shells could
not control jobs. What a new session would protect from, pushing characters into the terminal's input, is
refused by the filter (TIOCSTI, TIOCLINUX: see `seccomp`).
"""

import os
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, final

from kedge.errors import StartFailed
from kedge.executor import marks, process, processes, sandbox
from kedge.executor.bounds import bounded
from kedge.executor.descriptors import Descriptors, inheritable, numbers_in_child
from kedge.executor.lending import writable
from kedge.executor.watch import KILL_PATIENCE_S, TICK_S, Outcome

if TYPE_CHECKING:
    from kedge.executor.base import Executor
    from kedge.executor.bounds import Bounds
    from kedge.executor.job import Job
    from kedge.task.payload import Process

_GUARD: Final = os.path.join(os.path.dirname(__file__), "terminal_guard.py")

# Typed by the user for the program in front, which may be in another group than Kedge, or in the same.
_TYPED: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


def attend(executor: "Executor", payload: "Process", job: "Job") -> int:
    """Start `payload` on the standard streams of this process and wait for its end.

    Args:
        executor: the sandbox, or any other for a process of this machine.
        payload: the program.
        job: its surroundings; nothing is passed to its `on_output` and `on_tick`, its timeout is not
            enforced. Its limits are.

    Returns:
        The exit status, 128 and the signal's number when a signal ended it.

    Raises:
        StartFailed: it cannot be started.
    """
    with ExitStack() as after:
        after.enter_context(_lending_terminal())
        start = _in_sandbox if executor.kind == "sandbox" else _on_host
        program, bounds = start(payload, job, after)
        return _wait(program, job, bounds)


class _Program(Protocol):
    """What was started."""

    ended: int

    def found(self) -> bool: ...
    def kill(self) -> None: ...
    def processes(self) -> list[int]: ...
    def shared_memory(self) -> str | None: ...
    def settle(self) -> Outcome: ...
    def close(self) -> None: ...


def _wait(program: _Program, job: "Job", bounds: "Bounds") -> int:
    try:
        bounds.attend(program)
        killed = False
        while not processes.wait_readable(program.ended, TICK_S):
            program.found()
            breach = bounds.look(time.monotonic())
            if breach is not None and not killed:
                killed = True
                job.on_notice(breach.sentence)
                program.kill()
        outcome = program.settle()
        if not outcome.started:
            raise StartFailed(
                "the program could not be started",
                hint="what stands above says why; --executor process does without a sandbox",
            )
        return 128 + (outcome.signal or 0) if outcome.exit_code is None else outcome.exit_code
    finally:
        program.close()


@contextmanager
def _lending_terminal() -> Iterator[None]:
    """Leave the terminal and what is typed to the program, and take the terminal back at the end."""
    before = {number: signal.signal(number, lambda *_: None) for number in _TYPED}
    terminal = _terminal_in_front()
    state = None if terminal is None else termios.tcgetattr(terminal)
    try:
        yield
    finally:
        if terminal is not None and state is not None:
            # From the background, where this process is until it has the terminal again.
            writing = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            with suppress(OSError, termios.error):  # the terminal was closed meanwhile
                os.tcsetpgrp(terminal, os.getpgrp())
                termios.tcsetattr(terminal, termios.TCSADRAIN, state)
            signal.signal(signal.SIGTTOU, writing)
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_in_front() -> int | None:
    """The standard stream that is a terminal which this process group has for itself."""
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                return descriptor
    return None


def _in_sandbox(payload: "Process", job: "Job", after: ExitStack) -> "tuple[_Program, Bounds]":
    """The program in namespaces, as `SandboxExecutor` starts it, but for the streams."""
    bounds = after.enter_context(bounded(job, writable(job), sandbox.OWN_PROCESSES))
    return sandbox.start(payload, job, bounds, after, terminal=True), bounds


def _on_host(payload: "Process", job: "Job", after: ExitStack) -> "tuple[_Program, Bounds]":
    """The program as `ProcessExecutor` starts it, but for the streams and the session."""
    bounds = after.enter_context(bounded(job, process.writable(job)))
    spec = process.specification(payload, job, bounds, after)
    spec.check()
    mine = Descriptors()
    try:
        control_end, control = mine.pipe()
        theirs = (control_end, mine.memory(spec.prepared() + spec.rest()))
        numbers = numbers_in_child(theirs)
        guard = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-B", _GUARD, *map(str, numbers.values())],
            os.environ,
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inheritable()),
                *((os.POSIX_SPAWN_DUP2, source, place) for source, place in numbers.items()),
            ],
            setsigmask=(),
        )
        mine.close(*theirs)
        return _Guarded(mine, guard, control, spec.mark), bounds
    except BaseException:
        mine.close()
        raise


@final
class _Guarded:
    """A program under a guard that leaves it the terminal."""

    def __init__(
        self, descriptors: Descriptors, guard: int, control: int, mark: int | None
    ) -> None:
        self.ended = descriptors.add(os.pidfd_open(guard))
        self._descriptors = descriptors
        self._guard = guard
        self._control = control
        self._mark = mark
        self._reaped = False

    def found(self) -> bool:
        """Nothing needs to be learnt while the program lives."""
        return True

    def kill(self) -> None:
        """SIGKILL to everything that it started."""
        processes.send(self._guard, signal.SIGCONT)  # the program may have stopped it
        with suppress(BrokenPipeError):
            os.write(self._control, b"k")

    def processes(self) -> list[int]:
        """The processes that live now."""
        return processes.descendants(self._guard)

    def shared_memory(self) -> str | None:
        """It has none of its own."""
        return None

    def settle(self) -> Outcome:
        """How the program ended."""
        _, status = os.waitpid(self._guard, 0)
        self._reaped = True
        if self._mark is not None:  # should somebody have killed the guard
            marks.kill_all(self._mark, KILL_PATIENCE_S)
        signalled = os.WIFSIGNALED(status)
        return Outcome(
            started=True,
            exit_code=None if signalled else os.WEXITSTATUS(status),
            signal=os.WTERMSIG(status) if signalled else None,
            cpu_s=None,
            peak_memory_mb=None,
            read_bytes=None,
            written_bytes=None,
        )

    def close(self) -> None:
        """Have the guard kill what still runs, and let go of the descriptors."""
        if not self._reaped:
            self.kill()
            if not processes.wait_readable(self.ended, KILL_PATIENCE_S):
                processes.send(self._guard, signal.SIGKILL)
            self.settle()
        self._descriptors.close()
