"""Starting a program in bubblewrap, and holding on to it."""

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, final

from kedge.errors import Lost, StartFailed
from kedge.executor import marks, processes, seccomp
from kedge.executor.bubblewrap import Bubblewrap, arguments, becoming
from kedge.executor.descriptors import Descriptors, inheritable, numbers_in_child, streams
from kedge.executor.identity import Identity
from kedge.executor.plan import MountPlan, Text
from kedge.executor.watch import EAGER_WAIT_S, KILL_PATIENCE_S, Outcome

LOOKS = 50  # for the program's own process, a millisecond apart, before that is given up

LEAVE_S = 0.02  # ten times what it takes to bury a few processes; a fork bomb is not waited for

Limits = Mapping[int, tuple[int, int]]

# Python ignores SIGPIPE and SIGXFSZ, and ignored signals are inherited.
_INHERITED_SIGNALS = (
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def start(
    bubblewrap: Bubblewrap,
    plan: MountPlan,
    argv: tuple[str, ...],
    variables: Mapping[str, str],
    identity: Identity | None,
    limits: Limits,
    *,
    mark: int | None = None,
    join: Callable[[int], None] = lambda _: None,
    terminal: bool = False,
) -> "Sandboxed":
    """Start `argv` in a sandbox made from `plan`.

    bubblewrap is held back between its birth and its work, so that limits apply from the first
    instruction on. Should this process be killed meanwhile, it stays held back, until somebody kills what
    bears the run's mark.

    Args:
        bubblewrap: what the probe found.
        plan: what the program sees.
        argv: the program and its arguments, as found inside.
        variables: all of its environment.
        identity: the account to become, for root; None for an ordinary user.
        limits: RLIMIT_* → (soft, hard) of everything inside.
        mark: the run's (`kedge.executor.marks`).
        join: called with the first process of the sandbox while it is held back, to bring it, and with
            it all that it will start, under further limits.
        terminal: whether it has the streams and the session of this process, as somebody's shell, in place
            of pipes and a session of its own.

    Raises:
        StartFailed: bubblewrap itself could not be started.
    """
    if identity is not None:
        argv, variables = becoming(identity, argv, variables)
    mine = Descriptors()
    try:
        program, hold = _start(
            mine,
            bubblewrap,
            plan,
            argv,
            variables,
            as_root=identity is not None,
            mark=mark,
            terminal=terminal,
        )
    except BaseException:
        mine.close()
        raise
    try:
        program.release(hold, limits, join)
    except BaseException:
        program.close()
        raise
    return program


def _start(
    mine: Descriptors,
    bubblewrap: Bubblewrap,
    plan: MountPlan,
    argv: tuple[str, ...],
    variables: Mapping[str, str],
    *,
    as_root: bool,
    mark: int | None,
    terminal: bool,
) -> tuple["Sandboxed", int]:
    """The program, held back until `release` is called with the descriptor that comes with it."""
    stdout, stdout_end = (-1, -1) if terminal else mine.pipe()
    stderr, stderr_end = (-1, -1) if terminal else mine.pipe()
    status, status_end = mine.pipe()
    hold_end, hold = mine.pipe()
    rules = mine.memory(seccomp.filter_program())
    texts = {
        entry.path: mine.memory(entry.content.encode())
        for entry in plan.entries
        if isinstance(entry, Text)
    }
    listed = mine.memory(b"")
    theirs = (status_end, hold_end, rules, listed, *texts.values())
    places = numbers_in_child((*theirs, hold))
    options = [
        *arguments(
            bubblewrap,
            plan,
            variables,
            {path: places[descriptor] for path, descriptor in texts.items()},
            as_root=as_root,
            terminal=terminal,
        ),
        *("--seccomp", str(places[rules])),
        *("--json-status-fd", str(places[status_end])),
        *("--block-fd", str(places[hold_end])),
        # The other end too: what is held back goes on when nobody has it any more.
        *("--sync-fd", str(places[hold])),
    ]
    os.write(listed, b"".join(os.fsencode(option) + b"\0" for option in options))
    os.lseek(listed, 0, os.SEEK_SET)
    try:
        with marks.inherited(mark):
            outer = os.posix_spawn(
                bubblewrap.path,
                ["bwrap", "--args", str(places[listed]), "--", *argv],
                {},
                file_actions=[
                    # A descriptor of the caller's is a way out of the sandbox, or a secret.
                    *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in inheritable()),
                    *(() if terminal else streams(stdout_end, stderr_end)),
                    *((os.POSIX_SPAWN_DUP2, source, place) for source, place in places.items()),
                ],
                setsid=not terminal,
                setsigmask=(),
                setsigdef=_INHERITED_SIGNALS,
            )
    except OSError as error:
        raise StartFailed(
            f"{bubblewrap.path!r} could not be started: {error.strerror}",
            hint="check the installation of bubblewrap, and that the arguments are not too long",
        ) from error
    mine.close(*(() if terminal else (stdout_end, stderr_end)), *theirs)
    return Sandboxed(mine, outer, stdout, stderr, status), hold


