"""What a sandbox costs: one cold call of a bare Python."""

import os
import sys
import time
from collections.abc import Iterator

from figure import Figure, LeftOutError, Side
from rounds import alternate
from surroundings import Surroundings, program

from kedge.contract import workspace
from kedge.executor import Executor, Job, executors
from kedge.middleware import drive
from kedge.package.snapshot import snapshot
from kedge.ports import Ports
from kedge.task import Process, PythonRoot, Resources

_NOTHING = ("-I", "-S", "-c", "pass")


def cold(place: Surroundings) -> Iterator[Figure]:
    """A call through the sandbox executor beside bubblewrap called by hand, and beside no sandbox."""
    python = os.path.realpath(sys.executable)
    package = snapshot(place.package("bare", "")).folder
    made = workspace.prepare(os.path.join(place.folder, "work"), package, Ports({}), Ports({}), {})
    executor = executors.get("sandbox")()
    if not (state := executor.usable()).ok:
        raise LeftOutError(f"the sandbox does not work here: {state.reason}")
    payload = Process((python, *_NOTHING), PythonRoot((sys.base_prefix,)))

    by_hand = (program("bwrap"), *mounts(made), python, *_NOTHING)
    mine, bare_box, bare = alternate(
        place.rounds(50),
        lambda: called(executor, payload, made),
        lambda: place.timed(*by_hand),
        lambda: place.timed(python, *_NOTHING),
    )
    yield Figure(
        "sandbox",
        Side("python -I -S -c pass through the sandbox executor", mine),
        (
            Side("the same in bubblewrap with comparable mounts", bare_box),
            Side("the same without a sandbox", bare),
        ),
        notes=(
            "the executor also becomes another account, filters system calls, limits and measures",
        ),
    )


def called(
    executor: Executor, payload: Process, made: workspace.Workspace, number: int = 0
) -> float:
    """Seconds that a call through an executor takes; `number` tells the calls apart."""
    job = Job(
        run_id=f"benchmark{number:03}",
        package="bare",
        function="main",
        workspace=made,
        resources=Resources(cpu=1, memory_mb=256),
    )
    began = time.perf_counter()
    ended = drive(executor.execute(payload, job))
    taken = time.perf_counter() - began
    if ended.exit_code != 0:
        raise LeftOutError(f"the call ended with {ended}")
    return taken


def mounts(
    made: workspace.Workspace, visible: tuple[str, ...] = (sys.base_prefix,)
) -> tuple[str, ...]:
    """Options by which bubblewrap shows what a run sees, but for the generated files in /etc.

    `visible` are the paths that its Python needs besides the system's.
    """
    system = []
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{name}"):
            system += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            system += ["--ro-bind", f"/{name}", f"/{name}"]
    for path in ("/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/certs", "/etc/alternatives"):
        system += ["--ro-bind-try", os.path.realpath(path), path]
    return (
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--die-with-parent"),
        *("--ro-bind", "/usr", "/usr", *system, "--proc", "/proc", "--dev", "/dev"),
        *("--tmpfs", "/dev/shm", "--tmpfs", "/tmp"),
        *(word for path in visible for word in ("--ro-bind", path, path)),
        *("--ro-bind", made.package or "/", "/workspace"),
        *("--ro-bind", f"{made.folder}/in", "/workspace/in"),
        *("--bind", f"{made.folder}/out", "/workspace/out"),
        *("--bind", f"{made.folder}/scratch", "/workspace/scratch"),
        *("--chdir", "/workspace", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"),
    )
