"""What a run may write is lent to the account it runs as; what that account may not read is copied."""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from kedge.data import replace
from kedge.errors import InputError
from kedge.executor import identity, ownership, staging

if TYPE_CHECKING:
    from kedge.contract.workspace import StagedFile, Workspace
    from kedge.engine.look import Engine
    from kedge.executor.job import Job

TMP: Final = "tmp"  # beside scratch: what the program sees as /tmp

_WRITABLE: Final = ("out", "scratch", TMP)
ENGINE: Final = "engine"  # beside it, where an engine's program works
_LENT_FILE: Final = "lent"  # in there: the run whose image's user may have written to the folders

_READ_BY_ALL: Final = 0o004


def writable(job: "Job") -> list[str]:
    """The folders on disk that a program with a root of its own can write to."""
    return [os.path.join(job.workspace.folder, name) for name in _WRITABLE]


def lend(job: "Job", account: identity.Identity, after: ExitStack) -> None:
    """Give the run what it may write, until the block ends."""
    owner, group = os.geteuid(), os.getegid()
    for place in writable(job):
        ownership.hand_over(place, account.uid, account.gid, owned_by=owner)
        if os.path.basename(place) != TMP:
            after.callback(ownership.hand_over, place, owner, group, owned_by=account.uid)


def lend_to_all(job: "Job", engine: "Engine", after: ExitStack) -> None:
    """Let whatever user the image names write there, until the block ends; all is the caller's then."""
    from kedge.executor.giving_back import give_back

    private, places = os.path.join(job.workspace.folder, ENGINE), writable(job)
    with open(os.path.join(private, _LENT_FILE), "w") as file:
        file.write(job.run_id)
    for place in places:
        for below, _, _ in os.walk(place):
            os.chmod(below, 0o777)

    def take_back() -> None:
        if why := give_back(engine, job.run_id, places, private):
            job.on_notice(f"what the image's user wrote could not be taken over: {why}")

    after.callback(take_back)


def take_back_left(kind: str, workspace: str) -> None:
    """Do what `lend_to_all` was to do after its block, for a run whose holder is gone."""
    from kedge.engine.look import look
    from kedge.executor.giving_back import give_back

    private = os.path.join(workspace, ENGINE)
    try:
        with open(os.path.join(private, _LENT_FILE)) as file:
            run_id = file.read()
    except OSError:
        return
    if (engine := look(kind).engine) is not None:
        places = [os.path.join(workspace, name) for name in _WRITABLE]
        give_back(engine, run_id, [place for place in places if os.path.isdir(place)], private)


def readable(job: "Job", most: int, *, by_others: bool) -> "Workspace":
    """The workspace with those files that can be bound to their places; the others are copied there.

    A bind shows a file with its own permissions: one that only its owner may read, an account of the run's
    own (`by_others`) could not. More than `most` binds are not made.

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
        if len(bound) < most and (not by_others or mode & _READ_BY_ALL):
            bound.append(file)
            continue
        copied = staging.stage(file.source, os.path.join(job.workspace.folder, file.name))
        if copied >= staging.NOTEWORTHY_BYTES:
            job.on_notice(
                f"{file.source} was copied ({copied >> 20} MB), since only its owner may read it"
            )
    return replace(job.workspace, files=tuple(bound))
