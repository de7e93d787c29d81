"""One call in a container that is kept: executed there by its engine, seen by the loop that all executors share."""

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, final

from kedge import digest
from kedge.contract.ownership import remove
from kedge.data import Data, asdict
from kedge.engine.look import Engine
from kedge.engine.programs import call, dies_with_us
from kedge.errors import Lost, StartFailed
from kedge.executor import identity, processes
from kedge.executor.bounds import Bounds
from kedge.executor.contained import REFUSED, could_not_start
from kedge.executor.container_command import told, waiting_command
from kedge.executor.container_group import ContainerGroup
from kedge.executor.containers import name_of, remove_container
from kedge.executor.descriptors import Descriptors
from kedge.executor.lending import TMP, lend, readable, writable
from kedge.executor.plan import WORKSPACE
from kedge.executor.warm import messages
from kedge.executor.warm.asking import NotWarmError, ask
from kedge.executor.warm.kept_group import Shared
from kedge.executor.warm.places import COVERED, PLACES
from kedge.executor.warm.pool import Pool
from kedge.executor.watch import EAGER_WAIT_S, KILL_PATIENCE_S, Outcome, watch
from kedge.task.payload import ImageRoot, Process

if TYPE_CHECKING:
    from kedge.executor.job import Ended, Job

_MOST_FILES: Final = 50  # mounted; more are copied
_LOOK_S: Final = 0.002  # between two looks at what was killed
_COVERED: Final = tuple(f"{place}/" for place in COVERED)
_NUMBER: Final = "{{.Id}} {{.State.Pid}}"

# What waits in a container. An image without a shell and `sleep` has no warm containers.
_WAIT: Final = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done")


class _Container(Data):
    """A container for calls.

    Args:
        name: in the place of a run's id.
        id: the engine's.
        first: the number of its first process.
        own: the processes that wait in it, the first one too.
        account: who the calls are.
    """

    name: str
    id: str
    first: int
    own: tuple[int, ...]
    account: tuple[int, int]


def suits(engine: Engine, root: ImageRoot) -> bool:
    """Whether a container can be cleaned from outside, so that it may serve several calls."""
    return (
        os.geteuid() == 0
        and engine.local
        and not engine.rootless
        and {"memory", "pids"} <= set(engine.limits)
        and not root.writable
        and not root.as_its_user
    )


def execute(pool: Pool, engine: Engine, payload: Process, root: ImageRoot, job: "Job") -> "Ended":
    """Make one call in a container of `pool`.

    Raises:
        NotWarmError: it has to have a container of its own; nothing was changed.
        StartFailed, InputError: the program or an input cannot be had.
        Lost: it cannot be killed.
    """
    key = _key(engine, payload, root, job)
    if key in pool.cold:
        raise NotWarmError("")
    with ExitStack() as after:
        private_tmp = os.path.join(job.workspace.folder, TMP)
        os.mkdir(private_tmp, 0o700)
        after.callback(remove, private_tmp)
        line = after.enter_context(pool.line())
        try:
            container = _container(line, key, engine, root, job)
        except NotWarmError as error:
            if str(error):
                pool.note_cold(key, str(error))
                with suppress(OSError):  # it was killed
                    messages.send(line, ("unfit", key))
            raise
        found = readable(job, _MOST_FILES, by_others=identity.needed())
        files = [(os.path.realpath(one.source), f"{WORKSPACE}/{one.name}") for one in found.files]
        folder, memory_mb = job.workspace.folder, job.resources.memory_mb
        if ask(line, job, "show", folder, files, memory_mb)[0] != "shown":
            raise NotWarmError("")
        if identity.needed():
            lend(job, identity.Identity(*container.account), after)
        group = ContainerGroup(engine.limits)
        group.know(container.id, container.first)
        bounds = Bounds(job, Shared(group, group.usage()), writable(job))
        after.callback(bounds.close)
        program = _start(engine, container, group, payload, root, job)
        after.callback(_give_back, line, program)
        return watch(program, job, bounds)


def _give_back(line: socket.socket, program: "Executed") -> None:
    try:
        messages.send(line, ("back", program.is_clean))
    except OSError:  # the keeper was killed; what came of the call is known all the same
        line.close()


def _key(engine: Engine, payload: Process, root: ImageRoot, job: "Job") -> str:
    resources = job.resources
    return digest.of_json([
        *("container", engine.kind, engine.path, asdict(root), dict(payload.env)),
        *(job.workspace.package if root.visible else None, job.network, job.paths),
        *(resources.cpu, resources.memory_mb, resources.pids),
    ])  # fmt: skip


def _container(
    line: socket.socket, key: str, engine: Engine, root: ImageRoot, job: "Job"
) -> _Container:
    """One that waits, or a new one."""
    what, *words, _ = ask(line, job, "borrow", key, engine.kind, job.package)
    if what == "cold":
        raise NotWarmError("")
    found = words[0]
    if what == "lent":
        return _Container(**found)
    if hidden := [path for path in job.paths if path.startswith(_COVERED)]:
        raise NotWarmError(f"`{hidden[0]}` is in a folder of which each call has its own")
    try:
        return _started(line, engine, root, job, found)
    except BaseException:
        remove_container(engine.kind, found["name"])
        raise


