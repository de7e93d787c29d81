"""Starting a program under a guard of its own, and holding on to it."""

import marshal
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import final

from kedge.data import Data
from kedge.errors import Lost, StartFailed
from kedge.executor import marks, processes
from kedge.executor.descriptors import Descriptors, inheritable, numbers_in_child, streams
from kedge.executor.landlock import Ruleset
from kedge.executor.reach import identity
from kedge.executor.watch import EAGER_WAIT_S, KILL_PATIENCE_S, Outcome

# A guard answers within a few milliseconds; one that does not may have been stopped by what it guards.
_STOPPED_S = 0.1

# To say that it runs: a guard is a bare Python, which takes a second on a machine that is very busy.
_START_PATIENCE_S = 30.0

_MESSAGE = 256  # bytes, more than a guard says at once

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
        landlock: the rules it comes under with others, None for none; `paths` are those of its own.
        filter_program: its system-call filter, None for none.
        entrances: the files by which it comes into its control groups.
        processors: the numbers of those it may use, None for all.
        check: raises the StartFailed that says why the program could not be started, if it can be said.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    folder: str
    limits: Mapping[int, tuple[int, int]]
    account: int | None
    reads_closed: bool = False
    mark: int | None = None
    landlock: Ruleset | None = None
    paths: tuple[tuple[str, int], ...] = ()
    filter_program: bytes | None = None
    entrances: tuple[str, ...] = ()
    processors: tuple[int, ...] | None = None
    check: Callable[[], None] = lambda: None

    def prepared(self) -> bytes:
        """What a guard can make ready before it is told the rest.

        It has the identities of the files that rules are for: those of others in their places differ.
        """
        rules = None
        if self.landlock is not None:
            found = [identity(path) for path, _ in self.landlock.paths]
            rules = {**vars(self.landlock), "found": found}
        # What later versions of the format write depends on who else holds the values.
        return marshal.dumps({"rules": rules, "entrances": self.entrances}, 2)

    def rest(self) -> bytes:
        """What it is told then."""
        marked = {} if self.mark is None else {marks.RLIMIT_LOCKS: (self.mark, self.mark)}
        return marshal.dumps(
            {
                "argv": self.argv,
                "env": dict(self.variables),
                "folder": self.folder,
                "limits": {**self.limits, **marked},
                "account": self.account,
                "reads_closed": self.reads_closed,
                "processors": self.processors,
                "paths": self.paths,
                "filter": self.filter_program,
            }
        )


def start(
    spec: Specification, ready: "Callable[[bytes], Guarded | None]" = lambda _: None
) -> "Guarded":
    """Start a program under a guard, in a session of its own.

    Args:
        spec: what the guard is to do.
        ready: gives a guard that has this prepared (`kedge.executor.warm.guards`), None to start one.

    Raises:
        StartFailed: the program could not be started.
    """
    prepared = spec.prepared()
    program = ready(prepared) or _spawned(prepared)
    try:
        program.begin(spec)
    except BaseException:
        program.close()
        raise
    return program


@final
class Lines:
    """What is between this process and a guard for one program.

    `theirs` are the guard's ends until they are passed on: standard output and error, then what `guard.py` takes
    besides its line.
    """

    def __init__(self, prepared: bytes) -> None:
        self.prepared = prepared
        self._open = Descriptors()
        try:
            self.stdout, stdout = self._open.pipe()
            self.stderr, stderr = self._open.pipe()
            begin, self.begin = self._open.pipe()
            self.spec = self._open.memory(prepared)
        except BaseException:
            self.close()
            raise
        self.theirs = (stdout, stderr, self.spec, begin)

    def passed_on(self) -> None:
        """Let go of what somebody else has by now."""
        self.close(*(one for one in self.theirs if one != self.spec))

    def close(self, *descriptors: int) -> None:
        """Let go of these, or of all."""
        self._open.close(*descriptors)


class Guard(Data):
    """A guard, and this process's end of the line to it."""

    process: int
    line: socket.socket

    def leave(self) -> None:
        """Let go of it: it ends, unless it has."""
        self.line.close()
        with suppress(ChildProcessError):
            os.waitpid(self.process, 0)


