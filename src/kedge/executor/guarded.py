"""Starting a program under a guard of its own, and holding on to it."""

import marshal
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import final

from kedge.data import Data, asdict
from kedge.errors import Lost, StartFailed
from kedge.executor import marks, processes
from kedge.executor.descriptors import Descriptors, inheritable, numbers_in_child, streams
from kedge.executor.landlock import Ruleset
from kedge.executor.watch import EAGER_WAIT_S, KILL_PATIENCE_S, Outcome

# A guard answers within a few milliseconds; one that does not may have been stopped by what it guards.
_STOPPED_S = 0.1

# To say that it runs: a guard is a bare Python, which takes a second on a machine that is very busy.
_START_PATIENCE_S = 30.0

_GUARD = os.path.join(os.path.dirname(__file__), "guard.py")


class Specification(Data):
    """What a guard is to do.

    Args:
        argv: the program and its arguments.
        variables: all of its environment.
        folder: the working directory.
        limits: RLIMIT_* → (soft, hard).
        account: the user and group number to become, None to stay as it is.
        reads_closed: whether that account may pass through and read what is closed to others; then rules
            of Landlock are what confines it.
        mark: what all of its processes are to be known by, see `marks`; None for nothing.
        landlock: the rules it comes under, None for none.
        filter_program: its system-call filter, None for none.
        entrances: the files by which it comes into its control groups, written to before it becomes
            `account`.
        processors: the numbers of those it may use, None for all.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    folder: str
    limits: Mapping[int, tuple[int, int]]
    account: int | None
    reads_closed: bool = False
    mark: int | None = None
    landlock: Ruleset | None = None
    filter_program: bytes | None = None
    entrances: tuple[str, ...] = ()
    processors: tuple[int, ...] | None = None

    def marshalled(self) -> bytes:
        """The form in which a guard reads it."""
        marked = {} if self.mark is None else {marks.RLIMIT_LOCKS: (self.mark, self.mark)}
        return marshal.dumps(
            {
                "argv": self.argv,
                "env": dict(self.variables),
                "folder": self.folder,
                "limits": {**self.limits, **marked},
                "account": self.account,
                "reads_closed": self.reads_closed,
                "entrances": self.entrances,
                "processors": self.processors,
                "landlock": None if self.landlock is None else asdict(self.landlock),
                "filter": self.filter_program,
            }
        )


def start(
    spec: Specification, copied: Callable[[tuple[int, ...]], int | None] = lambda _: None
) -> "Guarded":
    """Start a program under a guard, in a session of its own.

    Args:
        spec: what the guard is to do.
        copied: gives a guard that is ready (`kedge.executor.warm.guards`), None to start one.

    Raises:
        StartFailed: the program could not be started.
    """
    mine = Descriptors()
    try:
        return _start(mine, spec, copied)
    except BaseException:
        mine.close()
        raise


def _start(
    mine: Descriptors, spec: Specification, copied: Callable[[tuple[int, ...]], int | None]
) -> "Guarded":
    stdout, stdout_end = mine.pipe()
    stderr, stderr_end = mine.pipe()
    control_end, control = mine.pipe()
    report, report_end = mine.pipe()
    theirs = (control_end, report_end, mine.memory(spec.marshalled()))
    guard = copied((stdout_end, stderr_end, *theirs))
    if guard is None:
        guard = _spawned(stdout_end, stderr_end, theirs)
    mine.close(stdout_end, stderr_end, *theirs)
    # While the guard gets ready. Should it be killed, its orphans come to this process.
    processes.become_subreaper()
    program = Guarded(mine, guard, stdout, stderr, control, report, spec.mark)
    try:
        program.await_start(spec.argv[0])
    except BaseException:
        program.close()
        raise
    return program


def _spawned(stdout: int, stderr: int, theirs: tuple[int, ...]) -> int:
    places = numbers_in_child(theirs)
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-B", _GUARD, *map(str, places.values())],
        os.environ,  # Kedge's own interpreter may need them (LD_LIBRARY_PATH); the program gets others
        file_actions=[
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inheritable()),
            *streams(stdout, stderr),
            *((os.POSIX_SPAWN_DUP2, source, place) for source, place in places.items()),
        ],
        setsid=True,
        setsigmask=(),
    )


@final
class Guarded:
    """A program under its guard. What the guard reports is the only thing that is believed."""

    def __init__(
        self,
        descriptors: Descriptors,
        guard: int,
        stdout: int,
        stderr: int,
        control: int,
        report: int,
        mark: int | None,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.ended = report
        self.began: float | None = time.monotonic()
        self.eager_s = EAGER_WAIT_S
        self._descriptors = descriptors
        self._guard = guard
        self._control = control
        self._mark = mark
        self._program: int | None = None
        self._reaped = False

    def await_start(self, name: str) -> None:
        """Wait until the guard says that the program runs.

        Raises:
            StartFailed: it says that it does not.
        """
        word, *rest = self._report(_START_PATIENCE_S)
        if word == "program":
            self._program = int(rest[0])
            word, *rest = self._report(_START_PATIENCE_S)
        if word == "started" or (word == "" and self._program is not None):
            return  # without a word, its guard was killed by it: it did start
        self._leave()
        why = os.strerror(int(rest[0])) if word == "failed" else "its guard ended"
        raise StartFailed(
            f"the program {name!r} could not be started: {why}",
            hint="check that it is a program for this machine and that its arguments are not too long",
        )

    def found(self) -> bool:
        """Nothing needs to be learnt while the program lives: the guard knows all."""
        return True

    def is_done(self) -> bool:
        """Never before it has ended: a program that closes its streams may have more to do."""
        return False

    def ask(self) -> None:
        """SIGTERM to the program's process group."""
        self._order(b"t")

    def ask_all(self) -> None:
        """SIGTERM to everything it started."""
        self._order(b"a")

    def kill(self) -> None:
        """SIGKILL to everything it started."""
        self._order(b"k")

    def processes(self) -> list[int]:
        """The host's numbers of everything that it started and that lives now."""
        return processes.descendants(self._guard)

    def shared_memory(self) -> str | None:
        """It has none of its own: /dev/shm is the host's."""
        return None

    def refused(self, said: bytes) -> StartFailed:
        """The error when it was not started, from the last of what was written to standard error."""
        lines = said.decode(errors="replace").strip().splitlines()
        return StartFailed(
            f"the program could not be started{': ' + lines[-1] if lines else ''}",
            hint="look at the program, and at what this account may execute",
        )

    def settle(self) -> Outcome:
        """How the program ended, once the guard has seen to it that nothing is left.

        Raises:
            Lost: the guard was killed, and a process that it guarded cannot be.
        """
        word, *rest = self._report(KILL_PATIENCE_S)
        self._leave()
        if word != "ended" or rest[0] == "-1":
            if self._end_unguarded():
                raise Lost(
                    f"a process of the run could not be killed within {KILL_PATIENCE_S:g} seconds",
                    hint="it waits in the kernel, for a disk or network that does not answer",
                )
            return Outcome(True, None, int(signal.SIGKILL), None, None, None, None)
        status, cpu, peak, read, written = rest
        signalled = os.WIFSIGNALED(int(status))
        return Outcome(
            started=True,
            exit_code=None if signalled else os.WEXITSTATUS(int(status)),
            signal=os.WTERMSIG(int(status)) if signalled else None,
            cpu_s=float(cpu),
            peak_memory_mb=int(peak) / 1024,
            read_bytes=None if read == "-1" else int(read),
            written_bytes=None if written == "-1" else int(written),
        )

    def close(self) -> None:
        """Have the guard kill what still runs, and let go of the descriptors."""
        if not self._reaped:
            self._order(b"k")
            while (word := self._report(KILL_PATIENCE_S)[0]) not in ("ended", ""):
                continue
            self._leave()
            if not word:
                self._end_unguarded()
        self._descriptors.close()

    def _end_unguarded(self) -> list[int]:
        """Kill what a killed guard left behind; the processes that still live after that."""
        if self._mark is not None:
            return marks.kill_all(self._mark, KILL_PATIENCE_S)
        if self._program is not None:  # its own group is all that is known then
            processes.send_group(self._program, signal.SIGKILL)
        return []

    def _order(self, letter: bytes) -> None:
        processes.send(self._guard, signal.SIGCONT)  # code of the same account may have stopped it
        try:
            os.write(self._control, letter)
        except BrokenPipeError:
            return  # it has ended; so has all that it guarded

    def _report(self, patience_s: float) -> list[str]:
        """The words of the guard's next line; one empty word when it ended without one, or said none.

        A guard that does not answer within `patience_s` is killed.
        """
        said = b""
        until = time.monotonic() + patience_s
        while not said.endswith(b"\n"):
            while not processes.wait_readable(self.ended, _STOPPED_S):
                over = time.monotonic() > until
                processes.send(self._guard, signal.SIGKILL if over else signal.SIGCONT)
            byte = os.read(self.ended, 1)
            if not byte:
                break
            said += byte
        return said.decode().split() or [""]

    def _leave(self) -> None:
        if not self._reaped:
            self._reaped = True
            try:
                os.waitpid(self._guard, 0)
            except ChildProcessError:
                return
