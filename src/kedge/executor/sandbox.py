"""The `sandbox` executor: a program in namespaces of its own, made by bubblewrap.

It sees the system's files, its package, its inputs and its own folders, and nothing else; it has no
network unless that was asked for, no capabilities, no way to more, and an account that owns nothing.
"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.contract.ownership import remove
from kedge.data import replace
from kedge.errors import InputError, Unavailable
from kedge.executor import identity, launch, limits, ownership, plan, probe, staging
from kedge.executor.base import Executor, Usable
from kedge.executor.bounds import Bounds, bounded
from kedge.executor.bubblewrap import USER_ID
from kedge.executor.program import check_program
from kedge.executor.variables import program_variables
from kedge.executor.watch import watch
from kedge.task.payload import Process

if TYPE_CHECKING:
    from kedge.contract.workspace import StagedFile, Workspace
    from kedge.executor.job import Ended, Job
    from kedge.task.resources import Resources

# bubblewrap takes 9000 arguments, three for each bind; and every mount costs time at start and end.
_MOST_BINDS = 1000

_READ_BY_ALL = 0o004

_TMP = "tmp"

OWN_PROCESSES = 1  # the first one in the sandbox, which is bubblewrap's


class SandboxExecutor(Executor):
    """A program in namespaces, as an unprivileged account, behind a system-call filter."""

    kind: ClassVar[str] = "sandbox"
    kind_name: ClassVar[str] = "Sandbox"
    kind_description: ClassVar[str] = (
        "Runs a program in Linux namespaces, cut off from this machine."
    )
    accepts: ClassVar[tuple[type, ...]] = (Process,)

    def usable(self, *, fresh: bool = False) -> Usable:
        """Whether namespaces work here; tried once, then remembered until the machine restarts."""
        found = probe.look(fresh=fresh)
        return Usable(found.bubblewrap is not None, found.reason, found.hint)

    def missing(self, resources: "Resources") -> list[str]:
        """What of `resources` is not enforced by this executor here."""
        return limits.missing(resources, own_account=identity.needed(), own_namespace=True)

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
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
    private_tmp = os.path.join(folder, _TMP)
    os.mkdir(private_tmp, 0o700)
    after.callback(remove, private_tmp)
    mounts = plan.make_plan(
        payload.root,
        _staged(job, account),
        private_tmp,
        uid=account.uid if account else USER_ID,
        gid=account.gid if account else USER_ID,
        memory_mb=job.resources.memory_mb,
        network=job.network,
        paths=job.paths,
    )
    variables = program_variables(payload, job, plan.WORKSPACE)
    check_program(
        payload.argv, variables, mounts.folder, mounts.locate, by_others=account is not None
    )
    if account is not None:
        _lend(job, account, after)
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
        join=lambda process: limits.hold(process, job, bounds.group),
        terminal=terminal,
    )


def writable(job: "Job") -> list[str]:
    """The folders on disk that a sandboxed program can write to."""
    return [os.path.join(job.workspace.folder, name) for name in ("out", "scratch", _TMP)]


def _lend(job: "Job", account: identity.Identity, after: ExitStack) -> None:
    """Give the run what it may write, until the block ends."""
    owner, group = os.geteuid(), os.getegid()
    for place in writable(job):
        ownership.hand_over(place, account.uid, account.gid, owned_by=owner)
        if os.path.basename(place) != _TMP:
            after.callback(ownership.hand_over, place, owner, group, owned_by=account.uid)


def _staged(job: "Job", account: identity.Identity | None) -> "Workspace":
    """The workspace with those files that can be bound to their places; the others are copied there.

    A bind shows a file with its own permissions: one that only root may read, the run could not.
    """
    bound: list[StagedFile] = []
    for file in job.workspace.files:
        try:
            mode = os.stat(file.source).st_mode
        except OSError as error:
            raise InputError(
                f"the input {file.source!r} cannot be read any more: {error.strerror}",
                hint="give it again",
            ) from error
        if len(bound) < _MOST_BINDS and (account is None or mode & _READ_BY_ALL):
            bound.append(file)
            continue
        copied = staging.stage(file.source, os.path.join(job.workspace.folder, file.name))
        if copied >= staging.NOTEWORTHY_BYTES:
            job.on_notice(
                f"{file.source} was copied ({copied >> 20} MB), since only its owner may read it"
            )
    return replace(job.workspace, files=tuple(bound))
