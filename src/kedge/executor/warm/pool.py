"""What one Kedge process keeps warm, and how it gets a fork for a call.

    with Pool() as pool:
        job = Job(..., pool=pool)

A pool starts its keeper with the first call and ends it when it is closed, or when its process ends. Many
threads may use one.
"""

import contextlib
import json
import os
import pickle
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, final

from kedge import digest, home
from kedge.contract.variables import THREAD_POOLS
from kedge.data import Data, asdict
from kedge.executor import cgroups, identity, plan, seccomp
from kedge.executor.bubblewrap import USER_ID
from kedge.executor.descriptors import numbers_in_child
from kedge.executor.processes import kill, wait_readable
from kedge.executor.program import check_program
from kedge.executor.variables import program_variables
from kedge.executor.warm import messages
from kedge.executor.warm.places import COVERED, LINE
from kedge.executor.warm.remembered import remember

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.job import Job
    from kedge.task.payload import Forkable, Process

_HERE: Final = os.path.dirname(os.path.abspath(__file__))
_KEEPER: Final = os.path.join(_HERE, "keeper.py")
_ZYGOTE: Final = os.path.join(_HERE, "zygote.py")
_SOURCE: Final = os.path.abspath(os.path.join(_HERE, "..", "..", ".."))

_START_S: Final = 10.0  # for the keeper to start: an interpreter and some modules
# For it to say what is kept, at once unless it is stopped or the machine is busy.
_STATUS_S: Final = 2.0
_END_S: Final = 5.0  # for it to end, with all that it holds
# At a fork: to open what there is none of yet, and once more should that be killed.
_ATTEMPTS: Final = 4

_STATUS_BYTES: Final = 256  # of what the kernel says of a process: the mask follows its name

LIKE_A_SHELL: Final = {"PWD": plan.WORKSPACE}  # which bubblewrap sets too

_TOO_LONG: Final = "importing its module takes longer than a run may"

# Variables that differ from call to call: a module that asks for one while it is imported runs cold.
_OF_A_CALL: Final = ("KEDGE_RUN_ID", "KEDGE_FUNCTION")