def _started(
    line: socket.socket, engine: Engine, root: ImageRoot, job: "Job", found: dict[str, Any]
) -> _Container:
    """A new container, in the place that the keeper has made for it."""
    account = identity.Identity(*found["waiting"]) if identity.needed() else None
    words = waiting_command(engine, root, job, found["name"], account, found["place"], _WAIT)
    made = call(engine.path, *words, folder=found["place"])
    looked = call(engine.path, "container", "inspect", "--format", _NUMBER, name_of(found["name"]))
    described = looked.out.split()
    if made.code != 0 or looked.code != 0 or len(described) != 2 or described[1] == "0":
        raise NotWarmError("its image has no shell that could wait for calls")
    first = int(described[1])
    group = ContainerGroup(engine.limits)
    group.know(described[0], first)
    group.count_kills(job.resources.memory_mb)
    if set(group.writable()) - {f"/proc/{first}/root{place}" for place in PLACES}:
        raise NotWarmError("its image declares volumes, which calls would share")
    container = _Container(
        found["name"],
        described[0],
        first,
        (first, *processes.descendants(first)),
        tuple(found["account"]),
    )
    held = os.pidfd_open(first)
    try:
        messages.send(line, ("started", first, asdict(container)), (held,))
    finally:
        os.close(held)
    return container


def _start(
    engine: Engine,
    container: _Container,
    group: ContainerGroup,
    payload: Process,
    root: ImageRoot,
    job: "Job",
) -> "Executed":
    own, named = told(engine, payload, root, job)
    uid, gid = container.account
    words = [
        *("exec", "--user", f"{uid}:{gid}", "--workdir", root.folder),
        *(word for name in named for word in ("--env", name)),
        *(name_of(container.name), *payload.argv),
    ]
    mine = Descriptors()
    stdout, stdout_end = mine.pipe()
    stderr, stderr_end = mine.pipe()
    try:
        client = subprocess.Popen(
            [*dies_with_us(), engine.path, *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout_end,
            stderr=stderr_end,
            env=own,
            start_new_session=True,
        )
    except OSError as error:
        mine.close()
        raise StartFailed(
            f"{engine.path} could not be started: {error.strerror}", hint="install it anew"
        ) from error
    mine.close(stdout_end, stderr_end)
    return Executed(mine, client, container, group, stdout, stderr)


@final
class Executed:
    """A program at work in a container that is kept: a `kedge.executor.watch.Program`.

    `is_clean` says, in the end, whether nothing of it is left in the container.
    """

    def __init__(
        self,
        descriptors: Descriptors,
        client: "subprocess.Popen[bytes]",
        container: _Container,
        group: ContainerGroup,
        stdout: int,
        stderr: int,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.ended = descriptors.add(os.pidfd_open(client.pid))
        self.began: float | None = None
        self.eager_s = EAGER_WAIT_S
        self.is_clean = False
        self._eager_until = time.monotonic() + KILL_PATIENCE_S
        self._descriptors = descriptors
        self._client = client
        self._container = container
        self._group = group
        self._stopped = False

    def found(self) -> bool:
        """Whether its process has been seen, or is not worth looking for any longer."""
        if self.began is None and self.processes():
            self.began = time.monotonic()
        return self.began is not None or time.monotonic() > self._eager_until

    def is_done(self) -> bool:
        """Never before it has ended: what it is doing is not to be seen from here."""
        return False

    def ask(self) -> bool:
        """SIGTERM to the program's process group; False while there is no program."""
        self._stopped = True
        below = self.processes()
        for process in below:
            if processes.parent_of(process) not in below:
                with suppress(ProcessLookupError):
                    processes.ask_to_end(os.getpgid(process))
                return True
        return False

    def ask_all(self) -> None:
        """SIGTERM to all of its processes."""
        for process in self.processes():
            processes.send(process, signal.SIGTERM)
            processes.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all of its processes; to the engine's program while there is none yet."""
        self._stopped = True
        for process in self.processes():
            processes.send(process, signal.SIGKILL)
        if self.began is None:
            self._client.kill()

    def processes(self) -> list[int]:
        """The host's numbers of its processes that live now."""
        own = self._container.own
        return [one for one in self._group.processes() if one not in own]

    def shared_memory(self) -> str | None:
        """The engine counts it."""
        return None

    def settle(self) -> Outcome:
        """Kill what it left, and say how it ended."""
        code = self._client.wait()
        self.is_clean = self._empty() and code >= 0
        exit_code, number = processes.told_apart(code) if code >= 0 else (None, -code)
        was_started = self.began is not None or code not in REFUSED
        return Outcome(was_started or self._stopped, exit_code, number, None, None, None, None)

    def refused(self, said: bytes) -> StartFailed:
        """The error for what its engine wrote instead of starting it."""
        lines = said.decode(errors="replace").strip().splitlines()
        return could_not_start(lines[-1] if lines else "")

    def close(self) -> None:
        """Kill what still runs, and let go of the descriptors."""
        if self._client.returncode is None:
            self.kill()
            self._client.kill()
            self._client.wait()
            with suppress(Lost):
                self._empty()
        self._descriptors.close()

    def _empty(self) -> bool:
        until = time.monotonic() + KILL_PATIENCE_S
        while left := self.processes():
            for process in left:
                processes.send(process, signal.SIGKILL)
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        return True
