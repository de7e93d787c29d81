"""One function, tried against the contract."""

from collections.abc import Mapping, Sequence
from typing import Any

from kedge.cli.text import table
from kedge.cli.values import named, with_pairs
from kedge.data import replace
from kedge.errors import UsageError
from kedge.executor import Cancel
from kedge.package.manifest import load
from kedge.package.source import PackageSource, open_package
from kedge.package.testcases import TestCase, load_cases
from kedge.ports import check_inputs
from kedge.run import conformance, core
from kedge.run.description import Function


def work(
    observer: core.Observer,
    cancel: Cancel,
    *,
    package: str,
    function: str | None,
    pairs: Sequence[tuple[str, str]],
    given: Mapping[str, Any],
    failing: Sequence[tuple[str, str]],
    long: Sequence[tuple[str, str]],
    executor: str | None,
    timeout: float | None,
) -> dict[str, Any]:
    """Try a function, on the inputs of the command line or else of its test cases.

    Returns:
        The checks as `document` and as `text`.
    """
    with cancel.interrupting():
        core.settle()
        source = open_package(package)
    name = named(source.function, function)
    with core.ready(source, name, observer, cancel, executor=executor) as ready:
        described = ready.prepared.description.function(name)
        cases = _cases(source, described)
        values = _values(described, cases, dict(given), pairs)
        ports = described.input_ports
        trial = conformance.Trial(
            function=described.name,
            values=values,
            failing=with_pairs(dict(values), failing, ports) if failing else _failing(cases),
            long=with_pairs(dict(values), long, ports) if long else None,
            executor=executor,
            overrides={"timeout": timeout},
        )
        checks = conformance.conform(ready, trial, observer, cancel)
    shown = {"passed": "passed", "failed": "FAILED", "not tried": "not tried"}
    return {
        "document": [
            {"check": one.check, "result": one.result, "why": one.why, "hint": one.hint}
            for one in checks
        ],
        "text": table([[shown[one.result], one.check, one.why] for one in checks]),
    }


def _cases(source: PackageSource, function: Function) -> list[TestCase]:
    """The function's test cases that its ports admit, with host paths for files."""
    ports = function.input_ports
    cases = [
        replace(case, inputs=case.staged(ports))
        for case in load_cases(load(source.root), function.name)
    ]
    return [case for case in cases if not check_inputs(ports, dict(case.inputs))[1]]


def _values(
    function: Function,
    cases: Sequence[TestCase],
    given: dict[str, Any],
    pairs: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """Inputs that it takes: those given, else those of a test case, else none if none is required."""
    ports = function.input_ports
    if given or pairs:
        return with_pairs(given, pairs, ports)
    for case in cases:
        if case.raises is None:
            return dict(case.inputs)
    if ports.required:
        missing = " ".join(f"{name}=…" for name in ports.properties if name in ports.required)
        raise UsageError(
            f"no inputs are known that `{function.name}` takes, and it has no test case",
            hint=f"give them: {missing}",
        )
    return {}


def _failing(cases: Sequence[TestCase]) -> dict[str, Any] | None:
    """Inputs that it fails on, by its test cases."""
    return next((dict(case.inputs) for case in cases if case.raises is not None), None)
