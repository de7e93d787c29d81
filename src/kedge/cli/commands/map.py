"""`kedge map`: one function over a table of inputs, a run each row."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from kedge.cli.commands.run import memory_mb, named
from kedge.cli.complete import package_words
from kedge.cli.display import Display
from kedge.cli.report import one_line, say, write_json
from kedge.cli.run_options import options_of_run
from kedge.cli.supervised import supervised
from kedge.cli.values import split_words
from kedge.errors import KedgeError, RequestError, RunCancelled, UsageError

if TYPE_CHECKING:
    from kedge.cli.table_cases import Case, CaseTable, Contents
    from kedge.cli.table_results import ResultTable
    from kedge.executor import Cancel
    from kedge.ports import Ports
    from kedge.run.core import Ready, Request
    from kedge.run.execution import Observer, Result
    from kedge.run.record import Run
    from kedge.run.sweep import Journal

_NOTICES: Final = 20  # different sentences of runs that are passed on
_SHOWN_FAILURES: Final = 5  # failed rows that are named at the end: the table has them all


@options_of_run("timeout", "cpu", "memory", "executor", "network", "locked")
@click.command("map")
@click.argument("package")
@click.argument("words", nargs=-1, metavar="[FUNCTION] [NAME=VALUE]…", shell_complete=package_words)
@click.option("--inputs", metavar="FILE", required=True, help="The cases: .csv, .tsv or .jsonl.")
@click.option("--out", metavar="FILE", required=True, help="The results: .csv or .jsonl.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Runs at once; as the CPUs allow.")
@click.option(
    *("--keep-going", "keep_going"),
    flag_value=True,
    type=bool,
    default=True,
    help="Run the other rows after one has failed (the default).",
)
@click.option(
    *("--fail-fast", "keep_going"),
    flag_value=False,
    type=bool,
    help="Stop at the first that fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def command(
    package: str,
    words: tuple[str, ...],
    inputs: str,
    out: str,
    jobs: int | None,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
    timeout: float | None,
    cpu: float | None,
    memory: str | None,
    executor: str | None,
    network: bool,
    locked: bool,
) -> int:
    """Run a function on every row of a table.

    The columns are its inputs; NAME=VALUE gives one for all rows. What has succeeded is not run again by
    the same command, so a sweep that was stopped goes on where it was.
    """
    function, pairs = split_words(words)
    overrides = {"timeout": timeout, "cpu": cpu, "memory_mb": memory_mb(memory)}

    def work(observer: "Observer", cancel: "Cancel") -> dict[str, Any]:
        from kedge.cli.table_cases import CaseTable
        from kedge.package.source import open_package
        from kedge.run import core

        core.settle()
        source = open_package(package)
        name = named(source.function, function)
        _apart(inputs, out)
        mode: Literal["auto", "locked"] = "locked" if locked else "auto"
        with core.ready(source, name, observer, cancel, mode=mode) as found:
            description = found.prepared.description
            described = description.function(name)
            for warning in (*description.warnings, *described.warnings):
                observer.notice(warning)
            table = CaseTable(inputs, described.input_ports, pairs)
            observer.step(f"reading {inputs}")
            with cancel.interrupting():
                contents = table.check()
        request = core.Request(described.name, {}, overrides, executor, network)
        sweep = _Sweep(replace(found, entry=None), request, table, contents, observer, cancel)
        return sweep.run(out, jobs, fail_fast=not keep_going)

    with Display(-1 if quiet else 0) as display:
        running = _Showing(display)
        answer = supervised(work, running.show)
    summary = answer["summary"]
    if as_json:
        write_json(summary)
    elif not quiet:
        for line in answer["failures"]:
            say(line)
        say(_summed(summary))
    if answer["stopped"]:
        return RunCancelled.exit_code
    return 1 if summary["failed"] else 0


class _Showing:
    """Shows what is told of a sweep; from its first row on the live line says that it runs."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._running = False

    def show(self, name: str, payload: Any) -> None:
        if name == "progress" and not self._running:
            self._running = True
            self._display.show("started", {"function": payload["function"]})
        self._display.show(name, payload)


