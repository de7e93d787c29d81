"""One call in a fork, as the loop that all executors share sees it."""

import errno
import json
import marshal
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, final

from kedge.contract.workspace import Workspace
from kedge.data import replace
from kedge.environment.folders import make_folder
from kedge.errors import Lost, StartFailed
from kedge.executor import identity, limits, plan, processes
from kedge.executor.bounds import Bounds
from kedge.executor.job import Ended, Job
from kedge.executor.lending import TMP, lend, readable, writable
from kedge.executor.program import check_program
from kedge.executor.variables import program_variables
from kedge.executor.warm import looks, messages
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.kept_group import Shared
from kedge.executor.warm.places import SHARED_MEMORY
from kedge.executor.warm.pool import Pool, Taken
from kedge.executor.warm.wanted import LIKE_A_SHELL
from kedge.executor.watch import EAGER_WAIT_S, KILL_PATIENCE_S, Outcome, watch
from kedge.task.payload import Forkable, Process

_LEAVE_S: Final = 0.02  # as a program in a sandbox of its own gets, to be buried with what it used
_PACKET: Final = 1 << 16
_WORD, _DIGITS = 16, 4  # of a number of an error
_NAME_BYTES: Final = 7  # twice as many letters: the kernel keeps 15
_MOST_FILES: Final = 1000  # mounted; more are copied


def execute(pool: Pool, payload: Process, job: Job) -> Ended:
    """Make one call in a fork of a process of `pool`.

    Raises:
        NotWarmError: it has to run cold; nothing was changed.
        StartFailed, InputError: an input cannot be had.
        Lost: it cannot be killed.
    """
    with ExitStack() as after:
        key, mounts = pool.plan_of(payload, job)
        private_tmp = os.path.join(job.workspace.folder, TMP)
        make_folder(private_tmp)
        after.callback(pool.removal.remove, private_tmp)
        _make_places(mounts, private_tmp)
        has_account = identity.needed()
        found = readable(job, _MOST_FILES, by_others=has_account)
        taken = pool.take(key, payload, job, found)
        after.callback(pool.give_back, taken)
        if has_account:
            lend(job, identity.Identity(*taken.account), after)
        group = None
        if taken.group is not None and taken.before is not None:
            group = Shared(taken.group, taken.before)
        bounds = Bounds(job, group, writable(job))
        after.callback(bounds.close)
        try:
            limits.hold(taken.process, job, group)
        except ProcessLookupError:  # it was killed while it waited
            raise NotWarmError("") from None
        early = pool.answers_early and isinstance(payload.forkable, Forkable)
        done = os.urandom(_NAME_BYTES).hex() if early else ""
        order = _order(payload, job, done)
        pool.wait_mounted(key, taken, job)
        os.chmod(private_tmp, 0o700)  # nothing more is mounted in it
        check = partial(_check, payload, job, mounts, found, by_others=has_account)
        return watch(Forked(taken, order, done, check), job, bounds)


def _check(
    payload: Process, job: Job, mounts: plan.MountPlan, shown: Workspace, *, by_others: bool
) -> None:
    """Say why a program was not executed, as far as that can be seen.

    Raises:
        StartFailed: it is not there, not executable, or cannot be passed on.
    """
    places = {f"{plan.WORKSPACE}/{one.name}": one.source for one in shown.files}
    places |= {
        f"{plan.WORKSPACE}/{name}": os.path.join(shown.folder, name)
        for name in ("in", "out", "scratch")
    }

    def locate(path: str) -> str | None:
        for place, source in places.items():
            if path == place or path.startswith(f"{place}/"):
                return source + path.removeprefix(place)
        if (found := mounts.locate(path)) is None and path.startswith("/tmp/"):
            return os.path.join(shown.folder, TMP) + path.removeprefix("/tmp")
        return found

    variables = program_variables(payload, job, plan.WORKSPACE)
    check_program(payload.argv, variables, _folder(payload), locate, by_others=by_others)


def _folder(payload: Process) -> str:
    """Where a program starts."""
    return f"{plan.WORKSPACE}/{payload.folder}" if payload.folder else plan.WORKSPACE


def _make_places(mounts: plan.MountPlan, private_tmp: str) -> None:
    """Where something of the host that is shown below /tmp will be mounted."""
    for path in mounts.below("/tmp"):
        place = private_tmp + path.removeprefix("/tmp")
        if os.path.isdir(mounts.locate(path) or path):
            make_folder(place)
        else:
            make_folder(os.path.dirname(place))
            with open(place, "x"):
                pass