@final
class Sandboxed:
    """A program inside bubblewrap.

    Three processes matter: bubblewrap itself outside, which ends when the program does; its child, the
    first process of the new namespace, with which the kernel kills all others there; and the program.
    """

    def __init__(
        self, descriptors: Descriptors, outer: int, stdout: int, stderr: int, status: int
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.ended = descriptors.add(os.pidfd_open(outer))
        self.began: float | None = time.monotonic()
        self.eager_s = EAGER_WAIT_S
        self._descriptors = descriptors
        self._outer = outer
        self._status = status
        self._said = b""
        self._inner: int | None = None
        self._inner_fd = -1
        self._program: int | None = None
        self._program_fd = -1
        self._io_fd = -1
        self._looks = 0
        self._killed = False
        self._reaped = False

    def release(self, hold: int, limits: Limits, join: Callable[[int], None]) -> None:
        """Set `limits` and `join` further ones, then let bubblewrap go to work by writing to `hold`."""
        # While bubblewrap gets ready: loading what this needs takes about as long.
        processes.become_subreaper()
        self._inner = self._await_inner()
        if self._inner is None:
            return
        with suppress(ProcessLookupError, BrokenPipeError):  # it cannot start, and says why
            self._inner_fd = self._descriptors.add(os.pidfd_open(self._inner))
            for limit, values in limits.items():
                resource.prlimit(self._inner, limit, values)
            join(self._inner)
            os.write(hold, b"1")
        self._descriptors.close(hold)

    def found(self) -> bool:
        """Whether the program's own process is known, or is not worth looking for any longer."""
        if self._program is None and self._inner is not None and self._looks < LOOKS:
            self._looks += 1
            child = processes.first_child(self._inner)
            if child is not None:
                try:
                    self._program_fd = self._descriptors.add(os.pidfd_open(child))
                except ProcessLookupError:
                    return False
                self._program = child
                # Opened now: what has ended shows its counts only to those who had asked before.
                counts = processes.open_io(self._inner)
                if counts is not None:
                    self._io_fd = self._descriptors.add(counts)
        return self._program is not None or self._inner is None or self._looks >= LOOKS

    def is_done(self) -> bool:
        """Never before it has ended: a program that closes its streams may have more to do."""
        return False

    def ask(self) -> bool:
        """SIGTERM to the program's process group; False while there is no program."""
        program = self._program or (self._inner and processes.first_child(self._inner))
        if not program:
            return False
        with suppress(ProcessLookupError):
            processes.ask_to_end(os.getpgid(program))
        return True

    def ask_all(self) -> None:
        """SIGTERM to every process of the sandbox."""
        for process in self.processes():
            processes.send(process, signal.SIGTERM)
            processes.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the sandbox: with its first process, the kernel kills every other one in it."""
        self._killed = True
        if self._inner is not None:
            # The first process gets the chance to take leave of the others, or nobody would know what
            # they used: the kernel forgets that of those it kills itself.
            for process in processes.descendants(self._inner):
                processes.send(process, signal.SIGKILL)
            if processes.wait_readable(self.ended, LEAVE_S):
                return
        processes.kill(self.ended)
        if self._inner_fd >= 0:
            processes.kill(self._inner_fd)

    def processes(self) -> list[int]:
        """The host's numbers of the sandbox's living processes, but for its first."""
        return processes.descendants(self._inner) if self._inner is not None else []

    def shared_memory(self) -> str | None:
        """The sandbox's /dev/shm as seen from here."""
        return f"/proc/{self._program}/root/dev/shm" if self._program is not None else None

    def refused(self, said: bytes) -> StartFailed:
        """The error when it was not started, from the last of what was written to standard error."""
        lines = said.decode(errors="replace").strip().splitlines()
        return StartFailed(
            f"the program could not be started{': ' + lines[-1] if lines else ''}",
            hint="bubblewrap says why above; as another way, --executor process runs without a sandbox",
        )

    def settle(self) -> Outcome:
        """Wait until the sandbox is empty, and say how the program ended."""
        read = written = None
        usage: resource.struct_rusage | None = None
        if self._inner_fd >= 0 and self._inner is not None:
            processes.kill(self._inner_fd)
            if not processes.wait_readable(self._inner_fd, KILL_PATIENCE_S):
                raise Lost(
                    f"a process of the run could not be killed within {KILL_PATIENCE_S:g} seconds",
                    hint="it waits in the kernel, for a disk or network that does not answer",
                )
            read, written = processes.io_bytes(self._io_fd)
            usage = _reap(self._inner)
        _reap(self._outer)
        self._reaped = True
        code = self._exit_code()
        status = processes.exit_status(self._program_fd) if self._program_fd >= 0 else None
        exit_code, number = _told_apart(code, status, killed=self._killed)
        return Outcome(
            started=code is not None or self._killed,
            exit_code=exit_code,
            signal=number,
            cpu_s=usage.ru_utime + usage.ru_stime if usage else None,
            peak_memory_mb=usage.ru_maxrss / 1024 if usage else None,
            read_bytes=read,
            written_bytes=written,
        )

    def close(self) -> None:
        """Kill what still runs and let go of the descriptors."""
        if not self._reaped:
            self.kill()
            if (
                self._inner_fd >= 0
                and self._inner is not None
                and processes.wait_readable(self._inner_fd, KILL_PATIENCE_S)
            ):
                _reap(self._inner)
            if processes.wait_readable(self.ended, KILL_PATIENCE_S):
                _reap(self._outer)
            self._reaped = True
        self._descriptors.close()

    def _await_inner(self) -> int | None:
        while (said := self._told("child-pid")) is None and (data := os.read(self._status, 4096)):
            self._said += data
        return said

    def _exit_code(self) -> int | None:
        while data := os.read(self._status, 4096):
            self._said += data
        return self._told("exit-code")

    def _told(self, name: str) -> int | None:
        for document in _documents(self._said):
            if name in document:
                return int(document[name])
        return None


def _documents(said: bytes) -> Iterator[dict[str, Any]]:
    """The complete JSON documents that bubblewrap has written, a line each."""
    for line in said.split(b"\n")[:-1]:
        if line.strip():
            yield json.loads(line)


def _told_apart(
    code: int | None, status: int | None, *, killed: bool
) -> tuple[int | None, int | None]:
    """Exit code and signal, one of them None.

    `status` is the program's wait status where the kernel keeps it; `code` is what bubblewrap makes of
    it, in which 128 + n may be a signal or the program's own choice. Where they contradict each other the
    status is another's: the program was over before it was found, and an orphan of its was taken for it.
    """
    if status is not None and code in (None, _as_code(status)):
        if os.WIFSIGNALED(status):
            return None, os.WTERMSIG(status)
        return os.WEXITSTATUS(status), None
    if code is None:
        return (None, int(signal.SIGKILL)) if killed else (None, None)
    return processes.told_apart(code)


def _as_code(status: int) -> int:
    """What bubblewrap makes of a wait status."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _reap(process: int) -> resource.struct_rusage | None:
    """Take leave of an ended process; what it and its children used, None when it is not ours."""
    try:
        return os.wait4(process, 0)[2]
    except ChildProcessError:
        return None
