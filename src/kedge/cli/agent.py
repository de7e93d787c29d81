"""The agent: keeps processes warm between the commands of one user, and supervises them in forks of its own.

`kedge agent start` leaves one behind. A command that runs something finds its socket in Kedge's home, hands it
what a supervisor of its own would have inherited (its two pipes, its folder, its variables), and is told which
process is its supervisor now. That is a fork of the agent: everything is loaded already, and what is warm
is shared. All else is as without an agent.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any, Final, NoReturn, final

from kedge import version
from kedge.data import Data
from kedge.errors import Unavailable
from kedge.executor.warm import messages
from kedge.executor.warm.pool import NotWarmError, Pool
from kedge.home import agent_socket, folder, home

IDLE_S: Final = 1800.0  # without a command, after which an agent ends
_ANSWER_S: Final = 5.0  # for an agent to answer; a command does without one that does not
_START_S: Final = 20.0
_STOP_S: Final = 20.0  # its keeper's end included
_CREDENTIALS: Final = struct.Struct("iII")
_QUEUE: Final = 128


class AgentStatus(Data):
    """What an agent says of itself.

    Args:
        pid: its process.
        since_s: seconds since it was started.
        commands: how many go on.
        kept: what is warm, see `Pool.kept`.
    """

    pid: int
    since_s: float
    commands: int
    kept: tuple[dict[str, Any], ...]


# ---- for commands


def supervisor_of_agent(wishes: int, telling: int) -> tuple[int, int] | None:
    """Have the agent fork a supervisor for this command: its number, and a descriptor of it.

    None where no agent of this Kedge answers. `wishes` and `telling` are the supervisor's ends of the pipes.
    """
    line = _connected()
    if line is None:
        return None
    with line:
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
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
    pid, since_s, commands, kept = found
    return AgentStatus(pid, since_s, commands, tuple(kept))


def stop() -> bool:
    """End the agent, once the commands that it supervises have ended; whether there was one.

    Raises:
        Unavailable: it does not end.
    """
    found = _asked("stop")
    if found is None:
        return False
    until = time.monotonic() + _STOP_S
    while _is_held():
        if time.monotonic() > until:
            raise Unavailable(
                f"the agent, process {found[0]}, does not end", hint="commands that it runs go on"
            )
        time.sleep(0.02)
    return True


def start() -> int:
    """Leave an agent behind; its process.

    Raises:
        Unavailable: there is one already, or it does not start.
    """
    if _is_held():
        raise Unavailable("an agent is there already", hint="`kedge agent status` tells of it")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _begin(writing)
    os.close(writing)
    os.waitpid(child, 0)
    ready, _, _ = select.select((reading,), (), (), _START_S)
    said = os.read(reading, 64) if ready else b""
    os.close(reading)
    if not said.isdigit():
        raise Unavailable(
            "the agent does not start", hint=f"`{os.path.join(home(), 'agent.log')}` may say why"
        )
    return int(said)


def _connected() -> socket.socket | None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(_ANSWER_S)
    try:
        place = os.open(os.path.dirname(agent_socket()), os.O_PATH | os.O_DIRECTORY)
        try:  # the path itself may be longer than an address can be
            line.connect(f"/proc/self/fd/{place}/{os.path.basename(agent_socket())}")
        finally:
            os.close(place)
        if _peer(line) == os.geteuid():
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


def _peer(line: socket.socket) -> int:
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


def _identity() -> tuple[str, ...]:
    """What an agent and a command must have in common."""
    return (
        version.__version__,
        os.path.dirname(os.path.abspath(version.__file__)),
        home(),
        sys.version,
    )


def _lock() -> int:
    return os.open(
        os.path.join(folder(), "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )


def _is_held() -> bool:
    lock = _lock()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        os.chdir("/")
        log = os.open(
            os.path.join(folder(), "agent.log"),
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
        )
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor, place in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(descriptor, place)
        lock = _lock()
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with Pool() as pool:
            pool.start()
            _Agent(pool).serve(writing)
        code = 0
    except BaseException:  # noqa: BLE001 - what is wrong is read in its log
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


@final
class _Agent:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.children: dict[int, int] = {}  # descriptor → process
        self.began = time.monotonic()
        self.asked = self.began
        self.over = False

    def serve(self, writing: int) -> None:
        """Answer until nobody has asked for long, or it is to stop. `writing` is told when it listens."""
        from kedge.cli.supervised import make_ready

        make_ready()
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
            listening.listen(_QUEUE)
            os.write(writing, str(os.getpid()).encode())
            os.close(writing)
            while not self.over or self.children:
                watched = [*([] if self.over else [listening.fileno()]), *self.children]
                left = self.asked + IDLE_S - time.monotonic()
                ready, _, _ = select.select(watched, (), (), max(0.0, min(left, 1.0)))
                for descriptor in ready:
                    if descriptor in self.children:
                        self._bury(descriptor)
                    else:
                        self._answer(listening)
                if self.children:
                    self.asked = time.monotonic()
                elif left <= 0:
                    self.over = True
            os.unlink(agent_socket())

    def _stop(self, *_: object) -> None:
        self.over = True

    def _bury(self, descriptor: int) -> None:
        os.waitpid(self.children.pop(descriptor), 0)
        os.close(descriptor)

    def _answer(self, listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line, suppress(OSError):
            line.settimeout(_ANSWER_S)
            if _peer(line) != os.geteuid():
                return
            found = messages.receive(line)
            if found is None:
                return
            (what, *words), given = found
            if what == "supervise":
                self.asked = time.monotonic()
                identity, variables, umask = words
                self._supervise(line, listening, identity, variables, umask, given)
            elif what in ("status", "stop"):
                self.over |= what == "stop"
                kept = self.pool.kept()
                since = time.monotonic() - self.began
                messages.send(line, (os.getpid(), since, len(self.children), kept))

    def _supervise(
        self,
        line: socket.socket,
        listening: socket.socket,
        identity: tuple[str, ...],
        variables: dict[str, str],
        umask: int,
        given: list[int],
    ) -> None:
        try:
            if tuple(identity) != _identity():
                messages.send(line, ("another",))
                return
            with suppress(NotWarmError):  # then its runs are cold
                self.pool.start()
            child = os.fork()
            if child == 0:
                listening.close()
                line.close()
                self._become_supervisor(variables, umask, *given)
            ended = os.pidfd_open(child)
            self.children[ended] = child
            messages.send(line, ("supervisor", child), (ended,))
        finally:
            for descriptor in given:
                os.close(descriptor)

    def _become_supervisor(
        self, variables: dict[str, str], umask: int, wishes: int, telling: int, here: int
    ) -> NoReturn:
        try:
            from kedge.cli.supervised import supervise
            from kedge.run.warmth import inherit

            for descriptor in self.children:
                os.close(descriptor)
            os.environ.clear()
            os.environ.update(variables)
            os.umask(umask)
            os.fchdir(here)
            os.close(here)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            inherit(self.pool)
            supervise(wishes, telling, set())
        finally:
            os._exit(1)
