"""The `sandbox` executor: a program in namespaces of its own, made by bubblewrap.

It sees the system's files, its package, its inputs and its own folders, and nothing else; it has no
network unless that was asked for, no capabilities, no way to more, and an account that owns nothing.
"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.contract.ownership import remove
from kedge.data import replace
from kedge.errors import Unavailable
from kedge.executor import identity, launch, limits, marks, plan, probe
from kedge.executor.base import Executor, Usable
from kedge.executor.bounds import Bounds, bounded
from kedge.executor.bubblewrap import USER_ID
from kedge.executor.lending import TMP, lend, readable, writable
from kedge.executor.program import check_open, check_program
from kedge.executor.variables import program_variables
from kedge.executor.watch import watch
from kedge.task.payload import Forkable, Process, PythonRoot
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.executor.job import Ended, Job
    from kedge.task.resources import Resources

# bubblewrap takes 9000 arguments, three for each bind; and every mount costs time at start and end.
_MOST_BINDS = 1000

OWN_PROCESSES = 1  # the first one in the sandbox, which is bubblewrap's


class SandboxExecutor(Executor):
    """A program in namespaces, as an unprivileged account, behind a system-call filter."""

    kind: ClassVar[str] = "sandbox"
    kind_name = _("Sandbox")
    kind_description = _("Runs a program in Linux namespaces, cut off from this machine.")
    accepts: ClassVar[tuple[type, ...]] = (Process,)

    def usable(self, *, fresh: bool = False) -> Usable:
        """Whether namespaces work here; tried once, then remembered until the machine restarts."""
        found = probe.look(fresh=fresh)
        return Usable(found.bubblewrap is not None, found.reason, found.hint)

    def missing(self, resources: "Resources") -> list[str]:
        """What of `resources` is not enforced by this executor here."""
        return limits.missing(resources, own_account=identity.needed(), own_namespace=True)

    def waits_for(self, payload: Any) -> bool:
        """A fork, for what one can do."""
        return getattr(payload, "forkable", None) is not None

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        if job.pool is not None and payload.forkable is not None:
            from kedge.executor.warm import asking, forked

            try:
                return forked.execute(job.pool, payload, job)
            except asking.NotWarmError as why:
                job.on_starting()
                if str(why) and isinstance(
                    payload.forkable, Forkable
                ):  # else nobody expects otherwise
                    job.on_notice(f"`{job.function}` runs cold: {why}")
        with ExitStack() as after:
            bounds = after.enter_context(bounded(job, writable(job), OWN_PROCESSES))
            program = start(payload, job, bounds, after)
            return watch(program, job, bounds)


def start(
    payload: Process, job: "Job", bounds: Bounds, after: ExitStack, *, terminal: bool = False
) -> launch.Sandboxed:
    """Start a program in a sandbox made for it.

    Args:
        payload: the program.
        job: its surroundings.
        bounds: what it is held to.
        after: told how to tidy up once it has ended.
        terminal: whether it has this process's own streams and session.

    Raises:
        Unavailable: there are no sandboxes here.
        StartFailed, InputError: the program, or an input, cannot be had.
    """
    found = probe.look()
    bubblewrap = found.bubblewrap
    if bubblewrap is None:
        raise Unavailable(f"the sandbox does not work here: {found.reason}", hint=found.hint)
    account = after.enter_context(identity.claimed()) if identity.needed() else None
    folder = job.workspace.folder
    private_tmp = os.path.join(folder, TMP)
    os.mkdir(private_tmp, 0o700)
    after.callback(remove, private_tmp)
    mounts = plan.make_plan(
        payload.root,
        readable(job, _MOST_BINDS, by_others=account is not None),
        private_tmp,
        uid=account.uid if account else USER_ID,
        gid=account.gid if account else USER_ID,
        memory_mb=job.resources.memory_mb,
        network=job.shares_network,
        paths=job.paths,
    )
    if payload.folder:
        mounts = replace(mounts, folder=f"{plan.WORKSPACE}/{payload.folder}")
    variables = program_variables(payload, job, plan.WORKSPACE)
    check_program(
        payload.argv, variables, mounts.folder, mounts.locate, by_others=account is not None
    )
    if account is not None:
        if isinstance(payload.root, PythonRoot):
            check_open(payload.root.visible)
        lend(job, account, after)
    return launch.start(
        bubblewrap,
        mounts,
        payload.argv,
        variables,
        account,
        limits.process_limits(
            job.resources,
            bounds.held_by_kernel,
            own_account=account is not None,
            own_namespace=True,
        ),
        mark=marks.of(job.run_id),
        join=lambda process: limits.hold(process, job, bounds.group),
        terminal=terminal,
    )
