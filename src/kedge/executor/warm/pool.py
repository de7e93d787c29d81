"""What one Kedge process keeps warm, and how it gets a fork for a call.

    with Pool() as pool:
        job = Job(..., pool=pool)

A pool starts its keeper with the first call and ends it when it is closed, or when its process ends. Many
threads may use one.
"""

import contextlib
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, final

from kedge.data import Data
from kedge.executor import cgroups, plan
from kedge.executor.processes import kill, wait_readable
from kedge.executor.warm import asking, messages, wanted
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.guards import Guards
from kedge.executor.warm.remembered import remember
from kedge.executor.warm.removal import Removal
from kedge.task.payload import Becoming

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.job import Job
    from kedge.task.payload import Process

# For the keeper to say what is kept, at once unless it is stopped or the machine is busy.
_STATUS_S: Final = 2.0
_END_S: Final = 5.0  # for it to end, with all that it holds
# At a fork: to open what there is none of yet, and once more should that be killed.
_ATTEMPTS: Final = 4
# From so many programs on of one kind it is worth it to have others wait for more; then one more is noted.
_OPEN: Final = 2
_OPEN_S: Final = 10.0  # for that to be done; it takes some hundredths of a second


class Taken(Data, frozen=False):
    """A fork that waits for its call, held back.

    Args:
        line: to the keeper.
        call: to the fork.
        stdout, stderr: what it writes.
        ended: readable once it has ended.
        process: its number.
        first: the number of its slot's first process, with which the kernel kills all in the slot.
        first_ended: a descriptor of that.
        account: the user and group number that it has on the host.
        group: its control group, None where there is none.
        before: what was used in that before the call.
        is_leaving: whether it was killed when it had nothing more to do, and is still ending.
        is_awaited: whether an answer is still to come on its line.
    """

    line: socket.socket
    call: socket.socket
    stdout: int
    stderr: int
    ended: int
    process: int
    first: int
    first_ended: int
    account: tuple[int, int]
    group: cgroups.Group | None
    before: cgroups.Usage | None
    is_leaving: bool = False
    is_awaited: bool = True  # that its folders are mounted


