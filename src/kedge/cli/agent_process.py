"""The agent itself: supervises commands in forks of its own, and ends when nobody has needed it for long."""

import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NoReturn, final

from kedge.cli import likeness
from kedge.cli.agent import ANSWER_S, LOOK_S, PAUSE_S, lock_file
from kedge.executor.warm import messages
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.pool import Pool
from kedge.home import agent_socket, folder, home

IDLE_S: Final = 1800.0  # without a command, after which an agent ends: nobody is at work any more
_LOCK_S: Final = 1.0  # for those who only look whether the lock is held to let go of it
_QUEUE: Final = 128  # commands that come at once: more than anybody's `xargs -P`


def become_agent(writing: int) -> NoReturn:
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
    lock = lock_file()
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE_S)
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
        self.identity = likeness.identity()
        self.standing = likeness.standing(os.getpid())
        self.code = likeness.code()
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
                for descriptor, _ in poll.poll(1000 * max(0.0, min(left, LOOK_S))):
                    if descriptor in self.children:
                        self._bury(descriptor)
                    elif descriptor in self.asking:
                        self._answer(self.asking.pop(descriptor)[0], listening)
                    else:
                        self._accept(listening)
                for line, since in list(self.asking.values()):
                    if time.monotonic() - since > ANSWER_S:
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
            time.sleep(PAUSE_S)
            return
        self.asking[line.fileno()] = line, time.monotonic()

    def _answer(self, line: socket.socket, listening: socket.socket) -> None:
        # Who asks may be another version's, and may have gone: all that must not end an agent.
        with line, suppress(OSError, EOFError, ValueError, TypeError):
            line.settimeout(ANSWER_S)
            if likeness.peer(line)[1] != os.geteuid():
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
        if likeness.code() != self.code:
            # It would run what it has loaded, and that is not what is there.
            self.over = True
        alike = (
            tuple(identity) == self.identity and likeness.standing_of_peer(line) == self.standing
        )
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
