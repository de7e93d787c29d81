"""The test cases of a package, each a run of its own."""

import os
import time
from typing import TYPE_CHECKING, Any

from kedge.cli.text import table
from kedge.cli.values import named
from kedge.data import Data, replace
from kedge.errors import KedgeError, RunFailed, UsageError
from kedge.executor import Cancel
from kedge.package.machine import this_machine
from kedge.package.manifest import load
from kedge.package.source import open_package
from kedge.package.testcases import TestCase, load_cases
from kedge.run import core
from kedge.run.sweep import at_once
from kedge.run.warmth import kept_warm

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

# Of those above the space, what XML 1.0 and UTF-8 have no place for.
_NOT_XML = frozenset(map(chr, (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)))


class Outcome(Data):
    """What came of one case: nothing in `differences` means that it passed."""

    case: TestCase
    differences: tuple[str, ...]
    wall_s: float
    run: str | None


def work(
    observer: core.Observer,
    cancel: Cancel,
    *,
    package: str,
    function: str | None,
    executor: str | None,
    jobs: int | None,
    junit: str | None,
) -> dict[str, Any]:
    """Run the cases of a package, or of one function.

    Returns:
        The outcomes as `document` and as `text`, how many cases were `not_run`, and whether it was
        `stopped`.
    """
    with cancel.interrupting():
        core.settle()
        source = open_package(package)
    name = named(source.function, function)
    with core.ready(source, name, observer, cancel, executor=executor) as found:
        ready = replace(found, entry=None)
    description = ready.prepared.description
    if name is not None:
        description.function(name)
    cases = load_cases(load(source.root), name)
    if not cases:
        raise UsageError(
            f"`{description.name}` has no test cases",
            hint="name a JSON file under `testcases:`, or add tests/test_*.json",
        )
    outcomes = _run_all(ready, cases, executor, jobs or _cpus(), cancel)
    if junit is not None:
        _write_junit(junit, description.name, outcomes)
    return {
        "document": _document(outcomes),
        "text": _table(outcomes),
        "not_run": len(cases) - len(outcomes),
        "stopped": cancel.requested,
    }


def _run_all(
    ready: core.Ready,
    cases: list[TestCase],
    executor: str | None,
    jobs: int,
    cancel: Cancel,
) -> list[Outcome]:
    """Every case, `jobs` at once. A request to stop ends the running ones and starts no more."""
    found: dict[int, Outcome] = {}
    asked = time.monotonic()

    def one(numbered: tuple[int, TestCase]) -> None:
        number, case = numbered
        found[number] = _run_one(ready, case, executor, cancel, asked, pool)

    with kept_warm(len(cases)) as pool:
        for _, ended in at_once(one, enumerate(cases), min(jobs, len(cases)), cancel):
            ended.result()
    return [found[number] for number in sorted(found)]


def _run_one(
    ready: core.Ready,
    case: TestCase,
    executor: str | None,
    cancel: Cancel,
    asked: float,
    pool: "Pool | None",
) -> Outcome:
    function = ready.prepared.description.functions[case.function]
    inputs = case.staged(function.input_ports)
    request = core.Request(case.function, inputs, executor=executor, asked=asked)
    try:
        result = core.run(ready, request, cancel=Cancel(cancel), pool=pool)
    except KedgeError as error:
        return Outcome(case, _unexpected(case, error, None), 0.0, None)
    wall = result.run.measured.get("wall_s") or 0.0
    if result.failure is not None:
        return Outcome(
            case, _unexpected(case, result.failure, result.failure.type), wall, result.run.id
        )
    if case.raises is not None:
        return Outcome(case, (f"expected {case.raises}, and it succeeded",), wall, result.run.id)
    return Outcome(case, tuple(case.differences(result.outputs)), wall, result.run.id)


def _unexpected(case: TestCase, error: KedgeError, raised: str | None) -> tuple[str, ...]:
    """How an error differs from what the case expects; nothing when it is the one it expects."""
    names = {raised, raised.rsplit(".", 1)[-1] if raised else None, error.code}
    if case.raises is not None and case.raises in names:
        return ()
    expected = f"expected {case.raises}, got " if case.raises is not None else ""
    lines = [f"{expected}{problem}" for problem in error.problems]
    if isinstance(error, RunFailed) and error.traceback:
        lines += error.traceback.rstrip("\n").splitlines()
    return tuple(lines)


def _cpus() -> int:
    return max(1, int(this_machine().cpu))


def _table(outcomes: list[Outcome]) -> str:
    rows = [
        [
            "FAILED" if outcome.differences else "passed",
            outcome.case.function,
            outcome.case.name,
            f"{outcome.wall_s:.2f} s",
        ]
        for outcome in outcomes
    ]
    return table(rows)


def _document(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "passed": sum(not outcome.differences for outcome in outcomes),
        "failed": sum(bool(outcome.differences) for outcome in outcomes),
        "cases": [
            {
                "function": outcome.case.function,
                "name": outcome.case.name,
                "passed": not outcome.differences,
                "differences": list(outcome.differences),
                "wall_s": outcome.wall_s,
                "run": outcome.run,
            }
            for outcome in outcomes
        ],
    }


def _write_junit(path: str, package: str, outcomes: list[Outcome]) -> None:
    from xml.etree import ElementTree as Xml

    failures = sum(bool(outcome.differences) for outcome in outcomes)
    suite = Xml.Element(
        "testsuite", name=package, tests=str(len(outcomes)), failures=str(failures), errors="0"
    )
    for outcome in outcomes:
        case = Xml.SubElement(
            suite,
            "testcase",
            classname=f"{package}.{outcome.case.function}",
            name=_xml(outcome.case.name),
            file=os.path.relpath(outcome.case.file),
            time=f"{outcome.wall_s:.3f}",
        )
        if outcome.differences:
            failure = Xml.SubElement(case, "failure", message=_xml(outcome.differences[0]))
            failure.text = _xml("\n".join(outcome.differences))
    try:
        Xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(
            f"the report `{path}` cannot be written: {error.strerror}", hint="name another file"
        ) from error


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return "".join(
        "�" if char in _NOT_XML or (char < " " and char not in "\t\n") else char for char in text
    )
