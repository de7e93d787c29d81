"""The keeper, from the side of those who make calls: how it is started, and asked."""

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kedge import home
from kedge.executor import cgroups
from kedge.executor.descriptors import numbers_in_child
from kedge.executor.processes import wait_readable
from kedge.executor.warm import messages

if TYPE_CHECKING:
    from kedge.executor.job import Job

_HERE: Final = os.path.dirname(os.path.abspath(__file__))
_KEEPER: Final = os.path.join(_HERE, "keeper.py")
_SOURCE: Final = os.path.abspath(os.path.join(_HERE, "..", "..", ".."))

_START_S: Final = 10.0  # for the keeper to start: an interpreter and some modules

_TOO_LONG: Final = "importing its module takes longer than a run may"


class NotWarmError(Exception):
    """A call has to run cold. The message says why, as a clause; it is empty where that is no news."""


def start() -> tuple[int, socket.socket]:
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
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    main.close()
    raise NotWarmError("its keeper cannot be started here")


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
    return awaited(line, job, _TOO_LONG if message[0] == "open" else "")


def awaited(line: socket.socket, job: "Job", late: str = "") -> tuple[Any, ...]:
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
