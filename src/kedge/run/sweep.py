"""Many runs of one function: a bounded number at once, and which of them need not be run again."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, final

from kedge import digest
from kedge.environment import folders
from kedge.errors import Unavailable, UnknownName
from kedge.executor import Cancel
from kedge.home import folder
from kedge.run import record
from kedge.run.execution import file_facts
from kedge.task import Resources

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

_ID_LINE: Final = 64  # bytes, more than a run's id and its newline


def at_once[Case, Outcome](
    work: Callable[[Case], Outcome],
    cases: Iterable[Case],
    jobs: int,
    cancel: Cancel,
    threads: "Executor | None" = None,
    room: Callable[[], bool] = lambda: True,
) -> "Generator[tuple[Case, Future[Outcome]]]":
    """Do `work` on each case in threads, never more than `jobs` at once; each case as it ends.

    A case is taken from `cases` only when it can run at once. A request to stop starts no more; whoever
    leaves before the end makes that request.

    Args:
        work: called in a thread.
        cases: what is to be worked on.
        jobs: how many at once.
        cancel: the request to stop; `work` gives it on to what it runs.
        threads: whose threads do it; None: new ones.
        room: whether another may be taken now; asked again when one has ended.
    """
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting = iter(cases)
    going: dict[Future[Outcome], Case] = {}
    with nullcontext(threads) if threads is not None else _new_threads(jobs) as pool:
        try:
            while True:
                while len(going) < jobs and not cancel.requested and room():
                    try:
                        case = next(waiting)
                    except StopIteration:
                        break
                    going[pool.submit(work, case)] = case
                if not going:
                    return
                for future in wait(going, return_when=FIRST_COMPLETED).done:
                    yield going.pop(future), future
        except BaseException:
            cancel.request()
            wait(going)
            raise


def _new_threads(most: int) -> "Executor":
    # Python loads it only before its end begins; with threads that are there, cases run even then.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(most)


def fitting(limits: Resources, cpus: float) -> int:
    """How many runs with these limits have their CPUs at once on a machine with so many."""
    return max(1, int(cpus / limits.cpu))


@final
class Journal:
    """The runs that a sweep has started since its table of results was last complete.

    Between the end of a run and its row in the table a kill loses nothing: its record says what it gave.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def runs(self) -> list[str]:
        """The ids, in the order of their start; a torn last line is left out."""
        with open(self._path, encoding="ascii", errors="replace") as file:
            return [line.rstrip("\n") for line in file if line.endswith("\n")]

    def add(self, run: record.Run) -> None:
        """Note that a run was started. Any thread may call it."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(file, f"{run.id}\n".encode()[-_ID_LINE:])
        finally:
            os.close(file)

    def clear(self) -> None:
        """Forget them: the table has them now."""
        os.truncate(self._path, 0)


@contextmanager
def journal(out: str) -> Iterator[Journal]:
    """The journal of the sweep whose results go to `out`, which is this process's alone for the block.

    Raises:
        Unavailable: another process writes to `out`.
    """
    name = digest.of_bytes(os.fsencode(os.path.realpath(out)))[:32]
    path = os.path.join(folder("sweeps"), name)
    with folders.held(path, 0) as owned:
        if not owned:
            raise Unavailable(
                f"another `kedge map` writes to `{out}`",
                hint="wait for it, or name another file",
            )
        yield Journal(path)


def succeeded(
    ids: Iterable[str], *, package: str, function: str, snapshot: str, environment: str
) -> Iterator[record.Run]:
    """Those of the runs that need not be run again.

    They succeeded, with the same files of the package, in the same environment, on input files that are
    as they were, and their output files are still there.
    """
    for name in dict.fromkeys(ids):
        try:
            run = record.get(name)
        except UnknownName:
            continue
        same = (run.package, run.function, run.snapshot, run.environment) == (
            package,
            function,
            snapshot,
            environment,
        )
        if same and run.status == "succeeded" and _files_are_as_they_were(run):
            yield run


def _files_are_as_they_were(run: record.Run) -> bool:
    for entry in run.input_files:
        if file_facts(entry["port"], entry["path"]) != dict(entry):
            return False
    for port in run.output_files.values():
        entries = port if isinstance(port, list) else [port]
        if not all(os.path.exists(entry["path"]) for entry in entries):
            return False
    return True
