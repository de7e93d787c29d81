"""From how a program ended to one failure of one kind, and the words for it."""

from typing import Any

import pytest

from kedge.errors import Problem, Where
from kedge.executor import Ended
from kedge.run.outcome import add_refused_forks, failure_of, last_lines, warnings_of
from kedge.task import Resources

LIMITS = Resources(cpu=1.0, memory_mb=128, timeout=2.5)
RAISED = {
    "error": "no convergence",
    "type": "SolverError",
    "traceback": "Traceback …",
    "source": "out/_runner_error.json",
}
MISSING = [Problem("the output `a` is missing", Where(path="a"), "return it")]


def ended(**facts: Any) -> Ended:
    """A program that ended so; by itself with 0 unless told otherwise."""
    whole: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "reason": "exited",
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "peak_memory_mb": 1.0,
        "read_bytes": 0,
        "written_bytes": 0,
    }
    return Ended(**(whole | facts))


TABLE: list[tuple[dict[str, Any], dict[str, Any] | None, list[Problem], str, str | None, str]] = [
    ({}, None, [], "", None, ""),
    ({}, RAISED, [], "", None, ""),
    ({}, None, MISSING, "", "contract_error", "the output `a` is missing"),
    ({}, None, MISSING * 2, "", "contract_error", "2 problems in the outputs"),
    ({"exit_code": 1}, RAISED, MISSING, "", "function_error", "SolverError: no convergence"),
    ({"exit_code": 1}, {"error": "x\nhint: y", "type": None}, [], "", "function_error", "x"),
    ({"exit_code": 1}, {"error": None}, [], "", "function_error", "no message"),
    ({"exit_code": 3}, None, [], "a\nlast words\n", "function_error",
     "the program ended with exit code 3: last words"),
    ({"exit_code": 3}, None, [], "", "function_error",
     "the program ended with exit code 3 and wrote nothing to standard error"),
    ({"exit_code": None, "signal": 11}, None, [], "", "function_error", "SIGSEGV (it touched memory"),
    ({"exit_code": None, "signal": 9}, None, [], "", "function_error",
     "was killed by SIGKILL, and neither by Kedge nor at its memory limit"),
    ({"exit_code": None, "signal": 63}, None, [], "", "function_error", "signal 63"),
    ({"exit_code": 1}, {"type": "ContractError", "error": "bad"}, [], "", "contract_error", "bad"),
    ({"exit_code": 1}, {"type": "ContractError", "error": "bad", "problems": "odd"}, [], "",
     "contract_error", "bad"),
    ({"exit_code": 1}, {"type": "ContractError", "error": "bad", "problems": [
        {"message": "`a` is NaN", "path": "a", "hint": None}, 7]}, [], "", "contract_error",
     "`a` is NaN"),
    ({"reason": "cancelled", "exit_code": 143}, RAISED, [], "", "cancelled", "cancelled"),
    ({"reason": "cancelled"}, None, [], "", "cancelled", "cancelled"),
    ({"reason": "timeout", "exit_code": None, "signal": 9}, None, [], "", "timeout", "2.5 s"),
    ({"reason": "out_of_memory", "exit_code": None, "signal": 9}, None, [], "", "out_of_memory",
     "its memory limit of 128 MiB (measured peak: 1 MiB)"),
    ({"exit_code": 1, "oom_kills": 1, "peak_memory_mb": 97.4}, None, [], "", "out_of_memory",
     "128 MiB (measured peak: 97 MiB): the kernel killed a process of it there"),
    ({"exit_code": 1, "oom_kills": 2, "peak_memory_mb": None}, None, [], "", "out_of_memory",
     "128 MiB: the kernel killed 2 processes of it there"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "reported", "problems", "stderr", "kind", "words"), TABLE)
def test_each_ending_is_one_kind_of_failure(
    facts: dict[str, Any],
    reported: dict[str, Any] | None,
    problems: list[Problem],
    stderr: str,
    kind: str | None,
    words: str,
) -> None:
    failure = failure_of(ended(**facts), reported, problems, stderr, LIMITS, run_id="r")
    if kind is None:
        assert failure is None
        return
    assert failure is not None
    assert failure.kind == kind
    assert words in failure.message
    assert failure.evidence["signal"] == facts.get("signal")


def test_the_users_exception_is_kept_with_the_failure() -> None:
    for reason in ("exited", "timeout", "cancelled"):
        failure = failure_of(ended(exit_code=1, reason=reason), RAISED, [], "", LIMITS, run_id="r")
        assert failure is not None
        assert (failure.type, failure.traceback) == ("SolverError", "Traceback …")


def test_a_hint_in_the_message_becomes_the_hint() -> None:
    reported = {"error": "x\nhint: try y", "type": "E"}
    failure = failure_of(ended(exit_code=1), reported, [], "", LIMITS, run_id="r")
    assert failure is not None
    assert (failure.message, failure.hint) == ("E: x", "try y")


@pytest.mark.parametrize(
    ("killed", "words"),
    [(1, "1 of its processes was killed"), (2, "2 of its processes were killed")],
)
def test_killed_processes_of_a_run_that_succeeded_are_a_warning(killed: int, words: str) -> None:
    (said,) = warnings_of(ended(oom_kills=killed), None, LIMITS)
    assert words in said


LIMIT_REACHED = "it reached its limit of 512 processes; raise `pids` in resources"


@pytest.mark.parametrize(
    ("facts", "reported", "hint"),
    [
        ({"exit_code": 1, "forks_refused": 3}, RAISED, LIMIT_REACHED),
        ({"exit_code": 1, "forks_refused": 3}, RAISED | {"hint": "wait"}, f"wait; {LIMIT_REACHED}"),
        ({"exit_code": 1}, RAISED | {"hint": "wait"}, "wait"),
        ({"reason": "cancelled", "forks_refused": 3}, None, "what it had written is kept: `kedge show r`"),
    ],
)  # fmt: skip
def test_refused_processes_are_told_with_what_a_run_failed_of(
    facts: dict[str, Any], reported: dict[str, Any] | None, hint: str
) -> None:
    failure = failure_of(ended(**facts), reported, [], "", LIMITS, run_id="r")
    assert failure is not None
    add_refused_forks(failure, ended(**facts), LIMITS)
    assert failure.hint == failure.problems[0].hint == hint
    assert failure.evidence.get("forks_refused") == (3 if LIMIT_REACHED in hint else None)


def test_the_last_lines_are_text_whatever_was_written() -> None:
    assert last_lines(b"\xff\n" * 50) == "\n".join(["\ufffd"] * 20)
    assert last_lines(b"") == ""
