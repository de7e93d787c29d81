"""A service that runs on and answers: started once, found again by later starts, stopped when asked."""

import os

from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kedge.primer.context import Context

    Answers = str | Callable[[Context], bool]

START_SECONDS = 60  # for a database that recovers; a service that needs more says so
STOP_SECONDS = 10  # what Docker gives a container, too
ANSWER_SECONDS = 2  # for one try
PAUSE_SECONDS = 0.05  # between two tries: nothing tells when another program has begun to listen
LAST_LINES = 20

# Its number is on disk before the service begins, with the time at which it began: a number is used again.
WRAPPER = '{ cat "/proc/$$/stat" 2>/dev/null || echo "$$"; } >"$0"; exec "$@"'


class Service(State):
    """A state in which a service runs; made by `service`."""

    __slots__ = ()

    def stop(self, ctx: "Context") -> None:
        """End the service and what it has started: asked first, killed if it does not end."""
        halt(note(ctx, self))


def service(
    name: str,
    command: "Iterable[str]",
    *,
    answers: "Answers",
    needs: "Iterable[State]" = (),
    inputs: "Iterable[str]" = (),
    folder: str = ".",
    variables: "Mapping[str, str]" = {},  # noqa: B006 - it is only read
    seconds: float = START_SECONDS,
) -> Service:
    """A state in which a service was started, apart from this start, and answers.

    Its output is in `log` in the state's folder. When its command, an input or what it needs changes, it is
    stopped and started again, and so it is when it no longer answers. Its value has `pid` and `log`.

    Args:
        name: what the state is called.
        command: the service and its arguments; it stays in the foreground.
        answers: `http://HOST:PORT/PATH`, which has to give a status below 500; `HOST:PORT` or `unix:PATH`, which
            have to accept a connection; or a function that says whether it answers.
        needs: states that are reached before.
        inputs: files that it reads when it begins.
        folder: where it runs, below the root.
        variables: environment variables, besides those of the start.
        seconds: after which a service that does not answer has failed.
    """
    if isinstance(answers, str) and not answers.startswith("unix:"):
        address = answers.removeprefix("http://").partition("/")[0]
        if not address.rpartition(":")[2].isdigit():
            from kedge.errors import UsageError

            raise UsageError(
                f"the service `{name}` is to answer at {answers!r}, which has no port",
                hint="write `http://HOST:PORT/PATH`, `HOST:PORT`, `unix:PATH`, or give a function",
            )
    words = tuple(command)
    environment = dict(variables)

    def service(ctx: "Context") -> dict[str, object]:
        return begin(ctx, words, folder, environment, answers, seconds)

    def check(ctx: "Context") -> bool:
        return pid_of(note(ctx)) is not None and responds(answers, ctx)

    service.__doc__ = f"The service {name} runs and answers."
    return Service(service, name=name, needs=needs, inputs=inputs, check=check)


def note(ctx: "Context", state: "State | None" = None) -> str:
    """The file with a service's number; the context's own one's unless a state is given.

    It is called after the checkout, since a copy of that has a copy of the file, and not the service.
    """
    import zlib

    place = ctx._start.place
    name = ctx._start.graph.standing(state).name if state else ctx._state.name
    checkout = zlib.crc32(os.fsencode(place.root))
    return os.path.join(place.folder(name), "folder", f"pid-{checkout:08x}")


def begin(
    ctx: "Context",
    command: tuple[str, ...],
    folder: str,
    variables: dict[str, str],
    answers: "Answers",
    seconds: float,
) -> dict[str, object]:
    """Start the service and wait until it answers."""
    import subprocess
    import time

    from kedge.errors import FunctionError, Unavailable
    from kedge.primer.interrupts import held

    noted = note(ctx)
    halt(noted)
    if responds(answers, ctx):
        raise Unavailable(
            f"something else answers{'' if callable(answers) else f' at {answers}'} already",
            hint="end it, or let this service use another address",
        )
    log = os.path.join(ctx.folder, "log")
    process = None
    try:
        with open(log, "wb") as said, held():
            process = subprocess.Popen(
                ["sh", "-c", WRAPPER, noted, *command],
                cwd=os.path.join(ctx.root, folder),
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while not responds(answers, ctx):
            code = process.poll()
            if code is not None:
                raise FunctionError(f"it ended with exit code {code}:{last_lines(log)}")
            if time.monotonic() > deadline:
                raise FunctionError(f"it does not answer after {seconds:g} s:{last_lines(log)}")
            time.sleep(PAUSE_SECONDS)
    except BaseException:
        halt(noted)
        if process is not None and process.poll() is None:
            process.kill()  # it had not noted its number yet
        raise
    return {"pid": process.pid, "log": log}


def responds(answers: "Answers", ctx: "Context") -> bool:
    """Whether the service answers now."""
    if callable(answers):
        return bool(answers(ctx))
    import socket

    web = answers.startswith("http://")
    address, _, path = answers.removeprefix("http://").partition("/") if web else (answers, "", "")
    try:
        if address.startswith("unix:"):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            connection = socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS)
        with connection:
            if not web:
                return True
            connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            status = connection.makefile("rb").readline().split()
            return len(status) > 1 and status[0].startswith(b"HTTP/") and status[1] < b"500"
    except OSError:
        return False


def pid_of(path: str) -> int | None:
    """The number of the process that a file notes, None when it does not run."""
    noted = facts(path)
    if not noted:
        return None
    pid, began = noted
    if began is None:  # a system without /proc
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return pid
    now = facts(f"/proc/{pid}/stat")
    return pid if now == noted else None


def facts(path: str) -> tuple[int, str | None] | None:
    """The number of a process and when it began, from a file like /proc/PID/stat; None for one that has ended."""
    try:
        with open(path, "rb") as stream:
            first, _, rest = stream.read().decode(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = rest.split()  # from the third on; see proc(5)
    if not first:
        return (int(rest), None) if rest.strip().isdigit() else None
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return int(first.split()[0]), fields[19]


def halt(path: str) -> None:
    """End the process that a file notes, if it runs, with its whole group."""
    import signal
    import time

    pid = pid_of(path)
    if pid is None:
        return
    deadline = time.monotonic() + STOP_SECONDS
    try:
        os.killpg(pid, signal.SIGTERM)
        while pid_of(path) is not None and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of it has ended


def last_lines(log: str) -> str:
    """The end of what the service said, each line indented."""
    with open(log, "rb") as stream:
        lines = stream.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines)
