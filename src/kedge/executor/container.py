"""The `docker` and `podman` executors: a program in a container of its own, made for one run.

The engine isolates it and holds it to its limits. What Kedge adds is the same as in the sandbox: an account
that owns nothing, no capabilities, no network, a root that cannot be written, and the contract's folders.
"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Final

from kedge.contract.ownership import remove
from kedge.data import replace
from kedge.engine.look import Engine, look
from kedge.errors import Unavailable
from kedge.executor import identity, limits
from kedge.executor.base import Executor, Usable
from kedge.executor.bounds import Bounds
from kedge.executor.cgroup import LIMITING
from kedge.executor.contained import REFUSED, Contained, could_not_start
from kedge.executor.container_command import command
from kedge.executor.container_group import ContainerGroup
from kedge.executor.containers import remove_noted
from kedge.executor.descriptors import Descriptors
from kedge.executor.lending import ENGINE, TMP, lend, lend_to_all, writable
from kedge.executor.watch import watch
from kedge.task.payload import ImageRoot, Process
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.executor.job import Ended, Job, Stream
    from kedge.task.resources import Resources

_WORDS: Final = {"memory": "memory is", "cpu": "CPU time is", "pids": "the number of processes is"}
# The words of a container's first process that could not start the program.
_NOT_STARTED: Final = ("[FATAL tini", "ERROR (catatonit", "catatonit: failed")
_TAIL_BYTES: Final = 4096


class ContainerExecutor(Executor):
    """A program in a container that its engine makes for one run and removes after it."""

    accepts: ClassVar[tuple[type, ...]] = (Process,)
    roots: ClassVar[tuple[type, ...]] = (ImageRoot,)

    def usable(self, *, fresh: bool = False) -> Usable:
        """Whether the engine answers; asked once, then remembered until the machine restarts."""
        found = look(self.kind, fresh=fresh)
        if found.engine is not None and not found.engine.local:
            return Usable(
                False,
                f"{self.kind} runs on another machine, which cannot see this one's files",
                "unset DOCKER_HOST, or run Kedge there",
            )
        return Usable(found.engine is not None, found.reason, found.hint)

    def missing(self, resources: "Resources") -> list[str]:
        """What of `resources` is not enforced by this executor here."""
        engine = look(self.kind).engine
        if engine is None:
            return []
        reason = f"{self.kind} has no control groups for it here"
        if self.kind == "docker":  # whose containers are no children of ours
            lacking = [name for name in LIMITING if name not in engine.limits]
            return [f"{_WORDS[name]} not limited ({reason})" for name in lacking]
        counted = limits.counts_processes(own_account=False, own_namespace=engine.rootless)
        return limits.not_held(resources, engine.limits, reason, counted=counted)

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        found = look(self.kind)
        if found.engine is None:
            raise Unavailable(f"{self.kind} does not work here: {found.reason}", hint=found.hint)
        remove_noted(self.kind)
        if job.pool is not None and job.on_changed is None:
            from kedge.executor.warm import asking, executed

            if executed.suits(found.engine, payload.root):
                try:
                    return executed.execute(job.pool, found.engine, payload, payload.root, job)
                except asking.NotWarmError as why:
                    if str(why):
                        job.on_notice(f"each call has a container of its own: {why}")
        heard = _Heard(job)
        with ExitStack() as after:
            group = ContainerGroup(found.engine.limits)
            bounds = Bounds(job, group, writable(job))
            after.callback(bounds.close)
            job = replace(job, on_output=heard.output)
            program = _start(found.engine, payload, payload.root, job, group, after)
            program.on_writable = bounds.also
            ended = watch(program, job, bounds, program.network)
        heard.check(ended, payload.argv[0])
        return ended


class DockerExecutor(ContainerExecutor):
    """A container made by Docker."""

    kind: ClassVar[str] = "docker"
    kind_name = _("Docker")
    kind_description = _("Runs a program of an image in a container made by Docker.")


class PodmanExecutor(ContainerExecutor):
    """A container made by Podman."""

    kind: ClassVar[str] = "podman"
    kind_name = _("Podman")
    kind_description = _("Runs a program of an image in a container made by Podman.")


class _Heard:
    """Passes on what a container writes, and knows its first process's word that nothing could be started."""

    def __init__(self, job: "Job") -> None:
        self._pass_on = job.on_output
        self._last = b""

    def output(self, stream: "Stream", data: bytes) -> None:
        """Hand on one chunk."""
        if stream == "stderr":
            self._last = (self._last + data)[-_TAIL_BYTES:]
        self._pass_on(stream, data)

    def check(self, ended: "Ended", program: str) -> None:
        """Raise StartFailed if the program was not there to be started."""
        if ended.exit_code not in (1, *REFUSED) or ended.reason != "exited":
            return
        lines = self._last.decode(errors="replace").strip().splitlines()
        if lines and lines[-1].startswith(_NOT_STARTED):
            raise could_not_start(f"{program}: {lines[-1].rpartition(': ')[2]}")


def _start(
    engine: Engine,
    payload: Process,
    root: ImageRoot,
    job: "Job",
    group: ContainerGroup,
    after: ExitStack,
) -> "Contained":
    """Start a program in a container made for it.

    Raises:
        InputError: an input cannot be had.
        StartFailed: the engine's program could not be started.
    """
    folder = job.workspace.folder
    private_tmp = os.path.join(folder, TMP)
    os.mkdir(private_tmp, 0o700)
    after.callback(remove, private_tmp)
    engine_folder = os.path.join(folder, ENGINE)
    os.mkdir(engine_folder, 0o700)
    after.callback(remove, engine_folder)
    account = after.enter_context(identity.claimed()) if identity.needed() else None
    if root.as_its_user:
        lend_to_all(job, engine, after)
    elif account is not None:
        lend(job, account, after)
    arguments, own = command(engine, payload, root, job, account, engine_folder)
    mine = Descriptors()
    try:
        with limits.kept_to(limits.processors(job.resources, job.run_id, group)):
            contained = Contained(
                mine, engine, arguments, own, job.run_id, group, engine_folder, job.publish
            )
    except BaseException:
        mine.close()
        raise
    if root.writable:
        contained.on_changed = job.on_changed
    return contained
