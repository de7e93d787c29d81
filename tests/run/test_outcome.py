"""From how a program ended to one failure of one kind, and the words for it."""

from typing import Any

import pytest

from kedge.errors import Problem, Where
from kedge.executor import Ended
from kedge.run.outcome import failure_of, last_lines
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
    ({"exit_code": None, "signal": 9}, None, [], "", "function_error", "SIGKILL from outside"),
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
     "128 MiB"),
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


def test_the_last_lines_are_text_whatever_was_written() -> None:
    assert last_lines(b"\xff\n" * 50) == "\n".join(["\ufffd"] * 20)
    assert last_lines(b"") == ""
