"""The agent: keeps processes warm between the commands of one user, and supervises them in forks of its own.

`kedge agent start` leaves one behind. A command that runs something finds its socket in Kedge's home, hands it
what a supervisor of its own would have inherited (its two pipes, its folder, its variables), and is told which
process is its supervisor now. That is a fork of the agent: everything is loaded already, and what is warm
is shared. All else is as without an agent: a command for which that would not be so does without it.
"""

import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn, final

from kedge import version
from kedge.data import Data
from kedge.errors import Unavailable
from kedge.executor.processes import wait_readable
from kedge.executor.warm import messages
from kedge.executor.warm.pool import NotWarmError, Pool
from kedge.home import agent_socket, folder, home

IDLE_S: Final = 1800.0  # without a command, after which an agent ends: nobody is at work any more
_ANSWER_S: Final = 5.0  # for an agent to answer; a command does without one that does not
# For it to load everything and start a keeper: half a second where nothing else goes on.
_START_S: Final = 20.0
_STOP_S: Final = 20.0  # from its last command's end on, its keeper's end included
_LOCK_S: Final = 1.0  # for those who only look whether the lock is held to let go of it
# Between two looks at what rarely changes: whether its socket is there, what it still does.
_LOOK_S: Final = 1.0
# Between two looks at what somebody waits for: that it ends, or lets go of a lock.
_PAUSE_S: Final = 0.02
_PACKAGE: Final = os.path.dirname(os.path.abspath(version.__file__))
_RIGHTS: Final = (  # of a process's status in /proc; see proc_pid_status(5)
    *(b"Uid:", b"Gid:", b"Groups:", b"Cap", b"NoNewPrivs:", b"Seccomp"),
    *(b"Cpus_allowed:", b"Mems_allowed:"),
)
# Words of a command that mean what it has open, which an agent has not.
_BY_NUMBER: Final = re.compile(r"/dev/(fd|std)|/proc/(self|thread-self)\b")
_CREDENTIALS: Final = struct.Struct("iII")  # <sys/socket.h>: struct ucred
_SO_PEERPIDFD: Final = 77  # <asm-generic/socket.h>, from Linux 6.5 on
_QUEUE: Final = 128  # commands that come at once: more than anybody's `xargs -P`


class AgentStatus(Data):
    """What an agent says of itself.

    Args:
        pid: its process.
        since_s: seconds since it was started.
        commands: how many go on.
        ending: whether it takes no more of them, and ends with the last.
        kept: what is warm, see `Pool.kept`.
    """

    pid: int
    since_s: float
    commands: int
    ending: bool
    kept: tuple[dict[str, Any], ...]


# ---- for commands


