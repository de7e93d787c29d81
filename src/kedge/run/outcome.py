"""From how a program ended to what the run was: success, or one failure of one kind."""

from typing import Any

from kedge.errors import (
    ContractError,
    FunctionError,
    OutOfMemory,
    Problem,
    RunCancelled,
    RunFailed,
    RunTimeout,
    Where,
)
from kedge.executor import Ended
from kedge.task import Resources

_STDERR_LINES = 20  # what a person reads of a program that left no error file


def failure_of(
    ended: Ended,
    reported: dict[str, Any] | None,
    problems: list[Problem],
    stderr: str,
    resources: Resources,
) -> RunFailed | None:
    """The run's failure, None when it succeeded.

    Args:
        ended: how the program ended, as its executor saw it.
        reported: the error that the code left in its workspace.
        problems: what its outputs break of the contract.
        stderr: the last lines of its standard error.
        resources: the limits it ran under.
    """
    evidence: dict[str, Any] = {"exit_code": ended.exit_code, "signal": ended.signal}
    if ended.reason == "cancelled":
        return RunCancelled("the run was cancelled", evidence=evidence, **_user(reported))
    if ended.reason == "timeout":
        return RunTimeout(
            f"the run outlived its timeout of {resources.timeout:g} s",
            hint="raise `timeout` in resources, or give --timeout",
            evidence=evidence,
            **_user(reported),
        )
    if ended.reason == "out_of_memory":
        return OutOfMemory(
            f"the run was killed at its memory limit of {resources.memory_mb} MiB",
            hint="raise `memory_mb` in resources, or give --memory",
            evidence=evidence,
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
        hint="`kedge logs last` shows everything it wrote",
        evidence=evidence,
    )


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
    meaning = {"SIGSEGV": " (it touched memory that is not its own)", "SIGKILL": " from outside"}
    return f"the program was killed by {name}{meaning.get(name, '')}"


def last_lines(data: bytes) -> str:
    """The last lines of what a program wrote, as text that can be stored and shown anywhere."""
    return "\n".join(data.decode("utf-8", "replace").splitlines()[-_STDERR_LINES:])
