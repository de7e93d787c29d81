"""The agent as commands see it: what keeps processes warm between those of one user, and supervises them.

`kedge agent start` leaves one behind. A command that runs something finds its socket in Kedge's home, hands it
what a supervisor of its own would have inherited (its two pipes, its folder, its variables), and is told which
process is its supervisor now. That is a fork of the agent: everything is loaded already, and what is warm
is shared. All else is as without an agent: a command for which that would not be so does without it.
"""

import fcntl
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from kedge.cli import likeness
from kedge.data import Data
from kedge.errors import Unavailable
from kedge.executor.processes import wait_readable
from kedge.executor.warm import messages
from kedge.home import agent_socket, folder, home

ANSWER_S: Final = 5.0  # for an agent to answer; a command does without one that does not
# Between two looks at what rarely changes: whether its socket is there, what it still does.
LOOK_S: Final = 1.0
# Between two looks at what somebody waits for: that it ends, or lets go of a lock.
PAUSE_S: Final = 0.02
# For it to load everything and start a keeper: half a second where nothing else goes on.
_START_S: Final = 20.0
_STOP_S: Final = 20.0  # from its last command's end on, its keeper's end included
# Words of a command that mean what it has open, which an agent has not.
_BY_NUMBER: Final = re.compile(r"/dev/(fd|std)|/proc/(self|thread-self)\b")


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
            order = ("supervise", likeness.identity(), dict(os.environ), umask)
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
            again = now + LOOK_S
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
        time.sleep(PAUSE_S)
    return True


def start() -> int:
    """Leave an agent behind; its process.

    Raises:
        Unavailable: there is one already, or it does not start.
        OSError: Kedge's home cannot be written.
    """
    from kedge.cli.agent_process import become_agent

    os.close(lock_file())
    until = time.monotonic() + 2 * LOOK_S  # for one whose socket was removed to notice that
    while _is_held():
        if time.monotonic() > until or _asked("status") is not None:
            raise _already()
        time.sleep(PAUSE_S)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        become_agent(writing)
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


def lock_file() -> int:
    """A descriptor of the file whose lock an agent holds while it lives."""
    return os.open(
        os.path.join(folder(), "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )


def _already() -> Unavailable:
    return Unavailable("an agent is there already", hint="`kedge agent status` tells of it")


def _connected() -> socket.socket | None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.settimeout(ANSWER_S)
    try:
        place = os.open(os.path.dirname(agent_socket()), os.O_PATH | os.O_DIRECTORY)
        try:  # the path itself may be longer than an address can be
            line.connect(f"/proc/self/fd/{place}/{os.path.basename(agent_socket())}")
        finally:
            os.close(place)
        if likeness.peer(line)[1] == os.geteuid():
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