def supervisor_of_agent(wishes: int, telling: int) -> tuple[int, int] | None:
    """Have the agent fork a supervisor for this command: its number, and a descriptor of it.

    None where no agent answers that is as this command is. `wishes` and `telling` are the supervisor's ends
    of the pipes; an agent that answers too late may still have got them.
    """
    if any(_BY_NUMBER.search(word) for word in sys.argv):
        return None
    line = _connected()
    if line is None:
        return None
    with line:
        try:
            here = os.open(".", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            # A folder that was removed: the command's own supervisor says what is the matter.
            return None
        umask = os.umask(0o077)
        os.umask(umask)
        try:
            order = ("supervise", _identity(), dict(os.environ), umask)
            messages.send(line, order, (wishes, telling, here))
            found = messages.receive(line)
        except OSError:
            return None
        finally:
            os.close(here)
    if found is None or found[0][0] != "supervisor":
        return None
    return found[0][1], found[1][0]


def status() -> AgentStatus | None:
    """What the agent of this Kedge's home says; None when there is none."""
    found = _asked("status")
    if found is None:
        return None
    pid, since_s, commands, ending, kept = found
    return AgentStatus(pid, since_s, commands, ending, tuple(kept))


def stop(waiting: Callable[[int], None]) -> bool:
    """End the agent, once the commands that it supervises have ended; whether there was one.

    `waiting` is told how many these are, if there are any.

    Raises:
        Unavailable: it does not end, although it says nothing of commands.
    """
    if not _is_held():
        return False
    process, again = None, 0.0
    until = time.monotonic() + _STOP_S
    while _is_held():
        now = time.monotonic()
        if now >= again:
            found = _asked("stop" if process is None else "status")
            again = now + _LOOK_S
            if found is not None:
                if process is None and found[2]:
                    waiting(found[2])
                elif process not in (None, found[0]):  # it has ended, and somebody started another
                    break
                process = found[0]
                if found[2]:
                    until = time.monotonic() + _STOP_S
        if now > until:
            who = "the agent" if process is None else f"the agent, process {process},"
            raise Unavailable(
                f"{who} does not end",
                hint=f"`{os.path.join(home(), 'agent.log')}` may say why",
            )
        time.sleep(_PAUSE_S)
    return True


def start() -> int:
    """Leave an agent behind; its process.

    Raises:
        Unavailable: there is one already, or it does not start.
        OSError: Kedge's home cannot be written.
    """
    os.close(_lock())
    until = time.monotonic() + 2 * _LOOK_S  # for one whose socket was removed to notice that
    while _is_held():
        if time.monotonic() > until or _asked("status") is not None:
            raise _already()
        time.sleep(_PAUSE_S)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _begin(writing)
    os.close(writing)
    os.waitpid(child, 0)
    said = os.read(reading, 64) if wait_readable(reading, _START_S) else b""
    os.close(reading)
    if said.isdigit():
        return int(said)
    if _is_held():  # two were started at once
        raise _already()
    raise Unavailable(
        "the agent does not start", hint=f"`{os.path.join(home(), 'agent.log')}` may say why"
    )


def _already() -> Unavailable:
    return Unavailable("an agent is there already", hint="`kedge agent status` tells of it")


def _connected() -> socket.socket | None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(_ANSWER_S)
    try:
        place = os.open(os.path.dirname(agent_socket()), os.O_PATH | os.O_DIRECTORY)
        try:  # the path itself may be longer than an address can be
            line.connect(f"/proc/self/fd/{place}/{os.path.basename(agent_socket())}")
        finally:
            os.close(place)
        if _peer(line)[1] == os.geteuid():
            return line
    except OSError:
        pass
    line.close()
    return None


def _asked(what: str) -> tuple[Any, ...] | None:
    line = _connected()
    if line is None:
        return None
    with line:
        try:
            messages.send(line, (what,))
            found = messages.receive(line)
        except OSError:
            return None
    return None if found is None else found[0]


def _peer(line: socket.socket) -> tuple[int, int]:
    """Which process connected, or listens, and whose it was then."""
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, account, _ = _CREDENTIALS.unpack(data)
    return process, account


def _identity() -> tuple[Any, ...]:
    """What a command says that it is: the agent must be the same for a fork of it to do for the command.

    All else a command hands over. Nothing here is a right: anybody can say it.
    """
    return (
        *(version.__version__, _PACKAGE, home(), sys.version, sys.prefix, tuple(sys.flags)),
        *(sys.getfilesystemencoding(), os.environ.get("PYTHONPATH", "")),
    )


def _standing(process: int) -> tuple[Any, ...]:
    """What the kernel lets a process see, do and use.

    Not in here is the control group: each terminal may have one of its own.

    Raises:
        OSError: it has gone, or may not be looked at, as one with more rights.
    """
    place = f"/proc/{process}"
    root = os.stat(f"{place}/root")
    found: list[Any] = [
        *(os.readlink(f"{place}/ns/{name}") for name in sorted(os.listdir(f"{place}/ns"))),
        (root.st_dev, root.st_ino),
    ]
    with open(f"{place}/status", "rb") as file:
        found += [line for line in file if line.startswith(_RIGHTS)]
    for name in ("limits", "oom_score_adj"):
        with open(f"{place}/{name}", "rb") as file:
            found.append(file.read())
    return (*found, os.getpriority(os.PRIO_PROCESS, process), os.sched_getscheduler(process))


def _standing_of_peer(line: socket.socket) -> tuple[Any, ...] | None:
    """That of the process that connected; None when it has ended or may not be looked at.

    Never what it says itself: a function that is kept from nothing but its rights has the same account, can
    reach the socket, and would get a supervisor that has these rights.
    """
    process, _ = _peer(line)
    try:
        try:
            living = line.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
        except OSError:  # an older kernel; the number is another's only if it ended before this
            living = os.pidfd_open(process)
        try:
            standing = _standing(process)
            return None if wait_readable(living, 0) else standing
        finally:
            os.close(living)
    except OSError:
        return None


def _code() -> list[tuple[str, int, int]]:
    """The files of this Kedge, and when each was changed: an agent has loaded most of them."""
    found, folders = [], [_PACKAGE]
    for place in folders:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append((entry.path, status.st_mtime_ns, status.st_size))
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return sorted(found)


def _lock() -> int:
    return os.open(
        os.path.join(folder(), "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )


def _is_held() -> bool:
    try:
        lock = os.open(os.path.join(home(), "agent.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


# ---- the agent itself


def _begin(writing: int) -> NoReturn:
    """Become an agent, apart from whoever started it, and be one to the end."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.environ["KEDGE_HOME"] = home()  # which may have been told from the working directory
        os.chdir("/")
        # What whoever started it has open, locks and pipes among it, is not for a process that stays.
        os.closerange(3, writing)
        os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
        lock = _taken_lock()
        log = os.open(
            os.path.join(folder(), "agent.log"),
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
        )
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor, place in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(descriptor, place)
        os.close(nothing)
        os.close(log)
        with Pool() as pool:
            agent = _Agent(pool, lock)  # first: to start a keeper may move this process elsewhere
            pool.start()
            agent.serve(writing)
        code = 0
    except BaseException:  # noqa: BLE001 - what is wrong is read in its log
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _taken_lock() -> int:
    """The lock that an agent holds while it lives.

    Raises:
        BlockingIOError: another one has it.
    """
    lock = _lock()
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return lock


def _socket_there() -> tuple[int, int] | None:
    """Which socket is where commands look for one."""
    try:
        status = os.stat(agent_socket())
    except OSError:
        return None
    return status.st_dev, status.st_ino


@final
class _Agent:
    def __init__(self, pool: Pool, lock: int) -> None:
        self.pool = pool
        self.lock = lock
        self.identity = _identity()
        self.standing = _standing(os.getpid())
        self.code = _code()
        self.children: dict[int, int] = {}  # descriptor → process
        # Who has said nothing yet, since when.
        self.asking: dict[int, tuple[socket.socket, float]] = {}
        self.began = time.monotonic()
        self.asked = self.began
        self.over = False

    def serve(self, writing: int) -> None:
        """Answer until nobody has asked for long, or it is to stop. `writing` is told when it listens."""
        from kedge.cli.supervised import make_ready
        from kedge.ports import units

        make_ready()
        units.reduce("mm")  # and with it the library of units, which takes longer than most runs
        signal.signal(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with suppress(FileNotFoundError):
            os.unlink(agent_socket())  # of one that was killed: the lock is ours
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            os.chdir(home())
            before = os.umask(0o177)
            listening.bind(os.path.basename(agent_socket()))
            os.umask(before)
            os.chdir("/")
            bound = _socket_there()
            listening.listen(_QUEUE)
            os.write(writing, str(os.getpid()).encode())
            os.close(writing)
            while not self.over or self.children:
                left = self.asked + IDLE_S - time.monotonic()
                poll = select.poll()  # which knows no highest descriptor
                for descriptor in (listening.fileno(), *self.children, *self.asking):
                    poll.register(descriptor, select.POLLIN)
                for descriptor, _ in poll.poll(1000 * max(0.0, min(left, _LOOK_S))):
                    if descriptor in self.children:
                        self._bury(descriptor)
                    elif descriptor in self.asking:
                        self._answer(self.asking.pop(descriptor)[0], listening)
                    else:
                        self._accept(listening)
                for line, since in list(self.asking.values()):
                    if time.monotonic() - since > _ANSWER_S:
                        del self.asking[line.fileno()]
                        line.close()
                if self.children:
                    self.asked = time.monotonic()
                elif left <= 0:
                    self.over = True
                if _socket_there() != bound:  # nobody finds it any more
                    self.over = True
            if _socket_there() == bound:
                os.unlink(agent_socket())

    def _stop(self, *_: object) -> None:
        self.over = True

    def _bury(self, descriptor: int) -> None:
        os.waitpid(self.children.pop(descriptor), 0)
        os.close(descriptor)

    def _accept(self, listening: socket.socket) -> None:
        try:
            line, _ = listening.accept()
        except OSError:  # there may be no descriptor left until a command ends
            time.sleep(_PAUSE_S)
            return
        self.asking[line.fileno()] = line, time.monotonic()

    def _answer(self, line: socket.socket, listening: socket.socket) -> None:
        # Who asks may be another version's, and may have gone: all that must not end an agent.
        with line, suppress(OSError, EOFError, ValueError, TypeError):
            line.settimeout(_ANSWER_S)
            if _peer(line)[1] != os.geteuid():
                return
            found = messages.receive(line)
            if found is None:
                return
            message, given = found
            try:
                what, *words = message
                if what == "supervise":
                    self.asked = time.monotonic()
                    identity, variables, umask = words
                    wishes, telling, here = given
                    begin = partial(
                        self._become_supervisor, variables, umask, wishes, telling, here
                    )
                    self._supervise(line, listening, identity, begin)
                elif what in ("status", "stop"):
                    self.over |= what == "stop"
                    kept = self.pool.kept()
                    since = time.monotonic() - self.began
                    messages.send(line, (os.getpid(), since, len(self.children), self.over, kept))
            finally:
                for descriptor in given:
                    os.close(descriptor)

    def _supervise(
        self,
        line: socket.socket,
        listening: socket.socket,
        identity: tuple[Any, ...],
        begin: Callable[[], NoReturn],
    ) -> None:
        if _code() != self.code:  # it would run what it has loaded, and that is not what is there
            self.over = True
        alike = tuple(identity) == self.identity and _standing_of_peer(line) == self.standing
        if self.over or not alike:
            messages.send(line, ("another",))
            return
        with suppress(NotWarmError):  # then its runs are cold
            self.pool.start()
        child = os.fork()
        if child == 0:
            listening.close()
            line.close()
            begin()
        ended = os.pidfd_open(child)
        self.children[ended] = child
        messages.send(line, ("supervisor", child), (ended,))

    def _become_supervisor(
        self, variables: dict[str, str], umask: int, wishes: int, telling: int, here: int
    ) -> NoReturn:
        try:
            from kedge.cli.supervised import supervise
            from kedge.run.warmth import inherit

            for descriptor in (self.lock, *self.children, *self.asking):
                os.close(descriptor)
            os.environ.clear()
            os.environ.update(variables)
            time.tzset()
            os.umask(umask)
            os.fchdir(here)
            os.close(here)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            inherit(self.pool)
            supervise(wishes, telling, set())
        finally:
            os._exit(1)
