"""`kedge test`: a package's test cases, each a run of its own in the real runtime."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kedge.cli.display import Display
from kedge.cli.report import say, table, write_json, write_text
from kedge.errors import KedgeError, RunFailed, UsageError

if TYPE_CHECKING:
    from kedge.executor import Cancel
    from kedge.package.source import PackageSource
    from kedge.package.testcases import TestCase
    from kedge.run.prepare import Prepared

# Of those above the space, what XML 1.0 and UTF-8 have no place for.
_NOT_XML = frozenset(map(chr, (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)))
_POLL_S = 0.1  # how soon a request to stop reaches the cases that run


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: nothing in `differences` means that it passed."""

    case: "TestCase"
    differences: tuple[str, ...]
    wall_s: float
    run: str | None


@click.command("test")
@click.argument("package")
@click.argument("function", required=False)
@click.option("--junit", metavar="FILE", help="Write a JUnit XML report too.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
@click.option("--executor", metavar="KIND", help="How to run them: auto, sandbox or process.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Cases at once; one a CPU if not given.")
def command(
    package: str,
    function: str | None,
    junit: str | None,
    as_json: bool,
    executor: str | None,
    jobs: int | None,
) -> int:
    """Run a package's test cases in its real runtime."""
    from kedge.cli.commands.run import cancelling
    from kedge.package.manifest import load
    from kedge.package.source import open_package
    from kedge.package.testcases import load_cases
    from kedge.run import core
    from kedge.run.prepare import prepare

    core.settle()
    source = open_package(package)
    with Display() as display:
        prepared = prepare(source, display.step)
    name = function or source.function
    if name is not None:
        prepared.description.function(name)
    cases = load_cases(load(source.root), name)
    if not cases:
        raise UsageError(
            f"`{prepared.description.name}` has no test cases",
            hint="name a JSON file under `testcases:`, or add tests/test_*.json",
        )
    with cancelling() as cancel:
        outcomes = _run_all(source, prepared, cases, executor, jobs or _cpus(), cancel)
    failed = [outcome for outcome in outcomes if outcome.differences]
    if junit is not None:
        _write_junit(junit, prepared.description.name, outcomes)
    if as_json:
        write_json(_document(outcomes))
    else:
        write_text(_table(outcomes))
        for outcome in failed:
            say(f"{outcome.case.function}, {outcome.case.name}:")
            for difference in outcome.differences:
                say(f"  {difference}")
        say(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    if cancel.requested:
        return 130
    return 1 if failed else 0


def _run_all(
    source: "PackageSource",
    prepared: "Prepared",
    cases: "list[TestCase]",
    executor: str | None,
    jobs: int,
    cancel: "Cancel",
) -> list[Outcome]:
    """Every case, `jobs` at once. A request to stop ends the running ones and starts no more."""
    from kedge.executor import Cancel

    running: set[Cancel] = set()
    lock = threading.Lock()

    def one(case: "TestCase") -> Outcome:
        own = Cancel()
        with lock:
            if cancel.requested:
                own.request()
            running.add(own)
        try:
            return _run_one(source, prepared, case, executor, own)
        finally:
            with lock:
                running.discard(own)

    with ThreadPoolExecutor(min(jobs, len(cases))) as pool:
        waiting = [pool.submit(one, case) for case in cases]
        while wait(waiting, timeout=_POLL_S).not_done:
            if cancel.requested:
                with lock:
                    for own in running:
                        own.request(force=cancel.forced)
        return [future.result() for future in waiting]


def _run_one(
    source: "PackageSource",
    prepared: "Prepared",
    case: "TestCase",
    executor: str | None,
    cancel: "Cancel",
) -> Outcome:
    from kedge.run.core import Request, run

    function = prepared.description.functions[case.function]
    request = Request(case.function, case.staged(function.input_ports), executor=executor)
    try:
        result = run(source, prepared, request, cancel=cancel)
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


def _unexpected(case: "TestCase", error: KedgeError, raised: str | None) -> tuple[str, ...]:
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
    from kedge.package.machine import this_machine

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
