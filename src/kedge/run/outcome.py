"""From how a program ended to what the run was: success, or one failure of one kind."""

from typing import Any, Final

from kedge.errors import (
    ContractError,
    FunctionError,
    Lost,
    OutOfDisk,
    OutOfMemory,
    Problem,
    RunCancelled,
    RunFailed,
    RunTimeout,
    Where,
)
from kedge.executor import Ended
from kedge.task import Resources

# What there is no more room for has been removed by then; see `kedge.contract.pickled`.
_NO_ROOM: Final = "NoRoomError"
_NOTHING_ENDS_IT: Final = " because nothing can end code that runs in Kedge's own process"
STDERR_LINES: Final = 20  # what a person reads of a program that left no error file


def failure_of(
    ended: Ended,
    reported: dict[str, Any] | None,
    problems: list[Problem],
    stderr: str,
    resources: Resources,
    *,
    run_id: str,
    disk_full: bool = False,
) -> RunFailed | None:
    """The run's failure, None when it succeeded.

    Args:
        ended: how the program ended, as its executor saw it.
        reported: the error that the code left in its workspace.
        problems: what its outputs break of the contract.
        stderr: the last lines of its standard error.
        resources: the limits it ran under.
        run_id: its name, for hints.
        disk_full: whether its disk had no room left at its end.
    """
    evidence: dict[str, Any] = {"exit_code": ended.exit_code, "signal": ended.signal}
    if ended.killed:
        evidence["killed_by"] = "kedge"
    if ended.reason == "abandoned":
        return Lost(
            "the command that waited for the run went away, so the run was ended",
            hint="run it again, and leave the command running until it ends",
            evidence=evidence,
            **_user(reported),
        )
    if ended.reason == "cancelled":
        return RunCancelled(
            "the run was cancelled"
            + (f", and went on to its end{_NOTHING_ENDS_IT}" if ended.outlived else "")
            + _last_word(reported),
            hint=f"what it had written is kept: `kedge show {run_id}`",
            evidence=evidence,
            **_user(reported),
        )
    if ended.reason == "timeout":
        limit = "" if resources.timeout is None else f" of {resources.timeout:g} s"
        return RunTimeout(  # without a limit of its task, an executor or middleware has its own
            f"the run outlived its timeout{limit}{_last_word(reported)}",
            hint="raise `timeout` in resources, or give --timeout",
            evidence=evidence,
            **_user(reported),
        )
    if ended.reason == "out_of_disk":
        return OutOfDisk(
            f"the run was killed for its use of the disk: {ended.breach}",
            hint="raise `disk_mb` in resources, make room, or write less",
            evidence=evidence | {"disk_mb": ended.disk_mb},
        )
    if ended.reason == "out_of_memory":
        return _out_of_memory(ended, resources, ended.breach, reported, evidence)
    failed = ended.exit_code != 0 or bool(problems)
    if failed and ended.oom_kills:
        number = "a process" if ended.oom_kills == 1 else f"{ended.oom_kills} processes"
        evidence |= {"killed_by": "kernel", "oom_kills": ended.oom_kills}
        return _out_of_memory(
            ended, resources, f"the kernel killed {number} of it there", reported, evidence
        )
    if failed and (disk_full or (reported is not None and reported.get("type") == _NO_ROOM)):
        return OutOfDisk(
            f"the disk is full, and the run failed{_of_its_own(reported)}",
            hint="make room on the disk that holds KEDGE_HOME",
            evidence=evidence | {"disk_mb": ended.disk_mb, "disk_full": True},
            **_user(reported),
        )
    if ended.exit_code == 0:
        return _of_the_contract(problems, evidence)
    if reported is not None:
        evidence["source"] = reported.get("source")
        if reported.get("type") == "ContractError":
            return _reported_contract_error(reported, evidence)
        message, hint = _split_hint(str(reported.get("error") or "no message"))
        kind = reported.get("type")
        return FunctionError(
            f"{kind}: {message}" if kind else message,
            hint=reported.get("hint") or hint,
            evidence=evidence,
            **_user(reported),
        )
    evidence["source"] = "stderr"
    evidence["stderr"] = stderr
    said = stderr.strip().rsplit("\n", 1)[-1].strip()
    return FunctionError(
        _ending(ended) + (f": {said}" if said else " and wrote nothing to standard error"),
        hint=f"`kedge logs {run_id}` shows everything it wrote",
        evidence=evidence,
    )


def add_refused_forks(failure: RunFailed, ended: Ended, resources: Resources) -> None:
    """Say in a failure that the run reached the limit on its processes, where the kernel counts that."""
    if not ended.forks_refused or ended.reason not in ("exited", "timeout"):
        return
    failure.evidence |= {"forks_refused": ended.forks_refused, "pids": resources.pids}
    _add_hint(
        failure, f"it reached its limit of {resources.pids} processes; raise `pids` in resources"
    )


