"""The `process` executor: a program on the host, for machines without namespaces.

The contract is the same: a workspace, an environment made from nothing, no process that outlives its run.
The isolation is the kernel's where it has Landlock: files by an allow-list, TCP, signals; and a filter of
system calls closes what other sockets there are. The workspace is a real folder at a real path. What is
not closed anywhere: named Unix sockets, modes and times of files, System V memory, which are as
open to the code as its account makes them.

Started by root, the program becomes an unprivileged account when such an account can reach everything it
needs; Kedge's home under a closed `/root` is the usual reason that it cannot, and then it stays root, with
no other privilege than to pass through closed folders, and says so.
"""

import os
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from kedge.contract.ownership import remove
from kedge.executor import (
    cgroups,
    guarded,
    identity,
    landlock,
    limits,
    marks,
    ownership,
    seccomp,
    staging,
)
from kedge.executor.base import Executor, Usable
from kedge.executor.bounds import Bounds, bounded
from kedge.executor.program import check_program
from kedge.executor.reach import reach
from kedge.executor.variables import program_variables
from kedge.executor.watch import watch
from kedge.task.payload import Process, PythonRoot
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.job import Ended, Job
    from kedge.task.resources import Resources

_RUN_FOLDERS = ("in", "out", "scratch")
_SHARED_MEMORY = "/dev/shm"
_TMP = ".kedge-tmp"  # beside scratch, where a package's own entries are shown as well


class ProcessExecutor(Executor):
    """A program as a plain process tree of this machine."""

    kind: ClassVar[str] = "process"
    kind_name = _("Process")
    kind_description = _(
        "Runs a program as a process of this machine, confined by Landlock where the kernel has it."
    )
    accepts: ClassVar[tuple[type, ...]] = (Process,)

    def usable(self, *, fresh: bool = False) -> Usable:  # noqa: ARG002 - nothing is remembered
        """Whether this is a Linux machine with a /proc, by which processes are found."""
        if sys.platform == "linux" and os.path.exists("/proc/self/stat"):
            return Usable(True)
        return Usable(
            False, "processes are followed through Linux's /proc", "mount /proc, or use Linux"
        )

    def workspace(self, job: "Job") -> str:
        """The folder itself: nothing is mounted for it."""
        return job.workspace.folder

    def missing(self, resources: "Resources") -> list[str]:
        """What of `resources` and of isolation is not enforced by this executor here."""
        return [
            *_open_files(),
            *_open_network(),
            *_uncounted_memory(),
            *limits.missing(resources, own_account=identity.needed(), own_namespace=False),
        ]

    def waits_for(self, payload: Any) -> bool:  # noqa: ARG002 - as that of any executor
        """A guard, for every program."""
        return True

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        with ExitStack() as after:
            post = None if job.pool is None else job.pool.guards.post(job.resources)
            if post is not None:
                after.enter_context(post)
            if post is None or not post.waits:
                job.on_starting()
            if post is None:
                bounds = after.enter_context(bounded(job, writable(job)))
            else:
                bounds = Bounds(job, post.group(), writable(job))
                after.callback(bounds.close)
            spec = specification(payload, job, bounds, after)
            program = guarded.start(spec) if post is None else guarded.start(spec, post.ready)
            return watch(program, job, bounds)


def specification(
    payload: Process, job: "Job", bounds: Bounds, after: ExitStack
) -> guarded.Specification:
    """Make ready what a program without a sandbox finds, and say what its guard is to do.

    Args:
        payload: the program.
        job: its surroundings.
        bounds: what it is held to.
        after: told how to tidy up once it has ended.

    Raises:
        StartFailed, InputError: the program, or an input, cannot be had.
    """
    folder = job.workspace.folder
    account = _account(job, after)
    owner = account.uid if account else None
    variables = program_variables(payload, job, folder)
    variables.setdefault("TMPDIR", os.path.join(folder, _TMP))
    _stage(job)
    after.callback(_clear, folder, _show_package(job.workspace))
    version = landlock.abi()
    reached = reach(
        payload.root,
        job.workspace,
        os.path.join(folder, _TMP),
        paths=job.paths,
        own_account=account is not None,
    )
    starts_in = os.path.join(folder, payload.folder) if payload.folder else folder
    if account is not None:
        _lend(job, account, after)
    reads_closed = owner is not None and _is_closed(payload, job)
    if reads_closed and not version:
        job.on_notice(
            "the code can read every file of this machine: what it needs is closed to others, and there"
            " is no Landlock here to say which of it"
        )
    os.chmod(folder, 0o555)
    after.callback(os.chmod, folder, 0o755)
    rules: landlock.Ruleset | None = None
    own: tuple[tuple[str, int], ...] = ()
    if version:
        whole = reached.ruleset(version, network=job.shares_network)
        rules, own = whole.apart(os.path.realpath(folder))
    return guarded.Specification(
        argv=payload.argv,
        variables=variables,
        folder=starts_in,
        limits=limits.process_limits(
            job.resources,
            bounds.held_by_kernel,
            own_account=owner is not None,
            own_namespace=False,
        ),
        account=owner,
        reads_closed=reads_closed,
        mark=marks.of(job.run_id),
        landlock=rules,
        paths=own,
        filter_program=_filter(network=job.shares_network),
        entrances=() if bounds.group is None else bounds.group.entrances,
        processors=limits.processors(job.resources, job.run_id, bounds.group),
        check=partial(
            check_program,
            payload.argv,
            variables,
            starts_in,
            reached.locate if version else str,
            by_others=owner is not None,
        ),
    )


