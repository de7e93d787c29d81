"""One run while it goes on: staged, executed, collected, its record ended."""

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from kedge.contract import failure, progress, workspace
from kedge.data import Data, replace
from kedge.errors import (
    KedgeError,
    Lost,
    OutOfDisk,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    StartFailed,
    StoreBusy,
    StoreError,
)
from kedge.executor import Cancel, Ended, Job, disk_is_full
from kedge.middleware import drive
from kedge.ports import mask
from kedge.run import events, history, record
from kedge.run.clock import now
from kedge.run.log import LogWriter, Stream
from kedge.run.outcome import (
    STDERR_LINES,
    add_network_is_off,
    add_refused_forks,
    failure_of,
    last_lines,
    warnings_of,
)
from kedge.store import connection
from kedge.task import Process, Task

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool

# What a machine says that has no more descriptors, processes, memory or disk to give.
_SCARCE: Final = (
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.EDQUOT,
)

_SOON_S: Final = 0.04  # most short programs are over by then, and all of them is recorded at once


class Observer(Data):
    """Who wants to know what happens; every one of these may be left out.

    Args:
        step: told in words what is being prepared or waited for.
        started: given the run as soon as it is recorded.
        progress: given each of the code's events.
        output: given what the code wrote, as it comes.
        notice: told what the user should read; `detail` what only some want to know.
        lacking: told what this machine does not enforce, each time; people want to know it once.
        tick: called every 50 ms or so while the code runs.
        processes, changed: as `on_processes` and `on_changed` of a `kedge.executor.Job`.
        ready: called once when what serves answers at the port that was asked for.
        ended: given the workspace's folder once the code has ended, before anything is taken from it.
    """

    step: Callable[[str], None] = lambda _: None
    started: Callable[[record.Run], None] = lambda _: None
    progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    output: Callable[[Stream, bytes], None] = lambda _stream, _data: None
    notice: Callable[[str], None] = lambda _: None
    detail: Callable[[str], None] = lambda _: None
    lacking: Callable[[str], None] = lambda _: None
    tick: Callable[[], None] = lambda: None
    processes: Callable[[list[int]], None] | None = None
    changed: Callable[[list[str]], None] | None = None
    ready: Callable[[], None] = lambda: None
    ended: Callable[[str], None] = lambda _: None


