"""What a run may write is lent to the account it runs as; what that account may not read is copied."""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from kedge.data import replace
from kedge.errors import InputError
from kedge.executor import identity, ownership, staging

if TYPE_CHECKING:
    from kedge.contract.workspace import StagedFile, Workspace
    from kedge.executor.job import Job

TMP: Final = "tmp"  # beside scratch: what the program sees as /tmp

_READ_BY_ALL: Final = 0o004


def writable(job: "Job") -> list[str]:
    """The folders on disk that a program with a root of its own can write to."""
    return [os.path.join(job.workspace.folder, name) for name in ("out", "scratch", TMP)]


def lend(job: "Job", account: identity.Identity, after: ExitStack) -> None:
    """Give the run what it may write, until the block ends."""
    owner, group = os.geteuid(), os.getegid()
    for place in writable(job):
        ownership.hand_over(place, account.uid, account.gid, owned_by=owner)
        if os.path.basename(place) != TMP:
            after.callback(ownership.hand_over, place, owner, group, owned_by=account.uid)


def readable(job: "Job", account: identity.Identity | None, most: int) -> "Workspace":
    """The workspace with those files that can be bound to their places; the others are copied there.

    A bind shows a file with its own permissions: one that only root may read, the run could not. More than
    `most` binds are not made.

    Raises:
        InputError: a file cannot be had.
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
        if len(bound) < most and (account is None or mode & _READ_BY_ALL):
            bound.append(file)
            continue
        copied = staging.stage(file.source, os.path.join(job.workspace.folder, file.name))
        if copied >= staging.NOTEWORTHY_BYTES:
            job.on_notice(
                f"{file.source} was copied ({copied >> 20} MB), since only its owner may read it"
            )
    return replace(job.workspace, files=tuple(bound))
