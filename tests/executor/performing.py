"""Executes one request and says what came of it, in this process or as a program of its own.

    python performing.py <<< '{"base": "/tmp/x", "argv": ["true"]}'

As a program it can run as somebody else, which is how the tests see what an ordinary user gets.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any

from kedge.contract import runner
from kedge.contract.workspace import StagedFile, Workspace
from kedge.data import asdict, replace
from kedge.errors import KedgeError
from kedge.executor import Cancel, Job, choose, limits
from kedge.executor.warm import forked
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.pool import Pool
from kedge.middleware import drive
from kedge.task import Becoming, Forkable, HostRoot, Process, PythonRoot, Resources

# What a warm request's argv is executed by: a handler, in a fork of the process that has imported it.
CALLED = "kedge_test_called"
HANDLER = """
import os
import signal

def call(argv):
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and exec would pass on
        signal.signal(number, signal.SIG_DFL)
    os.execvp(argv[0], argv)
"""
PYTHON = ("/usr/bin/python3", "-I", "-B", runner.__file__)


def perform(request: dict[str, Any]) -> dict[str, Any]:
    """Execute what `request` asks for. `{port}`, `{pid}`, `{base}` in its arguments are filled in."""
    base = request["base"]
    folder = tempfile.mkdtemp(prefix="run-", dir=base)
    os.chmod(folder, 0o755)
    files = tuple(StagedFile(source, name) for source, name in request.get("files", ()))
    package = request.get("package")
    if request.get("warm"):
        package = {**(package or {}), f"{CALLED}.py": HANDLER}
    workspace = Workspace(_lay_out(folder, files), _snapshot(folder, package), files)
    # Lives until it is killed, or until this process is: its standard input ends then.
    neighbour = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.socket(socket.AF_UNIX) as unix,
        ):
            unix.bind(f"\0kedge-test-{os.getpid()}")
            unix.listen()
            values = {
                "{port}": str(server.getsockname()[1]),
                "{pid}": str(neighbour.pid),
                "{own}": str(os.getpid()),
                "{base}": base,
            }
            answer = _execute(request, workspace, [_filled(one, values) for one in request["argv"]])
        answer["neighbour_lives"] = neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.communicate()
    answer["workspace"] = workspace.folder
    answer["owners_after"] = _owners(workspace.folder)
    answer["left_beside"] = sorted(os.listdir(workspace.folder))
    return answer


def _execute(request: dict[str, Any], workspace: Workspace, argv: list[str]) -> dict[str, Any]:
    kept: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    counted = {"stdout": 0, "stderr": 0}
    owners: dict[str, int] = {}
    notices: list[str] = []
    cancel = Cancel()

    def on_output(stream: str, data: bytes) -> None:
        counted[stream] += len(data)
        if not request.get("count"):
            kept[stream] += data
        if request.get("announce"):
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        if (text := request.get("cancel_on")) and text.encode() in kept["stdout"]:
            cancel.request(force=request.get("force", False))
        if request.get("fail_on_output"):
            raise ZeroDivisionError

    def on_tick() -> None:
        owners.update(_owners(workspace.folder))
        if request.get("touch_on_tick"):
            with open(os.path.join(workspace.folder, "in", "ticked"), "w"):
                pass

    resources = {"cpu": 1, "memory_mb": 256, "timeout": 30, "grace": 5.0} | request.get(
        "resources", {}
    )
    job = Job(
        run_id=request.get("run_id", os.urandom(6).hex()),
        package="bolts",
        function="sizing",
        workspace=workspace,
        resources=Resources(**resources),
        network=request.get("network", False),
        paths=tuple(request.get("paths", ())),
        on_output=on_output,
        on_tick=on_tick,
        on_notice=notices.append,
        cancel=cancel,
    )
    if request.get("die_while_it_is_held_back"):
        limits.hold = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    visible = request.get("visible")
    root = HostRoot() if visible is None else PythonRoot(tuple(visible))
    payload = Process(tuple(argv), root, request.get("env", {}))
    answer: dict[str, Any] = {"notices": notices, "owners": owners, "uid": os.geteuid()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        kind = request.get("kind", "sandbox")
        executor = choose("process" if kind == "copied" else kind).executor
        if request.get("warm"):
            with Pool() as pool:
                answer["ended"] = asdict(forked.execute(pool, _warm(payload, workspace), job))
        elif request.get("waiting"):
            payload = replace(payload, forkable=Becoming())
            with Pool() as pool:
                opened(pool, payload, job)
                answer["ended"] = asdict(forked.execute(pool, payload, job))
        elif kind == "copied":  # its guard, from one that was started for another program before
            with Pool() as pool:
                nothing = replace(job, workspace=_beside(workspace), on_output=lambda *_: None)
                for each in (replace(nothing, run_id=os.urandom(6).hex(), cancel=Cancel()), job):
                    program = payload if each is job else replace(payload, argv=("/bin/true",))
                    ended = drive(executor.execute(program, replace(each, pool=pool)))
                assert pool.guards._original is not None
            answer["ended"] = asdict(ended)
        else:
            answer["ended"] = asdict(drive(executor.execute(payload, job)))
    except (KedgeError, ZeroDivisionError) as error:
        answer["error"] = [type(error).__name__, str(error), getattr(error, "hint", None)]
    answer["grown_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answer["counted"] = counted
    answer |= {stream: data.decode(errors="replace") for stream, data in kept.items()}
    return answer


def opened(pool: Pool, payload: Process, job: Job) -> None:
    """See that forks wait for such programs, as they do once there were some."""
    for _ in range(2):
        try:
            pool.plan_of(payload, job)
        except NotWarmError:
            continue
    pool.await_opened()
    pool.plan_of(payload, job)


def _beside(workspace: Workspace) -> Workspace:
    folder = tempfile.mkdtemp(prefix="before-", dir=os.path.dirname(workspace.folder))
    os.chmod(folder, 0o755)
    return Workspace(_lay_out(folder, ()), None)


def _warm(payload: Process, workspace: Workspace) -> Process:
    """The same program, executed by a handler that is called warm."""
    with open(os.path.join(workspace.folder, "in", "data.json"), "w") as file:
        json.dump({"argv": payload.argv}, file)
    visible = payload.root.visible if isinstance(payload.root, PythonRoot) else ()
    instructions = {"handler": f"{CALLED}:call", "outputs": {}, "open": True}
    return replace(
        payload,
        root=PythonRoot((*visible, runner.__file__)),
        forkable=Forkable(PYTHON, CALLED, instructions),
    )


def _lay_out(folder: str, files: tuple[StagedFile, ...]) -> str:
    work = os.path.join(folder, "work")
    for name in ("", "in", "in/files", "out", "out/files", "out/artifacts", "scratch"):
        os.mkdir(os.path.join(work, name))
        os.chmod(os.path.join(work, name), 0o755)
    for name, text in {"in/data.json": "{}", "out/files/list.json": "{}"}.items():
        with open(os.path.join(work, name), "w") as file:
            file.write(text)
    for staged in files:
        with open(os.path.join(work, staged.name), "w") as file:
            os.fchmod(file.fileno(), 0o444)
    return work


def _snapshot(folder: str, package: dict[str, str] | None) -> str | None:
    if package is None:
        return None
    place = os.path.join(folder, "snapshot")
    for name in ("", "in", "out", "scratch"):
        os.mkdir(os.path.join(place, name))
    for name, text in package.items():
        with open(os.path.join(place, name), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o555)
    os.chmod(place, 0o555)
    return place


def _owners(folder: str) -> dict[str, int]:
    """Who owns what the code wrote into `out`, by name."""
    with os.scandir(os.path.join(folder, "out")) as found:
        return {entry.name: entry.stat(follow_symlinks=False).st_uid for entry in found}


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    answer = json.dumps(perform(json.load(sys.stdin)))
    sys.stdout.write("\n" + answer + "\n")