class Result(Data):
    """A run that ended, and its failure if it failed."""

    run: record.Run
    failure: RunFailed | None

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs by port; a File is its path. Raises the RunFailed of a run that failed."""
        if self.failure is not None:
            raise self.failure
        files = {port: record.paths(entry) for port, entry in self.run.output_files.items()}
        return dict(self.run.outputs) | files


class Execution:
    """One run while it goes on.

    Args:
        entry: its record, not yet running.
        task: what is executed, and `payload` what its runtime has made of it.
        observer: told what happens, in this thread.
        cancel: the request to stop.
        pool: what is kept warm, None for a process of its own.
        keep: whether its workspace stays as the code left it.
    """

    def __init__(
        self,
        entry: record.Run,
        task: Task,
        payload: Any,
        observer: Observer,
        cancel: Cancel,
        pool: "Pool | None",
        *,
        keep: bool,
    ) -> None:
        self.entry = entry
        self.task = task
        self.payload = payload
        self.outputs = task.output_ports
        self.observer = observer
        self.cancel = cancel
        self.pool = pool
        self.keep = keep
        # Nothing is recorded before but of what was prepared for it.
        self.events = events.EventLog(entry.id, is_new=entry.status == "created")
        self.folder = entry.folder
        self.place = f"{self.folder}/workspace"
        self._started: str | None = None
        self._was_full = False  # its disk, when that was last looked at
        self._has_folder = self._has_workspace = not task.executor.of_this_process
        # Of these two: a loop may ask for them, and a thread that prints, at once.
        self._making = threading.RLock()

    def run(
        self, snapshot: str | None, paths: tuple[str, ...], waited: Mapping[str, float]
    ) -> Result:
        """Run it to its end, whatever that is.

        Args:
            snapshot: folder of the package's snapshot, None for no package.
            paths: more host paths that the code may read.
            waited: seconds that went by before, by their names in the record.
        """
        here = self.task.executor.of_this_process
        try:
            log = LogWriter(f"{self.folder}/log", begin=self._make_folder if here else None)
        except StoreError as error:
            record.finish(self.entry, StartFailed(error.message, hint=error.hint))
            raise
        measured: dict[str, float | None] = dict(waited)
        found: workspace.Collected | None = None
        wrong: RunFailed | None
        try:
            self.observer.started(self.entry)
            if self.cancel.requested:
                raise stopped(self.cancel)
            if here:
                made = workspace.Workspace(self.place, None)
            else:
                made = workspace.prepare(
                    self.place,
                    snapshot,
                    self.task.input_ports,
                    self.outputs,
                    self.task.values,
                    self.payload.files if isinstance(self.payload, Process) else None,
                )
            try:
                wrong, found = self._through(made, paths, log, measured)
            finally:
                if not self.keep and self._has_workspace:
                    self._remove()
        except RunFailed as error:
            wrong = error
        except KedgeError as error:
            wrong = StartFailed(error.message, where=error.where, hint=error.hint)
        except OSError as error:
            if error.errno not in _SCARCE:
                self._finish(_lost(error))
                raise
            wrong = StartFailed(
                f"this machine refuses what the run needs: {error.strerror}",
                hint="see what bounds open files (`ulimit -n`), processes (`ulimit -u`) and disk",
            )
        except KeyboardInterrupt:
            cancelled = RunCancelled("interrupted with Ctrl-C", hint="run it again")
            self._finish(cancelled)
            raise
        except BaseException as error:
            self._finish(_lost(error))
            raise
        finally:
            log.close()
            self.cancel.deafen()
        found = found or workspace.Collected()
        if log.problem:
            found.warnings.append(log.problem)
        return self._ended(wrong, found, measured)

    def _make_folder(self) -> None:
        """Make the folder of a run of this process, which has none before it needs it."""
        with self._making:
            if not self._has_folder:
                record.settle(self.entry)
                self._has_folder = True

    def _listen(self) -> None:
        self._make_folder()
        self.cancel.listen(self.entry.control)

    def _make_workspace(self) -> None:
        """The same of its workspace."""
        with self._making:
            if not self._has_workspace:
                self._make_folder()
                workspace.make_bare(self.place)
                self._has_workspace = True

    def _remove(self) -> None:
        remove = workspace.remove if self.pool is None else self.pool.removal.remove
        remove(self.place)

    def _through(
        self,
        made: workspace.Workspace,
        paths: tuple[str, ...],
        log: LogWriter,
        measured: dict[str, float | None],
    ) -> tuple[RunFailed | None, workspace.Collected]:
        """Execute and collect: the failure if there was one, and what the code left."""
        began = time.monotonic()
        ended = self._execute(made, paths, log)
        measured |= _measured(ended)
        measured["starting_s"] = max(0.0, time.monotonic() - began - ended.wall_s)
        self.observer.ended(made.folder)
        collecting = time.monotonic()
        full, reported = False, ended.reported
        if self._has_workspace:
            full = self._was_full or disk_is_full(made.folder)  # before anything is removed
            reported = reported or failure.read(made)
        warnings = self._changed_inputs()
        if self._has_workspace:
            found = workspace.collect(
                made,
                self.outputs,
                self.folder,
                answers=self.task.runtime.answers,
                answer=ended.answer,
            )
        else:
            found = workspace.judged(ended.answer or {}, self.outputs)
        measured["collecting_s"] = time.monotonic() - collecting
        wrong = failure_of(
            ended,
            reported,
            found.problems,
            last_lines(log.tail("stderr", STDERR_LINES)) if ended.exit_code != 0 else "",
            self.task.resources,
            run_id=self.entry.id,
            disk_full=full,
        )
        if wrong is None:
            found.warnings.extend(warnings_of(ended, reported, self.task.resources))
        else:
            add_refused_forks(wrong, ended, self.task.resources)
            if not self.task.network and self.task.publish is None:
                add_network_is_off(wrong)
            if isinstance(wrong, OutOfMemory):
                history.add_needs(wrong, self.entry.package, self.task.id)
        found.warnings.extend(warnings)
        if self.keep:
            found.warnings.append(f"the workspace is kept in {made.folder}")
        return wrong, found

    def _execute(self, made: workspace.Workspace, paths: tuple[str, ...], log: LogWriter) -> Ended:
        reader = progress.Reader(f"{made.folder}/out/progress.jsonl")

        def on_output(stream: Stream, data: bytes) -> None:
            log.write(stream, data)
            self.observer.output(stream, data)

        def on_progress(found: list[dict[str, Any]]) -> None:
            for event in found:
                self.events.add(events.PROGRESS, event)
                self.observer.progress(event)

        def on_tick() -> None:
            log.flush_partial()
            if self._has_workspace:
                self._was_full = disk_is_full(made.folder)
                on_progress(reader.poll())
            if time.monotonic() - began > _SOON_S:
                self._record(hurried=True)
            self.observer.tick()

        def on_ready() -> None:
            self.events.add(events.READY)
            self.observer.ready()

        job = Job(
            run_id=self.entry.id,
            package=self.entry.package or "",
            function=self.task.id,
            workspace=made,
            resources=self.task.resources,
            network=self.task.network,
            paths=paths,
            on_starting=self._record,
            on_output=on_output,
            on_tick=on_tick,
            on_ready=on_ready,
            cancel=self.cancel,
            on_notice=self.observer.notice,
            on_processes=self.observer.processes,
            on_changed=self.observer.changed,
            pool=self.pool,
            publish=self.task.publish,
            make_workspace=self._make_workspace,
            listen=self._listen,
        )
        self.events.add("started")
        self._started, began = now(), time.monotonic()
        executor = self.task.executor
        if executor.of_this_process:
            self.entry = record.update(self.entry, status="running", started=self._started)
        elif self.pool is None or not executor.waits_for(self.payload):
            self._record()
        try:
            ended: Ended = drive(self.task.target.place(executor, self.payload, job))
        finally:
            if self._has_workspace:
                on_progress(reader.finish())
        if reader.skipped:
            log.write("kedge", b"%d progress lines were no events\n" % reader.skipped)
        return ended

    def _record(self, *, hurried: bool = False) -> None:
        """Record what has happened so far; in a hurry, while it goes on, only if nobody else is recording something."""
        if not self.events.waits or (self.task.executor.of_this_process and not self._has_folder):
            return  # or it is recorded when it has ended
        store = connection()
        try:
            with store.hurried() if hurried else nullcontext(), store.transaction():
                if record.goes_on(self.entry, self._started):  # else somebody took it for lost
                    self.events.write()
            self.entry = replace(self.entry, status="running", started=self._started)
        except StoreBusy:
            if not hurried:
                raise
        except StoreError:
            # Once what the program wrote was removed there may be room again.
            if not hurried or not disk_is_full(self.place):
                raise
            raise OutOfDisk(
                "the disk is full, and nothing more of the run can be recorded",
                hint="make room on the disk that holds KEDGE_HOME",
                evidence={"disk_full": True},
            ) from None

    def _finish(self, failure: RunFailed | None, **facts: Any) -> record.Run:
        started = self._started or self.entry.started
        return record.finish(self.entry, failure, log=self.events, started=started, **facts)

    def _changed_inputs(self) -> list[str]:
        return [
            f"the input file `{entry['path']}` changed while the run went on"
            for entry in self.entry.input_files
            if file_facts(entry["port"], entry["path"]) != dict(entry)
        ]

    def _ended(
        self,
        wrong: RunFailed | None,
        found: workspace.Collected,
        measured: Mapping[str, float | None],
    ) -> Result:
        self.entry = self._finish(
            wrong,
            outputs=mask(self.outputs, found.data),
            output_files={port: _sized(paths) for port, paths in found.files.items()},
            artifacts=found.artifacts,
            measured=measured,
            warnings=(*self.entry.warnings, *found.warnings),
        )
        for warning in found.warnings:
            self.observer.notice(warning)
        if wrong is not None:
            wrong.run_id = self.entry.id
        return Result(self.entry, wrong)


def stopped(cancel: Cancel) -> RunFailed:
    """Why nothing was run, once a stop was asked for."""
    if cancel.abandoned:
        return Lost(
            "the command that waited for the run went away before it was started",
            hint="run it again",
        )
    return RunCancelled("interrupted before anything was run", hint="give the command again")


def _lost(error: BaseException) -> Lost:
    """What the record says of a run that an error ended which is none of its code's; its caller gets that one."""
    from kedge.contract import runner

    kind, text = type(error).__qualname__, runner.message_of(error)
    said = kind if text == kind else f"{kind}: {text}"
    if not isinstance(error, Exception):
        return Lost(f"Kedge was ended by {said}", hint="run it again")
    return Lost(
        f"an error that is not its code's own ended the run: {said}",
        hint="its traceback says where: in a middleware, a plug-in or Kedge itself",
        type=kind,
        traceback=runner.traceback_of(error),
    )


def file_facts(port: str, path: str) -> dict[str, Any]:
    """What is recorded of an input file: enough to notice that it changed."""
    try:
        info = os.stat(path)
    except OSError:
        return {"port": port, "path": path}
    return {
        "port": port,
        "path": path,
        "size": info.st_size,
        "mtime_ns": info.st_mtime_ns,
        "inode": info.st_ino,
    }


def _measured(ended: Ended) -> dict[str, float | None]:
    return {
        "wall_s": ended.wall_s,
        "cpu_s": ended.cpu_s,
        "peak_memory_mb": ended.peak_memory_mb,
        "disk_mb": ended.disk_mb,
        "read_bytes": ended.read_bytes,
        "written_bytes": ended.written_bytes,
    }


def _sized(paths: str | list[str]) -> Any:
    if isinstance(paths, list):
        return [_sized(path) for path in paths]
    return {"path": paths, "size": os.path.getsize(paths)}
