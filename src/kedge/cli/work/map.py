"""One function over a table of inputs, a run each row."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Literal

from kedge.cli.table_cases import Case, CaseTable, Contents, recorded_key
from kedge.cli.table_results import ResultTable, earlier_runs
from kedge.cli.text import one_line
from kedge.cli.values import named
from kedge.data import Data, field, replace
from kedge.errors import KedgeError, RequestError, UnknownName, UsageError
from kedge.executor import Cancel
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.package.source import open_package
from kedge.ports import Ports
from kedge.ports.masking import MASK
from kedge.ports.shapes import holds_secret
from kedge.run import core, record, sweep
from kedge.run.execution import Observer, Result
from kedge.run.warmth import kept_warm

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

_NOTICES: Final = 20  # different sentences of runs that are passed on
_SHOWN_FAILURES: Final = 5  # failed rows that are named at the end: the table has them all


def work(
    observer: Observer,
    cancel: Cancel,
    *,
    package: str,
    function: str | None,
    pairs: Sequence[tuple[str, str]],
    inputs: str,
    out: str,
    jobs: int | None,
    fail_fast: bool,
    overrides: Mapping[str, Any],
    executor: str | None,
    network: bool,
    locked: bool,
) -> dict[str, Any]:
    """Run a function on every row of a table that has not succeeded before.

    Returns:
        A `summary`, the first `failures` in words, and whether it was `stopped` before all had run.
    """
    with cancel.interrupting():
        core.settle()
        source = open_package(package)
    name = named(source.function, function)
    _apart(inputs, out)
    mode: Literal["auto", "locked"] = "locked" if locked else "auto"
    with core.ready(source, name, observer, cancel, mode=mode, executor=executor) as found:
        description = found.prepared.description
        described = description.function(name)
        for warning in (*description.warnings, *described.warnings):
            observer.notice(warning)
        table = CaseTable(inputs, described.input_ports, list(pairs))
        observer.step(f"reading {inputs}")
        with cancel.interrupting():
            contents = table.check()
    request = core.Request(described.name, {}, overrides, executor, network)
    whole = _Sweep(replace(found, entry=None), request, table, contents, observer, cancel)
    return whole.run(out, jobs, fail_fast=fail_fast)


class _Count(Data, frozen=False):
    """How far a sweep is."""

    total: int
    skipped: int = 0
    succeeded: int = 0
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.skipped + self.succeeded + self.failed

    def words(self) -> str:
        words = [f"{self.failed} failed"] if self.failed else []
        ended = self.done - self.skipped
        if ended and self.done < self.total:
            left = (time.monotonic() - self.began) / ended * (self.total - self.done)
            words.append(f"about {_duration(left)} left")
        return ", ".join(words)


class _Sweep:
    """One sweep, in the supervisor."""

    def __init__(
        self,
        ready: core.Ready,
        request: core.Request,
        table: CaseTable,
        contents: Contents,
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        assert request.function is not None
        self.ready = ready
        self.request = request
        self.function = ready.prepared.description.function(request.function)
        self.table = table
        self.contents = contents
        self.observer = observer
        self.cancel = cancel
        self.group = Cancel(cancel)  # every row's, which the first failure may end
        self.count = _Count(len(contents.keys))
        # What runs said, and whether it was passed on.
        self.notices: dict[tuple[str, str], bool] = {}
        self.failures: list[str] = []
        self.outputs = _output_columns(self.function.output_ports, contents.columns)

    def run(self, out: str, jobs: int | None, *, fail_fast: bool) -> dict[str, Any]:
        """The whole of it; what the face is told in the end."""
        with sweep.journal(out) as journal:
            unwritten = journal.runs() if os.path.exists(out) else []  # else all is asked for anew
            done = self._done([*earlier_runs(out), *unwritten], out)
            results = ResultTable(out, self.contents.columns, tuple(self.outputs.values()))
            with closing(results):
                results.begin(self._kept(done))
                journal.clear()
                self.count.skipped = len(done)
                self._tell()
                self._run_all(done, results, journal, jobs or self._jobs(), fail_fast)
                results.finish()
                journal.clear()
        return {
            "summary": {
                "total": self.count.total,
                "succeeded": self.count.succeeded,
                "failed": self.count.failed,
                "skipped": self.count.skipped,
                "out": out,
            },
            "failures": self.failures,
            "stopped": self.cancel.requested,
        }

    def _run_all(
        self,
        done: Mapping[int, str],
        results: ResultTable,
        journal: sweep.Journal,
        jobs: int,
        fail_fast: bool,
    ) -> None:
        """Run what is not done, and give each row its place in the table as it ends."""

        def run(case: Case) -> Result:
            return self._run(case, journal, pool)

        waiting = (case for case in self.table.cases(self.contents) if case.number not in done)
        with (
            kept_warm(self.count.total - len(done)) as pool,
            closing(sweep.at_once(run, waiting, jobs, self.group)) as ended,
        ):
            for case, future in ended:
                try:
                    result = future.result()
                except RequestError as error:  # a file that is gone since, say: this row's alone
                    failure: KedgeError | None = error
                    results.add(case.number, self._row(case, None, error))
                else:
                    failure = result.failure
                    results.add(case.number, self._row(case, result.run, failure))
                self._ended(case, failure)
                if failure is not None and fail_fast:
                    self.group.request()

    def _jobs(self) -> int:
        machine = this_machine()
        declared = self.ready.prepared.description.resources, self.function.resources
        limits, _, _ = resources.effective(*declared, self.request.overrides, machine)
        return sweep.fitting(limits, machine.cpu)

    def _done(self, ids: list[str], out: str) -> dict[int, str]:
        """The rows that need not be run again, and the run of each.

        None where secrets differ from row to row: no record says with which of them a run was made.
        """
        ports = self.function.input_ports
        columns = {column.split(".")[0] for column in self.contents.columns}
        if any(holds_secret(ports.schema_of(column) or {}) for column in columns):
            return {}
        prepared = self.ready.prepared
        known: dict[bytes, list[str]] = {}
        for run in sweep.succeeded(
            ids,
            package=prepared.description.name,
            function=self.function.name,
            snapshot=prepared.snapshot.digest,
            environment=prepared.environment,
        ):
            known.setdefault(recorded_key(run.inputs), []).append(run.id)
            for port in (*run.outputs, *run.output_files):
                self.outputs.setdefault(port, _output_column(port, self.contents.columns))
        if ids and not known:
            self._refuse_another_function(ids[0], out)
        done = {}
        for number, key in enumerate(self.contents.keys, start=1):
            if runs := known.get(key):
                done[number] = runs.pop(0)
        return done

    def _refuse_another_function(self, name: str, out: str) -> None:
        try:
            run = record.get(name)
        except UnknownName:
            return
        mine = f"{self.ready.prepared.description.name}#{self.function.name}"
        if f"{run.package}#{run.function}" != mine:
            raise UsageError(
                f"`{out}` holds results of `{run.package}#{run.function}`",
                hint="name another file, or remove it",
            )

    def _kept(self, done: Mapping[int, str]) -> Iterator[tuple[int, dict[str, Any]]]:
        if done:
            for case in self.table.cases(self.contents):
                if case.number in done:
                    yield case.number, self._row(case, record.get(done[case.number]), None)

    def _run(self, case: Case, journal: sweep.Journal, pool: "Pool | None") -> Result:
        """One row, in a thread of its own."""
        observer = Observer(started=journal.add, notice=self._notice, lacking=self._lacking)
        request = replace(self.request, values=case.inputs)  # asked for with all others
        return core.run(self.ready, request, observer, Cancel(self.group), pool)

    def _notice(self, text: str) -> None:
        """Keep what a run says, in its thread; the same sentence of many runs is told once."""
        if len(self.notices) < _NOTICES:
            self.notices.setdefault(("notice", text), False)

    def _lacking(self, text: str) -> None:
        if len(self.notices) < _NOTICES:
            self.notices.setdefault(("lacking", text), False)

    def _ended(self, case: Case, failure: KedgeError | None) -> None:
        if failure is None:
            self.count.succeeded += 1
        else:
            self.count.failed += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(f"row {case.number}: {_error_text(failure)}")
        for said, told in tuple(self.notices.items()):
            if not told:
                self.notices[said] = True
                getattr(self.observer, said[0])(said[1])
        self._tell()

    def _tell(self) -> None:
        event: dict[str, Any] = {"step": self.count.done, "total": self.count.total}
        if words := self.count.words():
            event["message"] = words
        self.observer.progress(event | {"function": self.function.name})

    def _row(
        self, case: Case, run: record.Run | None, failure: KedgeError | None
    ) -> dict[str, Any]:
        """What the table of results says of one row."""
        ports = self.function.input_ports
        row: dict[str, Any] = {}
        for column, cell in case.cells.items():
            schema = ports.schema_of(column.split(".")[0])
            row[column] = MASK if cell != "" and holds_secret(schema or {}) else cell
        wall = None
        if run is not None:
            found = dict(run.outputs) | {
                port: record.paths(entry) for port, entry in run.output_files.items()
            }
            row |= {self._column(port): value for port, value in found.items()}
            wall = run.measured.get("wall_s")
        status = "failed" if run is None else run.status
        return row | {
            "_status": status,
            "_run": run.id if run is not None else None,
            "_wall_s": round(wall, 3) if wall is not None else None,
            "_error": _error_text(failure) if failure is not None else None,
        }

    def _column(self, port: str) -> str:
        return self.outputs.get(port) or _output_column(port, self.contents.columns)


def _apart(inputs: str, out: str) -> None:
    """See that the results have a place of their own, before anything is prepared."""
    if os.path.realpath(inputs) == os.path.realpath(out):
        raise UsageError(
            f"`{out}` would overwrite the cases", hint="give the results a file of their own"
        )
    next(earlier_runs(out), None)


def _output_columns(ports: Ports, inputs: Sequence[str]) -> dict[str, str]:
    return {port: _output_column(port, inputs) for port in ports.properties}


def _output_column(port: str, inputs: Sequence[str]) -> str:
    """The column of an output; one that an input column has the name of is told apart."""
    return f"{port} (output)" if port in inputs else port


def _error_text(failure: KedgeError) -> str:
    """A failure in one line: its kind and what happened, all of it where it is several problems."""
    said = "; ".join(str(problem) for problem in failure.problems)
    return one_line(f"{failure.code}: {said}")


def _duration(seconds: float) -> str:
    """A time to wait, as roughly as it is known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