@final
class Forked:
    """A fork at work: a `kedge.executor.watch.Program`.

    Args:
        taken: the fork.
        order: what it is told.
        done: the name that it takes when it has nothing more to do.
        check: raises the StartFailed that says why it could not become its program, if it can be said.
    """

    def __init__(self, taken: Taken, order: bytes, done: str, check: Callable[[], None]) -> None:
        self.stdout = taken.stdout
        self.stderr = taken.stderr
        self.ended = taken.ended
        self.eager_s = EAGER_WAIT_S
        self._taken = taken
        self._done = done
        self._check = check
        self._error = 0  # why it was not executed
        self._killed = False
        self._settled = False
        self._used: tuple[int, ...] | None = None  # if it had nothing more to do
        self.began: float | None = time.monotonic()
        _tell(taken, order)

    def found(self) -> bool:
        """All is known from the beginning."""
        return True

    def is_done(self) -> bool:
        """Whether it waits for its end: then that is not waited for."""
        if self._done:
            self._used = looks.used_by(self._taken.process, self._done)
        return self._used is not None

    def ask(self) -> bool:
        """SIGTERM to its process group, which is there."""
        processes.ask_to_end(self._taken.process)
        return True

    def ask_all(self) -> None:
        """SIGTERM to all of its processes."""
        for process in self.processes():
            processes.send(process, signal.SIGTERM)
            processes.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to everything it started: with the slot's first process, the kernel kills all in it."""
        self._killed = True
        for process in self.processes():
            processes.send(process, signal.SIGKILL)
        if not processes.wait_readable(self.ended, _LEAVE_S):
            processes.kill(self._taken.first_ended)

    def processes(self) -> list[int]:
        """The host's numbers of its living processes."""
        taken = self._taken
        if taken.group is not None:
            return [one for one in taken.group.processes() if one != taken.first]
        found = [taken.process, *processes.descendants(taken.process)]
        return [*found, *processes.descendants(taken.first)]

    def shared_memory(self) -> str | None:
        """Its /dev/shm as seen from here."""
        return f"/proc/{self._taken.first}/root{SHARED_MEMORY}"

    def refused(self, said: bytes) -> StartFailed:  # noqa: ARG002 - nothing was written
        """The error when it could not become its program."""
        try:
            self._check()
        except StartFailed as why:
            return why
        return StartFailed(
            f"the program could not be started: {os.strerror(self._error)}",
            hint="check that it is a program for this machine and that its arguments are not too long",
        )

    def settle(self) -> Outcome:
        """Have its slot emptied, and say how it ended."""
        if self._used is not None:
            processes.kill(self.ended)  # it can start nothing from now on
            if looks.is_alone(self._taken.process, self._taken.first):
                self._settled = self._taken.is_leaving = True
            else:
                processes.wait_readable(self.ended, KILL_PATIENCE_S)
                self._end()
            return _outcome(0, None, (0, *self._used))
        usage, is_lost = self._end()
        status = processes.exit_status(self.ended)
        if status is None and usage is not None:
            status = usage[0]
        if is_lost and not self._killed and status in (None, signal.SIGKILL):
            raise Lost("the process that the call was forked from ended", hint="run it again")
        if status is not None and self._was_not_executed():
            return replace(_outcome(None, None, usage), started=False)
        code: int | None = None
        number: int | None = int(signal.SIGKILL)
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
        elif status is not None:
            code, number = os.WEXITSTATUS(status), None
        return _outcome(code, number, usage)

    def _was_not_executed(self) -> bool:
        """Whether it could not become its program, as it has said before anything else could."""
        try:
            said = self._taken.call.recv(_WORD, socket.MSG_DONTWAIT)
        except OSError:  # it was executed, and nobody has the other end any more
            return False
        self._error = int(said) if said.isdigit() and len(said) <= _DIGITS else errno.EINVAL
        return bool(said)

    def close(self) -> None:
        """Kill what still runs."""
        if not self._settled:
            self.kill()
            processes.wait_readable(self.ended, KILL_PATIENCE_S)
            with suppress(Lost):
                self._end()

    def _end(self) -> tuple[tuple[int, ...] | None, bool]:
        """Until nothing of the call is left: what it used, and whether it may have ended for no fault of its own.

        What it used: see `kedge.executor.warm.states.Slot`.
        """
        self._settled = self._taken.is_awaited = True
        line = self._taken.line
        try:
            messages.send(line, ("end",))
            if not processes.wait_readable(line.fileno(), 2 * KILL_PATIENCE_S):
                raise Lost(
                    "a process of the run could not be killed",
                    hint="it waits in the kernel, for a disk or network that does not answer",
                )
            found = messages.receive(line)
        except OSError:
            found = None
        if found is None:  # the keeper was killed, and everything with it
            return None, True
        self._taken.is_awaited = False
        _, usage, is_lost = found[0]
        return usage, is_lost


def _order(payload: Process, job: Job, done: str) -> bytes:
    """What a fork is told. `done` is the name that it takes when it has nothing more to do."""
    variables = program_variables(payload, job, plan.WORKSPACE) | LIKE_A_SHELL
    if not isinstance(payload.forkable, Forkable):
        folder = _folder(payload)
        texts = {
            name: str(value) for name, value in variables.items()
        }  # not what says that it is secret
        return marshal.dumps(
            {"argv": (*payload.argv,), "env": texts | {"PWD": folder}, "folder": folder}
        )
    order = {"env": variables, "instructions": payload.forkable.instructions, "done": done}
    return json.dumps(order).encode()


def _outcome(code: int | None, number: int | None, usage: tuple[int, ...] | None) -> Outcome:
    """An outcome. For `usage` see `kedge.executor.warm.states.Slot`."""
    return Outcome(
        started=True,
        exit_code=code,
        signal=number,
        cpu_s=usage[1] / 1e6 if usage is not None else None,
        peak_memory_mb=usage[2] / 1024 if usage is not None else None,
        read_bytes=usage[3] if usage is not None else None,
        written_bytes=usage[4] if usage is not None else None,
    )


def _tell(taken: Taken, data: bytes) -> None:
    """Let the fork make its call."""
    with suppress(OSError):  # it has ended, which will be seen
        taken.call.send(str(len(data)).encode())
        for start in range(0, len(data), _PACKET):
            taken.call.send(data[start : start + _PACKET])
