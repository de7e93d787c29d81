"""`kedge test`: a package's test cases, each a run of its own in the real runtime."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from kedge.cli.commands.run import named
from kedge.cli.display import Display
from kedge.cli.report import say, table, write_json, write_text
from kedge.cli.supervised import supervised
from kedge.errors import KedgeError, RunCancelled, RunFailed, UsageError

if TYPE_CHECKING:
    from kedge.executor import Cancel
    from kedge.package.testcases import TestCase
    from kedge.run.core import Ready
    from kedge.run.execution import Observer

# Of those above the space, what XML 1.0 and UTF-8 have no place for.
_NOT_XML = frozenset(map(chr, (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)))


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

    def work(observer: "Observer", cancel: "Cancel") -> dict[str, Any]:
        from kedge.package.manifest import load
        from kedge.package.source import open_package
        from kedge.package.testcases import load_cases
        from kedge.run import core

        core.settle()
        source = open_package(package)
        name = named(source.function, function)
        with core.ready(source, name, observer, cancel) as found:
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
            "stopped": cancel.requested,
        }

    with Display() as display:
        answer = supervised(work, display.show)
    found = answer["document"]
    if as_json:
        write_json(found)
    else:
        write_text(answer["text"])
        for case in found["cases"]:
            if case["passed"]:
                continue
            say(f"{case['function']}, {case['name']}:")
            for difference in case["differences"]:
                say(f"  {difference}")
        say(f"{found['passed']} passed, {found['failed']} failed")
    if answer["stopped"]:
        return RunCancelled.exit_code
    return 1 if found["failed"] else 0


def _run_all(
    ready: "Ready",
    cases: "list[TestCase]",
    executor: str | None,
    jobs: int,
    cancel: "Cancel",
) -> list[Outcome]:
    """Every case, `jobs` at once. A request to stop ends the running ones and starts no more."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(jobs, len(cases))) as pool:
        waiting = [pool.submit(_run_one, ready, case, executor, cancel) for case in cases]
        return [future.result() for future in waiting]


def _run_one(ready: "Ready", case: "TestCase", executor: str | None, cancel: "Cancel") -> Outcome:
    from kedge.executor import Cancel
    from kedge.run.core import Request, run

    function = ready.prepared.description.functions[case.function]
    request = Request(case.function, case.staged(function.input_ports), executor=executor)
    try:
        result = run(ready, request, cancel=Cancel(cancel))
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