def writable(job: "Job") -> list[str]:
    """The folders on disk that a program without a sandbox can write to."""
    return [os.path.join(job.workspace.folder, name) for name in ("out", "scratch", _TMP)]


def _open_files() -> list[str]:
    found = landlock.state()
    if not found.abi:
        why = f"{found.reason} ({found.hint})"
        return [f"files are not isolated: the code can read and write what its account can; {why}"]
    said = [
        "named Unix sockets, and the modes and times of files, are open to the code as to its account"
    ]
    if not identity.needed():
        said.append("what the code leaves in /dev/shm stays there")
    if found.abi < landlock.TRUNCATION:
        said.append(
            f"the code can empty any file that its account can write: Landlock is old ({found.hint})"
        )
    if found.abi < landlock.RENAMES:
        said.append(f"the code cannot move files between folders: Landlock is old ({found.hint})")
    if found.abi < landlock.SIGNALS and not identity.needed():
        said.append(
            f"the code can end other processes of its account: Landlock is old ({found.hint})"
        )
    return said


def _uncounted_memory() -> list[str]:
    if "memory" in cgroups.available().controllers:
        return []
    return ["files in /dev/shm that the code has closed do not count as its memory"]


def _open_network() -> list[str]:
    if seccomp.supported():
        return []
    if landlock.abi() < landlock.TCP:
        return ["the network is not closed to the code"]
    return ["of the network, only TCP is closed to the code"]


def _filter(*, network: bool) -> bytes | None:
    return seccomp.guarded_filter(network=network) if seccomp.supported() else None


def _account(job: "Job", after: ExitStack) -> identity.Identity | None:
    """The account to become: none for an ordinary user, and for root where there are none to give."""
    if os.geteuid() != 0:
        return None
    if identity.needed():
        account = after.enter_context(identity.claimed())
        ownership.remove_of(_SHARED_MEMORY, account.uid)  # of a run that was killed with its Kedge
        after.callback(ownership.remove_of, _SHARED_MEMORY, account.uid)
        return account
    held = ", kept to its own files and processes by Landlock" if landlock.abi() else ""
    job.on_notice(f"the code runs as root{held}: there are no user numbers for it here")
    return None


def _is_closed(payload: Process, job: "Job") -> bool:
    """Whether something that the program needs is closed to others than root, as below `/root`."""
    visible = payload.root.visible if isinstance(payload.root, PythonRoot) else ()
    package = () if job.workspace.package is None else (job.workspace.package,)
    needed = (job.workspace.folder, *package, *visible, *job.paths)
    return not all(_reachable(path) for path in needed)


def _reachable(path: str) -> bool:
    """Whether everybody may pass through the folders above `path` and read it."""
    real = os.path.realpath(path)
    while real != "/":
        try:
            if not os.stat(real).st_mode & 0o001 and os.path.isdir(real):
                return False
        except OSError:
            return False
        real = os.path.dirname(real)
    return True


def _lend(job: "Job", account: identity.Identity, after: ExitStack) -> None:
    owner, group = os.geteuid(), os.getegid()
    for place in writable(job):
        ownership.hand_over(place, account.uid, account.gid, owned_by=owner)
        if os.path.basename(place) != _TMP:
            after.callback(ownership.hand_over, place, owner, group, owned_by=account.uid)


def _stage(job: "Job") -> None:
    copied = 0
    for file in job.workspace.files:
        copied += staging.stage(file.source, os.path.join(job.workspace.folder, file.name))
    if copied >= staging.NOTEWORTHY_BYTES:
        job.on_notice(
            f"{copied >> 20} MB of input files were copied; the sandbox would not have to"
        )


def _show_package(workspace: "Workspace") -> list[str]:
    """Links to the package's entries, and a private folder for temporary files; what was made."""
    made = [os.path.join(workspace.folder, _TMP)]
    os.mkdir(made[0], 0o700)
    for name in os.listdir(workspace.package) if workspace.package else ():
        if name not in _RUN_FOLDERS:
            link = os.path.join(workspace.folder, name)
            os.symlink(os.path.join(str(workspace.package), name), link)
            made.append(link)
    return made


def _clear(folder: str, made: list[str]) -> None:
    os.chmod(folder, 0o755)
    for path in made:
        remove(path)