def _spawned(prepared: bytes) -> "Guarded":
    lines = Lines(prepared)
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with its:
            stdout, stderr, *rest = lines.theirs
            places = numbers_in_child((its.fileno(), *rest))
            guard = os.posix_spawn(
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
        lines.passed_on()
    except BaseException:
        mine.close()
        lines.close()
        raise
    return Guarded(lines, Guard(guard, mine))


@final
class Guarded:
    """A guard, and the program under it once it has begun. What the guard reports is all that is believed.

    Args:
        lines: what is for this program alone.
        guard: its guard.
        keep: is given the guard in the end, if it can guard another program; None to let go of it.
    """

    def __init__(
        self, lines: Lines, guard: Guard, keep: Callable[[Guard], None] | None = None
    ) -> None:
        self.stdout = lines.stdout
        self.stderr = lines.stderr
        self.ended = guard.line.fileno()
        self.began: float | None = None
        self.eager_s = EAGER_WAIT_S
        self._lines = lines
        self._line = guard.line
        self._guard = guard.process
        self._keep = keep
        self._mark: int | None = None
        self._program: int | None = None
        self._begun = False
        self._reaped = False

    @property
    def prepared(self) -> bytes:
        """What it has made ready."""
        return self._lines.prepared

    def forget(self) -> None:
        """Let go of it where it is another process's, whose fork this one is."""
        self._reaped = True
        self._line.close()
        self._lines.close()

    def is_ready(self) -> bool:
        """Whether it still waits to begin. One that has just been made does, as far as can be seen."""
        try:
            ended = os.waitid(os.P_PID, self._guard, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else has taken leave of it
            return False
        if ended is not None:
            return False
        if self._program is None and processes.wait_readable(self.ended, 0):
            self._know_program(_STOPPED_S)
            if self._program is None:
                return False
        return self._program is None or not processes.has_ended(self._program)

    def begin(self, spec: Specification) -> None:
        """Have the program started, and wait until the guard says that it runs.

        Raises:
            StartFailed: it says that it does not.
        """
        # Should the guard be killed, its orphans come to this process.
        processes.become_subreaper()
        self._mark = spec.mark
        lines = self._lines
        if self._program is None:
            self._know_program(_START_PATIENCE_S)
        os.pwrite(lines.spec, spec.rest(), len(lines.prepared))  # it has read the first by then
        self.began = time.monotonic()
        with suppress(BrokenPipeError):  # it will be heard that it is gone
            os.write(lines.begin, b"1")
        self._let_go()
        word, *rest = self._report(_START_PATIENCE_S)
        if word == "started" or (word == "" and self._program is not None):
            return  # without a word, its guard was killed by it: it did start
        self._leave()
        spec.check()
        why = os.strerror(int(rest[0])) if word == "failed" else "its guard ended"
        raise StartFailed(
            f"the program {spec.argv[0]!r} could not be started: {why}",
            hint="check that it is a program for this machine and that its arguments are not too long",
        )

    def _know_program(self, patience_s: float) -> None:
        """Hear which process is to be the program."""
        word, *rest = self._report(patience_s)
        if word == "program":
            self._program = int(rest[0])

    def _let_go(self) -> None:
        """One that has not begun never will."""
        if not self._begun:
            self._begun = True
            self._lines.close(self._lines.begin, self._lines.spec)

    def found(self) -> bool:
        """Nothing needs to be learnt while the program lives: the guard knows all."""
        return True

    def is_done(self) -> bool:
        """Never before it has ended: a program that closes its streams may have more to do."""
        return False

    def ask(self) -> bool:
        """SIGTERM to the program's process group, which the guard knows when it reads this."""
        self._order(b"t")
        return True

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
        self._leave(serves=word == "ended")
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
            self._let_go()
            self._order(b"k")
            while (word := self._report(KILL_PATIENCE_S)[0]) not in ("ended", "failed", ""):
                continue
            self._leave()
            if not word and self.began is not None:
                self._end_unguarded()
        self._lines.close()

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
            self._line.send(letter)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has ended; so has all that it guarded

    def _report(self, patience_s: float) -> list[str]:
        """The words of the guard's next message; one empty word when it ended without one, or said none.

        A guard that does not answer within `patience_s` is killed.
        """
        until = time.monotonic() + patience_s
        while not processes.wait_readable(self.ended, _STOPPED_S):
            over = time.monotonic() > until
            processes.send(self._guard, signal.SIGKILL if over else signal.SIGCONT)
        try:
            return self._line.recv(_MESSAGE).decode().split() or [""]
        except ConnectionResetError:
            return [""]

    def _leave(self, *, serves: bool = False) -> None:
        if self._reaped:
            return
        self._reaped = True
        guard = Guard(self._guard, self._line)
        if serves and self._keep is not None:
            self._keep(guard)
        else:
            guard.leave()