@final
class Pool:
    """Warm processes, by what they have imported. Closed by `close`, or at the end of a `with` block.

    Args:
        answers_early: whether a call is over once nothing of it runs any more, and not only when the kernel
            has taken its process apart.

    `removal` removes what calls leave, while the next ones go on; `guards` are those of programs without a
    sandbox.
    """

    def __init__(self, *, answers_early: bool = True) -> None:
        self.answers_early = answers_early
        self.removal = Removal()
        self.guards = Guards()
        self._lock = threading.Lock()
        self._keeper: tuple[int, socket.socket] | None = None
        self._lines: list[socket.socket] = []
        self._opening: threading.Thread | None = None
        self._programs: dict[str, int] = {}  # key → how many programs have asked, see `_OPEN`
        self.cold: dict[str, str] = {}  # what was tried and is not kept warm, and why
        self._plans: dict[str, plan.MountPlan] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """See that there is a keeper, before a call wants it; one that was killed gets a successor.

        Raises:
            NotWarmError: it cannot be started.
        """
        with self._lock:
            self._living_keeper()

    def kept(self) -> list[dict[str, Any]]:
        """What is warm now: `name`, `memory_mb`, `forks` that wait, `calls` that go on, `idle_s`.

        Nothing where the keeper does not answer.
        """
        if self._keeper is None:
            return []
        try:
            line = self._line()
        except NotWarmError:
            return []
        line.settimeout(_STATUS_S)
        with line:
            try:
                messages.send(line, ("status",))
                found = messages.receive(line)
            except OSError:
                return []
        return [] if found is None else list(found[0][1])

    def close(self) -> None:
        """End the keeper and with it everything that was kept; calls that go on are killed."""
        with self._lock:
            self._closed = True
            lines, self._lines = self._lines, []
            for line in lines:
                line.close()
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            _end(*keeper)
        self.guards.close()
        self.removal.close()

    def plan_of(self, payload: "Process", job: "Job") -> tuple[str, plan.MountPlan]:
        """The key of what a call can share with others, and what is mounted for all of these.

        Raises:
            NotWarmError: it was tried and cannot be kept warm.
            UsageError, Unavailable: a path that cannot be shown.
        """
        key = wanted.key(payload, job)
        if key in self.cold:
            raise NotWarmError("")
        shown = self._plan(key, payload, job)
        if isinstance(payload.forkable, Becoming) and not self._is_open(key, payload, job, shown):
            raise NotWarmError("")
        return key, shown

    def _is_open(self, key: str, payload: "Process", job: "Job", shown: plan.MountPlan) -> bool:
        """Whether programs are waited for. It takes longer to see to that than to start one without.

        So it is done beside the second one that asks.
        """
        before = self._programs.get(key, 0)
        if before < _OPEN:
            self._remember(self._programs, key, before + 1)
        if before == _OPEN - 1:
            box = wanted.box(payload, job, shown)
            self._opening = threading.Thread(target=self._open, args=(key, box), daemon=True)
            self._opening.start()
        return before > _OPEN

    def await_opened(self) -> None:
        """Wait for what is being done beside the programs that ask."""
        if self._opening is not None:
            self._opening.join(_OPEN_S)

    def _open(self, key: str, box: dict[str, Any]) -> None:
        with contextlib.suppress(NotWarmError, OSError), self.line() as line:
            messages.send(line, ("open", key, box))
            if wait_readable(line.fileno(), _OPEN_S):
                found = messages.receive(line)
                if found is not None and found[0][0] == "ready":
                    self._remember(self._programs, key, _OPEN + 1)

    def take(self, key: str, payload: "Process", job: "Job", workspace: "Workspace") -> Taken:
        """A fork for one call. The folders and files of `workspace` are being mounted, see `wait_mounted`.

        The first one of a key waits until its module is imported.

        Raises:
            NotWarmError: there is none to be had.
            StartFailed: its interpreter, or a variable, cannot be.
        """
        line = self._line()
        try:
            answer, given = self._taken(line, key, payload, job, workspace)
        except BaseException as error:
            line.close()
            self._note(key, error)
            raise
        stdout, stderr, ended, first_ended = given[1:]
        group, before = pickle.loads(answer["group"])
        return Taken(
            line,
            socket.socket(fileno=given[0]),
            *(stdout, stderr, ended),
            answer["process"],
            answer["first"],
            first_ended,
            answer["account"],
            group,
            before,
        )

    def wait_mounted(self, key: str, taken: Taken, job: "Job") -> None:
        """Until the folders and files of a call are mounted.

        Raises:
            NotWarmError: they cannot be, or nobody waits for them any more.
        """
        what, *words, _ = asking.awaited(taken.line, job)
        taken.is_awaited = False
        if what != "mounted":
            error = NotWarmError(words[0] if what == "cold" else "")
            self._note(key, error)
            raise error

    def give_back(self, taken: Taken) -> None:
        """Let go of a fork: its slot may be used again."""
        taken.call.close()
        for descriptor in (taken.stdout, taken.stderr, taken.ended, taken.first_ended):
            os.close(descriptor)
        if taken.is_awaited:  # there is an answer that nobody will read
            taken.line.close()
            return
        try:
            messages.send(taken.line, ("done", taken.is_leaving))
        except OSError:
            taken.line.close()
            return
        self._keep(taken.line)

    def _note(self, key: str, error: BaseException) -> None:
        """Remember why calls of this key run cold, if that is what an error says."""
        if isinstance(error, NotWarmError) and str(error):
            self.note_cold(key, str(error))

    def note_cold(self, key: str, reason: str) -> None:
        """Remember that calls of this key run cold."""
        self._remember(self.cold, key, reason)

    def _remember[Known](self, known: dict[str, Known], key: str, value: Known) -> None:
        with self._lock:
            remember(known, key, value)

    def _plan(self, key: str, payload: "Process", job: "Job") -> plan.MountPlan:
        found = self._plans.get(key)
        if found is None:
            found = wanted.mounts(payload, job)
            self._remember(self._plans, key, found)
        return found

    def _taken(
        self,
        line: socket.socket,
        key: str,
        payload: "Process",
        job: "Job",
        workspace: "Workspace",
    ) -> tuple[dict[str, Any], list[int]]:
        request = {
            "folder": workspace.folder,
            "files": [
                (os.path.realpath(file.source), f"{plan.WORKSPACE}/{file.name}")
                for file in workspace.files
            ],
        }
        for _ in range(_ATTEMPTS):
            what, *words, given = asking.ask(line, job, "call", key, request)
            if what == "called":
                return words[0], given
            if what == "failed":
                raise NotWarmError("")  # a run of its own says what is the matter
            if what == "unknown":
                job.on_starting()
                box = wanted.box(payload, job, self._plan(key, payload, job))
                what, *words, _ = asking.ask(line, job, "open", key, box)
            if what == "cold":
                if not words[0]:  # importing it fails: each run of its own says how
                    self.note_cold(key, "")
                raise NotWarmError(words[0])
            if what not in ("ready", "again"):  # it answers something else
                break
        raise NotWarmError("")

    @contextlib.contextmanager
    def line(self) -> Iterator[socket.socket]:
        """A line to the keeper for a block, which may close it; one in which something went wrong is closed.

        Raises:
            NotWarmError: there is none.
        """
        line = self._line()
        try:
            yield line
        except BaseException:
            line.close()
            raise
        self._keep(line)

    def _keep(self, line: socket.socket) -> None:
        with self._lock:
            if not self._closed and line.fileno() >= 0:
                self._lines.append(line)
                return
        line.close()

    def _line(self) -> socket.socket:
        """A line of this thread's own to the keeper, which is started if there is none."""
        with self._lock:
            if self._closed:
                raise NotWarmError("")
            keeper = self._living_keeper()
            if self._lines:
                return self._lines.pop()
            mine, theirs = messages.pair()
            with theirs:
                try:
                    messages.send(keeper, ("line",), (theirs.fileno(),))
                except OSError:  # it has just been killed: the next call starts another
                    mine.close()
                    raise NotWarmError("") from None
            return mine

    def _living_keeper(self) -> socket.socket:
        """The main line to the keeper, started if there is none. The lock is held.

        Raises:
            NotWarmError: it cannot be started.
        """
        if self._keeper is not None:
            process, main = self._keeper
            if wait_readable(main.fileno(), 0):  # it says nothing there but its end
                self._keeper = None
                with contextlib.suppress(ChildProcessError):  # a fork's, which shares its parent's
                    os.waitpid(process, os.WNOHANG)
                for line in (main, *self._lines):
                    line.close()
                self._lines = []
        if self._keeper is None:
            self._keeper = asking.start()
        return self._keeper[1]


def _end(process: int, main: socket.socket) -> None:
    """End a keeper, with all that it holds."""
    main.close()
    try:
        if os.waitpid(process, os.WNOHANG)[0]:
            return
    except ChildProcessError:  # it is another's: this process is a fork, which shared it
        return
    ended = os.pidfd_open(process)
    if not wait_readable(ended, _END_S):
        kill(ended)
    os.close(ended)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, 0)