class NotWarmError(Exception):
    """A call has to run cold. The message says why, as a clause; it is empty where that is no news."""


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
    """

    def __init__(self, *, answers_early: bool = True) -> None:
        self.answers_early = answers_early
        self._lock = threading.Lock()
        self._keeper: tuple[int, socket.socket] | None = None
        self._lines: list[socket.socket] = []
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
        if keeper is None:
            return
        process, main = keeper
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

    def plan_of(self, payload: "Process", job: "Job") -> tuple[str, plan.MountPlan]:
        """The key of what a call can share with others, and what is mounted for all of these.

        Raises:
            NotWarmError: it was tried and cannot be kept warm.
            UsageError, Unavailable: a path that cannot be shown.
        """
        forkable = payload.forkable
        assert forkable is not None
        key = _key(payload, forkable, job)
        if key in self.cold:
            raise NotWarmError("")
        return key, self._plan(key, payload, job)

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
        what, *words, _ = _awaited(taken.line, job)
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
            found = _box_of(payload, job)
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
            what, *words, given = ask(line, job, "call", key, request)
            if what == "called":
                return words[0], given
            if what == "failed":
                raise NotWarmError("")  # a run of its own says what is the matter
            if what == "unknown":
                wanted = _wanted(payload, job, self._plan(key, payload, job))
                what, *words, _ = ask(line, job, "open", key, wanted)
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
            self._keeper = _start()
        return self._keeper[1]


def _key(payload: "Process", forkable: "Forkable", job: "Job") -> str:
    """What two calls have in common that can be forked from one process."""
    resources = job.resources
    return digest.of_json([
        *(forkable.runner, forkable.module, asdict(payload.root), dict(payload.env)),
        *(job.workspace.package, job.package, job.network, job.paths),
        *(resources.cpu, resources.memory_mb, resources.pids, _mask()),
    ])  # fmt: skip


def _mask() -> int:
    """The umask of this process. To ask umask(2) would change it, for all threads."""
    file = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        said = os.read(file, _STATUS_BYTES)
    finally:
        os.close(file)
    return int(said.partition(b"\nUmask:")[2].split(maxsplit=1)[0], 8)


def _wanted(payload: "Process", job: "Job", mounts: plan.MountPlan) -> dict[str, Any]:
    """All that the keeper is to know for a box. `mounts` are those of its calls."""
    forkable = payload.forkable
    assert forkable is not None
    found = program_variables(payload, job, plan.WORKSPACE)
    variables = {name: str(value) for name, value in found.items()} | LIKE_A_SHELL
    check_program(
        payload.argv, variables, mounts.folder, mounts.locate, by_others=identity.needed()
    )
    for name in _OF_A_CALL:
        del variables[name]
    threads = {name: variables[name] for name in THREAD_POOLS}
    variables |= dict.fromkeys(THREAD_POOLS, "1")  # a process that is to be forked has one thread
    box = _box_of(payload, job, _ZYGOTE)
    instructions = {
        "program": _ZYGOTE,
        "line": LINE,
        "module": forkable.module,
        "filter": seccomp.entered_filter().hex(),
        "threads": threads,
        "withheld": _OF_A_CALL,
    }
    return {
        "name": f"{job.package} {forkable.module}",
        "snapshot": job.workspace.package,
        "argv": (*forkable.runner, "zygote", json.dumps(instructions)),
        "variables": variables,
        "entries": plan.as_data(box.entries),
        "shown": mounts.below(*COVERED),  # in a call
        "covered": box.below(*COVERED),
        "uid": USER_ID,
        "mask": _mask(),
        "network": job.network,
        "resources": asdict(job.resources),
    }


def _box_of(payload: "Process", job: "Job", *more: str) -> plan.MountPlan:
    """What all calls of a key see, and these paths."""
    return plan.make_box(
        payload.root,
        job.workspace.package,
        uid=USER_ID,
        gid=USER_ID,
        network=job.network,
        paths=(*job.paths, *more),
    )


def ask(
    line: socket.socket, job: "Job", *message: Any, give: tuple[int, ...] = ()
) -> tuple[Any, ...]:
    """The keeper's answer, and its descriptors last.

    Raises:
        NotWarmError: there is none before a stop is asked for, or the run's time is over.
    """
    try:
        messages.send(line, message, give)
    except OSError:
        raise NotWarmError("") from None
    return _awaited(line, job, _TOO_LONG if message[0] == "open" else "")


def _awaited(line: socket.socket, job: "Job", late: str = "") -> tuple[Any, ...]:
    """The keeper's next answer; as `ask`. `late` says why there is none within the run's time."""
    timeout = job.resources.timeout
    try:
        poll = select.poll()
        poll.register(line, select.POLLIN)
        poll.register(job.cancel.fileno(), select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        if all(descriptor != line.fileno() for descriptor, _ in ready):
            raise NotWarmError("" if ready else late)
        found = messages.receive(line)
    except OSError:
        found = None
    if found is None:
        raise NotWarmError("")
    return (*found[0], found[1])


def _start() -> tuple[int, socket.socket]:
    """A keeper of this process, and the line to it.

    Raises:
        NotWarmError: it cannot be started.
    """
    found = cgroups.found_here()
    main, theirs = messages.pair()
    owner = os.pidfd_open(os.getpid())
    places = numbers_in_child((theirs.fileno(), owner))
    line, own = places.values()
    # Of the variables only what its interpreter needs: the others may be secrets.
    variables = {name: value for name, value in os.environ.items() if name.startswith("LD_")}
    variables |= {"PATH": os.environ.get("PATH", os.defpath), "KEDGE_HOME": home.home()}
    try:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", _KEEPER, _SOURCE, str(line), str(own)],
            variables,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                *((os.POSIX_SPAWN_DUP2, source, place) for source, place in places.items()),
            ],
            setsid=True,
            setsigmask=(),
        )
    except OSError as error:
        main.close()
        raise NotWarmError(f"its keeper cannot be started ({error.strerror})") from error
    finally:
        theirs.close()
        os.close(owner)
    try:
        messages.send(main, found)
        if wait_readable(main.fileno(), _START_S) and messages.receive(main) is not None:
            return process, main
    except OSError:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    main.close()
    raise NotWarmError("its keeper cannot be started here")