def add_network_is_off(failure: RunFailed) -> None:
    """Say in a failure of code that had no network that this is so, if the failure looks like it."""
    if isinstance(failure, FunctionError):
        from kedge.run.unreachable import NETWORK_IS_OFF, looks_unreachable

        said = (failure.message, failure.traceback, failure.evidence.get("stderr"))
        if looks_unreachable("\n".join(filter(None, said))):
            _add_hint(failure, NETWORK_IS_OFF)


def _add_hint(failure: RunFailed, said: str) -> None:
    for told in (failure, failure.problems[-1]):
        told.hint = f"{told.hint}; {said}" if told.hint else said


def warnings_of(ended: Ended, reported: dict[str, Any] | None, resources: Resources) -> list[str]:
    """What is odd about a run that succeeded, a sentence each."""
    said = []
    if reported is not None:
        said.append(f"it succeeded and left an error in {reported['source']}: {reported['error']}")
    if ended.oom_kills:
        said.append(
            f"it succeeded although {ended.oom_kills} of its processes"
            f" {'was' if ended.oom_kills == 1 else 'were'} killed"
            f" at its memory limit of {resources.memory_mb} MiB"
        )
    if ended.outlived and resources.timeout is not None:
        said.append(
            f"it went on for {ended.wall_s:.3g} s, past its timeout of {resources.timeout:g} s,"
            f"{_NOTHING_ENDS_IT}; a coroutine can be ended, and what has a process of its own (the executor `process` or `sandbox`)"
        )
    return said


def _out_of_memory(
    ended: Ended,
    resources: Resources,
    what: str,
    reported: dict[str, Any] | None,
    evidence: dict[str, Any],
) -> OutOfMemory:
    peak = ended.peak_memory_mb
    known = f" (measured peak: {peak:.0f} MiB)" if peak is not None else ""
    evidence |= {"limit_mb": resources.memory_mb, "peak_memory_mb": peak}
    return OutOfMemory(
        f"the run reached its memory limit of {resources.memory_mb} MiB{known}: {what}"
        + _of_its_own(reported),
        hint="raise `memory_mb` in resources, or give --memory",
        evidence=evidence,
        **_user(reported),
    )


def _of_its_own(reported: dict[str, Any] | None) -> str:
    """What the code itself said of its end, as the rest of a sentence."""
    if reported is None:
        return ""
    kind, error = reported.get("type"), reported.get("error")
    return f"; it ended with {kind}: {error}" if kind else f"; it ended with: {error}"


def _last_word(reported: dict[str, Any] | None) -> str:
    """What code that was asked to stop said of its end, unless that is what it was told anyway."""
    if reported is None or reported.get("type") == "Cancelled":
        return ""
    return _of_its_own(reported)


def _of_the_contract(problems: list[Problem], evidence: dict[str, Any]) -> ContractError | None:
    if not problems:
        return None
    if len(problems) == 1:
        only = problems[0]
        return ContractError(
            only.message, where=only.where, hint=only.hint, problems=problems, evidence=evidence
        )
    return ContractError(
        f"{len(problems)} problems in the outputs", problems=problems, evidence=evidence
    )


def _reported_contract_error(reported: dict[str, Any], evidence: dict[str, Any]) -> ContractError:
    problems = [
        Problem(
            str(entry.get("message")),
            Where(path=str(entry["path"])) if entry.get("path") else None,
            entry.get("hint"),
        )
        for entry in reported.get("problems") or []
        if isinstance(entry, dict)
    ]
    failure = _of_the_contract(problems, evidence)
    return failure or ContractError(str(reported.get("error")), evidence=evidence)


def _user(reported: dict[str, Any] | None) -> dict[str, Any]:
    if reported is None:
        return {}
    return {"type": reported.get("type"), "traceback": reported.get("traceback")}


def _split_hint(message: str) -> tuple[str, str | None]:
    text, mark, hint = message.partition("\nhint: ")
    return text, hint if mark else None


def _ending(ended: Ended) -> str:
    if ended.signal is None:
        return f"the program ended with exit code {ended.exit_code}"
    import signal

    try:
        name = signal.Signals(ended.signal).name
    except ValueError:
        name = f"signal {ended.signal}"
    meaning = {
        "SIGSEGV": " (it touched memory that is not its own)",
        "SIGKILL": ", and neither by Kedge nor at its memory limit",
    }
    return f"the program was killed by {name}{meaning.get(name, '')}"


def last_lines(data: bytes) -> str:
    """The last lines of what a program wrote, as text that can be stored and shown anywhere."""
    return "\n".join(data.decode("utf-8", "replace").splitlines()[-STDERR_LINES:])