@dataclass
class _Count:
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
        ready: "Ready",
        request: "Request",
        table: "CaseTable",
        contents: "Contents",
        observer: "Observer",
        cancel: "Cancel",
    ) -> None:
        from kedge.executor import Cancel

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
        self.notices: dict[str, bool] = {}  # what runs said, and whether it was passed on
        self.failures: list[str] = []
        self.outputs = _output_columns(self.function.output_ports, contents.columns)

    def run(self, out: str, jobs: int | None, *, fail_fast: bool) -> dict[str, Any]:
        """The whole of it; what the face is told in the end."""
        from kedge.cli.table_results import ResultTable, earlier_runs
        from kedge.run import sweep

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
        results: "ResultTable",
        journal: "Journal",
        jobs: int,
        fail_fast: bool,
    ) -> None:
        """Run what is not done, and give each row its place in the table as it ends."""
        from kedge.run import sweep

        def run(case: "Case") -> "Result":
            return self._run(case, journal)

        waiting = (case for case in self.table.cases(self.contents) if case.number not in done)
        with closing(sweep.at_once(run, waiting, jobs, self.group)) as ended:
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
        from kedge.package import resources
        from kedge.package.machine import this_machine
        from kedge.run import sweep

        machine = this_machine()
        declared = self.ready.prepared.description.resources, self.function.resources
        limits, _, _ = resources.effective(*declared, self.request.overrides, machine)
        return sweep.fitting(limits, machine.cpu)

    def _done(self, ids: list[str], out: str) -> "dict[int, str]":
        """The rows that need not be run again, and the run of each."""
        from kedge.cli.table_cases import recorded_key
        from kedge.run import sweep

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
        from kedge.errors import UnknownName
        from kedge.run import record

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

    def _kept(self, done: Mapping[int, str]) -> "Iterator[tuple[int, dict[str, Any]]]":
        from kedge.run import record

        if done:
            for case in self.table.cases(self.contents):
                if case.number in done:
                    yield case.number, self._row(case, record.get(done[case.number]), None)

    def _run(self, case: "Case", journal: "Journal") -> "Result":
        """One row, in a thread of its own."""
        from kedge.executor import Cancel
        from kedge.run import core
        from kedge.run.execution import Observer

        observer = Observer(started=journal.add, notice=self._notice)
        request = replace(self.request, values=case.inputs)
        return core.run(self.ready, request, observer, Cancel(self.group))

    def _notice(self, text: str) -> None:
        """Keep what a run says, in its thread; the same sentence of many runs is told once."""
        if len(self.notices) < _NOTICES:
            self.notices.setdefault(text, False)

    def _ended(self, case: "Case", failure: KedgeError | None) -> None:
        if failure is None:
            self.count.succeeded += 1
        else:
            self.count.failed += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(f"row {case.number}: {_error_text(failure)}")
        for text, told in tuple(self.notices.items()):
            if not told:
                self.notices[text] = True
                self.observer.notice(text)
        self._tell()

    def _tell(self) -> None:
        event: dict[str, Any] = {"step": self.count.done, "total": self.count.total}
        if words := self.count.words():
            event["message"] = words
        self.observer.progress(event | {"function": self.function.name})

    def _row(self, case: "Case", run: "Run | None", failure: KedgeError | None) -> dict[str, Any]:
        """What the table of results says of one row."""
        from kedge.ports.masking import MASK
        from kedge.ports.shapes import holds_secret

        ports = self.function.input_ports
        row: dict[str, Any] = {}
        for column, cell in case.cells.items():
            schema = ports.schema_of(column.split(".")[0])
            row[column] = MASK if cell != "" and holds_secret(schema or {}) else cell
        wall = None
        if run is not None:
            found = dict(run.outputs) | {
                port: _paths(entry) for port, entry in run.output_files.items()
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
    from kedge.cli.table_results import earlier_runs

    if os.path.realpath(inputs) == os.path.realpath(out):
        raise UsageError(
            f"`{out}` would overwrite the cases", hint="give the results a file of their own"
        )
    next(earlier_runs(out), None)


def _output_columns(ports: "Ports", inputs: Sequence[str]) -> dict[str, str]:
    return {port: _output_column(port, inputs) for port in ports.properties}


def _output_column(port: str, inputs: Sequence[str]) -> str:
    """The column of an output; one that an input column has the name of is told apart."""
    return f"{port} (output)" if port in inputs else port


def _paths(entry: Any) -> Any:
    return [one["path"] for one in entry] if isinstance(entry, list) else entry["path"]


def _error_text(failure: KedgeError) -> str:
    """A failure in one line: its kind and what happened, all of it where it is several problems."""
    said = "; ".join(str(problem) for problem in failure.problems)
    return one_line(f"{failure.code}: {said}")


def _duration(seconds: float) -> str:
    """A time to wait, as roughly as it is known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _summed(summary: Mapping[str, Any]) -> str:
    words = [f"{summary['succeeded']} succeeded", f"{summary['failed']} failed"]
    if summary["skipped"]:
        words.append(f"{summary['skipped']} had succeeded before")
    left = summary["total"] - summary["succeeded"] - summary["failed"] - summary["skipped"]
    if left:
        words.append(f"{left} not run yet (the same command goes on with them)")
    return f"{', '.join(words)}: {summary['out']}"
