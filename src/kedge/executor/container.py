"""The `docker` and `podman` executors: a program in a container of its own, made for one run.

The engine isolates it and holds it to its limits. What Kedge adds is the same as in the sandbox: an account
that owns nothing, no capabilities, no network, a root that cannot be written, and the contract's folders.
"""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

from kedge.contract.ownership import remove
from kedge.data import replace
from kedge.engine.look import Engine, look
from kedge.engine.programs import call, dies_with_us, program, start, variables
from kedge.errors import Lost, StartFailed, Unavailable
from kedge.executor import identity, processes
from kedge.executor.base import Executor, Usable
from kedge.executor.bounds import Bounds
from kedge.executor.container_group import ContainerGroup
from kedge.executor.descriptors import Descriptors
from kedge.executor.lending import TMP, lend, readable, writable
from kedge.executor.variables import image_variables
from kedge.executor.watch import KILL_PATIENCE_S, Outcome, watch
from kedge.home import home
from kedge.task.payload import ImageRoot, Process

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.job import Ended, Job, Stream
    from kedge.task.resources import Resources

WORKSPACE: Final = "/workspace"
LABEL_HOME: Final = "kedge.home"
LABEL_RUN: Final = "kedge.run"

_NAME: Final = "kedge-"
_LATE_S: Final = (0.3, 0.7)  # waits between the looks for a container that may still come
_ENGINE: Final = (
    "engine"  # the folder that an engine's program works in, beside the workspace's own
)
_ID_FILE: Final = "container"
_OOM_FILE: Final = "oom"
_MOST_BINDS: Final = 1000
_OPEN_FILES: Final = 65536
_PROCESSES: Final = 32768  # of one account; a run's own are limited by its control group
_NEVER: Final = "0001-01-01T00:00:00"  # when a container was started that never was
_REFUSED: Final = (
    125,
    126,
    127,
)  # what an engine's program ends with when the container could not start
_NOT_STARTED: Final = (
    "[FATAL tini",
    "ERROR (catatonit",
    "catatonit: failed",
)  # the first process's words
_TAIL_BYTES: Final = 4096
_EAGER_S: Final = 0.01  # a look goes through the processes of the machine
_EAGER_FOR_S: Final = 5.0
_FATAL: Final = 128  # a program that a signal ended is reported with this and the signal's number
_OWN_VARIABLES: Final = ("HOME", "PATH", "USER", "TMPDIR", "LANG", "TZ", "LC_ALL", "NO_COLOR")
_OWN_PREFIXES: Final = (
    "DOCKER_",
    "CONTAINER",
    "XDG_",
    "REGISTRY_",
    "BUILDKIT_",
    "BUILDAH_",
    "LD_",
    "SSL_",
)


class ContainerExecutor(Executor):
    """A program in a container that its engine makes for one run and removes after it."""

    accepts: ClassVar[tuple[type, ...]] = (Process,)
    roots: ClassVar[tuple[type, ...]] = (ImageRoot,)

    def usable(self, *, fresh: bool = False) -> Usable:
        """Whether the engine answers; asked once, then remembered until the machine restarts."""
        found = look(self.kind, fresh=fresh)
        if found.engine is not None and not found.engine.local:
            return Usable(
                False,
                f"{self.kind} runs on another machine, which cannot see this one's files",
                "unset DOCKER_HOST, or run Kedge there",
            )
        return Usable(found.engine is not None, found.reason, found.hint)

    def missing(self, resources: "Resources") -> list[str]:  # noqa: ARG002 - the engine's limits are the kernel's
        """What of `resources` is not enforced by this executor here."""
        return []

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        found = look(self.kind)
        if found.engine is None:
            raise Unavailable(f"{self.kind} does not work here: {found.reason}", hint=found.hint)
        heard = _Heard(job)
        with ExitStack() as after:
            group = ContainerGroup()
            bounds = Bounds(job, group, writable(job))
            after.callback(bounds.close)
            job = replace(job, on_output=heard.output)
            program = _start(found.engine, payload, payload.root, job, group, after)
            ended = watch(program, job, bounds)
        heard.check(ended, payload.argv[0])
        return ended


class DockerExecutor(ContainerExecutor):
    """A container made by Docker."""

    kind: ClassVar[str] = "docker"
    kind_name: ClassVar[str] = "Docker"
    kind_description: ClassVar[str] = "Runs a program of an image in a container made by Docker."


class PodmanExecutor(ContainerExecutor):
    """A container made by Podman."""

    kind: ClassVar[str] = "podman"
    kind_name: ClassVar[str] = "Podman"
    kind_description: ClassVar[str] = "Runs a program of an image in a container made by Podman."


class _Heard:
    """Passes on what a container writes, and knows its first process's word that nothing could be started."""

    def __init__(self, job: "Job") -> None:
        self._pass_on = job.on_output
        self._last = b""

    def output(self, stream: "Stream", data: bytes) -> None:
        """Hand on one chunk."""
        if stream == "stderr":
            self._last = (self._last + data)[-_TAIL_BYTES:]
        self._pass_on(stream, data)

    def check(self, ended: "Ended", program: str) -> None:
        """Raise StartFailed if the program was not there to be started."""
        if ended.exit_code not in (1, *_REFUSED) or ended.reason != "exited":
            return
        lines = self._last.decode(errors="replace").strip().splitlines()
        if lines and lines[-1].startswith(_NOT_STARTED):
            raise _could_not_start(f"{program}: {lines[-1].rpartition(': ')[2]}")


def remove_container(kind: str, run_id: str) -> None:
    """Remove the container of a run whose holder is gone, whatever it does; none there is fine."""
    path = program(kind)
    if path is not None:
        with suppress(Unavailable):  # the engine is away: `kedge gc` looks again
            for wait_s in (0.0, *_LATE_S):  # it may just be making what its dead caller asked for
                time.sleep(wait_s)
                done = call(path, "rm", "--force", "--volumes", name_of(run_id))
                if done.code == 0 and done.out.strip():
                    return


def containers_left(engine: Engine) -> list[str]:
    """The runs that have a container in an engine, those of this home.

    Raises:
        Unavailable: it does not answer.
    """
    filtered = ("--filter", f"label={LABEL_HOME}={home()}")
    done = call(engine.path, "ps", "--all", "--format", "{{.Names}}", *filtered)
    return [name.removeprefix(_NAME) for name in done.out.split() if name.startswith(_NAME)]


def name_of(run_id: str) -> str:
    """The name of a run's container."""
    return f"{_NAME}{run_id}"


def _start(
    engine: Engine,
    payload: Process,
    root: ImageRoot,
    job: "Job",
    group: ContainerGroup,
    after: ExitStack,
) -> "Contained":
    """Start a program in a container made for it.

    Raises:
        InputError: an input cannot be had.
        StartFailed: the engine's program could not be started.
    """
    folder = job.workspace.folder
    private_tmp = os.path.join(folder, TMP)
    os.mkdir(private_tmp, 0o700)
    after.callback(remove, private_tmp)
    account = after.enter_context(identity.claimed()) if identity.needed() else None
    if root.as_its_user:
        for place in writable(job):
            os.chmod(place, 0o777)
    elif account is not None:
        lend(job, account, after)
    own, named = _told(payload, root, job)
    engine_folder = os.path.join(folder, _ENGINE)
    os.mkdir(engine_folder, 0o700)
    after.callback(remove, engine_folder)
    arguments = [
        "run",
        *("--name", name_of(job.run_id), "--cidfile", os.path.join(engine_folder, _ID_FILE)),
        *("--label", f"{LABEL_HOME}={home()}", "--label", f"{LABEL_RUN}={job.run_id}"),
        *("--pull", "never", "--init", "--log-driver", "none"),
        *("--network", "host" if job.network else "none"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *_held(job.resources),
        *([] if root.writable else ["--read-only"]),
        *_identity(engine, account, as_its_user=root.as_its_user),
        *_mounts(root, readable(job, account, _MOST_BINDS), job.paths),
        *(word for name in named for word in ("--env", name)),
        *("--workdir", root.folder, "--entrypoint", payload.argv[0]),
        root.image,
        *payload.argv[1:],
    ]
    mine = Descriptors()
    try:
        contained = Contained(mine, engine, arguments, own, job.run_id, group, engine_folder)
    except BaseException:
        mine.close()
        raise
    if root.writable:
        contained.on_changed = job.on_changed
    return contained


def _held(resources: "Resources") -> Iterator[str]:
    memory = f"{resources.memory_mb}m"
    yield from ("--memory", memory, "--memory-swap", memory, "--shm-size", memory)
    yield from (
        "--pids-limit",
        str(resources.pids + 1),
    )  # and the first process, which is the engine's
    # Named, all of them: what an engine takes by itself may be more than this machine's root may give.
    yield from ("--ulimit", "core=0:0")
    for name, limit, most in (
        ("nofile", resource.RLIMIT_NOFILE, _OPEN_FILES),
        ("nproc", resource.RLIMIT_NPROC, _PROCESSES),
    ):
        highest = resource.getrlimit(limit)[1]
        number = most if highest == resource.RLIM_INFINITY else min(most, highest)
        yield from ("--ulimit", f"{name}={number}:{number}")
    if resources.cpu < (os.cpu_count() or 1):
        yield from ("--cpus", format(resources.cpu, "g"))


def _identity(
    engine: Engine, account: identity.Identity | None, *, as_its_user: bool
) -> Iterator[str]:
    if os.path.exists("/sys/fs/selinux/enforce"):
        yield from ("--security-opt", "label=disable")
    if engine.rootless and engine.kind == "podman":
        yield from ("--userns", "keep-id")
    if as_its_user:
        return
    if account is not None:
        yield from ("--user", f"{account.uid}:{account.gid}")
    elif engine.rootless and engine.kind == "docker":
        yield from ("--user", "0:0")  # which is this account, and no other is
    else:
        yield from ("--user", f"{os.geteuid()}:{os.getegid()}")


def _mounts(root: ImageRoot, workspace: "Workspace", paths: tuple[str, ...]) -> Iterator[str]:
    if workspace.package is not None and root.visible:
        yield from _mount(workspace.package, WORKSPACE)
    yield from _mount(f"{workspace.folder}/in", f"{WORKSPACE}/in")
    for file in workspace.files:
        yield from _mount(file.source, f"{WORKSPACE}/{file.name}")
    for name in ("out", "scratch"):
        yield from _mount(f"{workspace.folder}/{name}", f"{WORKSPACE}/{name}", writable=True)
    yield from _mount(f"{workspace.folder}/{TMP}", "/tmp", writable=True)
    for source, target in (*root.visible, *((path, path) for path in paths)):
        yield from _mount(source, target)


def _mount(source: str, target: str, *, writable: bool = False) -> Iterator[str]:
    fields = [
        "type=bind",
        f"source={source}",
        f"target={target}",
        *([] if writable else ["readonly"]),
    ]
    yield from ("--mount", ",".join(map(_csv, fields)))


def _csv(field: str) -> str:
    """A field as both engines read it: quoted where it holds what divides fields."""
    if any(char in field for char in ',"\n\r'):
        doubled = field.replace('"', '""')
        return f'"{doubled}"'
    return field


def _told(payload: Process, root: ImageRoot, job: "Job") -> tuple[Mapping[str, str], list[str]]:
    """The environment of the engine's program, and the words of `--env`.

    Values are passed on by that environment, where no other process reads them, but for the few names that
    mean something to the engine's program itself.
    """
    own = dict(variables())
    named = []
    for name, value in image_variables(payload, root, job, WORKSPACE).items():
        if name in _OWN_VARIABLES or name.startswith(_OWN_PREFIXES):
            named.append(f"{name}={value}")
        else:
            own[name] = value
            named.append(name)
    return own, named


@final
class Contained:
    """A program in its container, and the engine's program that passes on what it writes."""

    def __init__(
        self,
        descriptors: Descriptors,
        engine: Engine,
        arguments: list[str],
        environment: Mapping[str, str],
        run_id: str,
        group: ContainerGroup,
        folder: str,
    ) -> None:
        self._descriptors = descriptors
        self._engine = engine
        self._run_id = run_id
        self._name = name_of(run_id)
        self._stopped = False  # by Kedge
        self._group = group
        self._folder = folder
        self._removal: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []
        self.stdout, stdout_end = descriptors.pipe()
        self.stderr, stderr_end = descriptors.pipe()
        try:
            self._client = subprocess.Popen(
                [*dies_with_us(), engine.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout_end,
                stderr=stderr_end,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise StartFailed(
                f"{engine.path} could not be started: {error.strerror}", hint="install it anew"
            ) from error
        descriptors.close(stdout_end, stderr_end)
        self.ended = descriptors.add(os.pidfd_open(self._client.pid))
        self.began: float | None = None
        self.eager_s = _EAGER_S
        self._eager_until = time.monotonic() + _EAGER_FOR_S
        self.on_changed: Callable[[list[str]], None] | None = None

    def found(self) -> bool:
        """Whether its processes are known, or can only be looked for now and then.

        Those of an engine that runs in a machine of its own are never found.
        """
        if self._group.container is None:
            with suppress(OSError), open(os.path.join(self._folder, _ID_FILE)) as file:
                self._group.container = file.read().strip() or None
        known = self._group.find()
        if known and self.began is None:
            self.began = time.monotonic()
        return known or time.monotonic() > self._eager_until

    def ask(self) -> None:
        """SIGTERM to its process group."""
        self.found()
        self._stopped = True
        program = self._program()
        if program is None:
            self._helpers.append(start(self._engine.path, "kill", "--signal", "TERM", self._name))
            return
        with suppress(ProcessLookupError):
            processes.ask_to_end(os.getpgid(program))

    def ask_all(self) -> None:
        """SIGTERM to all of its processes."""
        for process in self.processes():
            processes.send(process, signal.SIGTERM)
            processes.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the container, by the kernel where that may be and by the engine in any case."""
        self._stopped = True
        self._group.kill()
        if self.began is None:
            self._client.kill()  # it may still be asking for the container
        self._helpers.append(start(self._engine.path, "kill", self._name))

    def processes(self) -> list[int]:
        """The host's numbers of its processes that live now."""
        self.found()
        return self._group.processes()

    def shared_memory(self) -> str | None:
        """The engine counts it."""
        return None

    def settle(self) -> Outcome:
        """How the program ended, in the engine's words; the container is being removed from then on."""
        code = self._client.wait()
        state = self._state()
        if state is None:
            self._remove()
            if self._stopped:
                remove_container(self._engine.kind, self._run_id)  # it may just be on its way
            if self._stopped or code in _REFUSED:
                return Outcome(False, code, None, None, None, None, None)
            raise Lost(
                f"{self._engine.kind} lost the container of this run",
                hint=f"see whether its service was restarted, then run it again; it ended with {code}",
            )
        began = str(state.get("StartedAt", _NEVER))
        if state.get("Running") and not self._stopped:
            # Only the engine's program has ended: killed, or cut off from its service.
            call(self._engine.path, "kill", self._name)
            self._remove()
            raise Lost(
                f"the connection to {self._engine.kind} was lost while the container ran",
                hint="see whether its service was restarted, then run it again",
            )
        exit_code, number = _told_apart(int(state["ExitCode"]))
        # Podman's monitor leaves a file where it was started, and Podman 4 looks for it elsewhere.
        told = bool(state.get("OOMKilled")) or os.path.exists(os.path.join(self._folder, _OOM_FILE))
        self._group.settle(killed_for_memory=told)
        if self.on_changed is not None:
            self.on_changed(call(self._engine.path, "diff", self._name).out.splitlines())
        self._remove()
        if began.startswith(_NEVER):
            if self._stopped:
                return Outcome(False, code, None, None, None, None, None)
            raise _could_not_start(str(state.get("Error", "")))
        wall = _seconds(began, str(state.get("FinishedAt", "")))
        return Outcome(True, exit_code, number, None, None, None, None, wall)

    def close(self) -> None:
        """Remove the container, whatever it does, and let go of the descriptors."""
        if self._removal is None:
            self.kill()
            self._remove()
        until = time.monotonic() + KILL_PATIENCE_S
        for helper in (*self._helpers, self._removal, self._client):
            if helper is not None:
                try:
                    helper.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    helper.kill()
                    helper.wait()
        self._descriptors.close()

    def _program(self) -> int | None:
        """The program's own process: the first one's child; None where it cannot be seen or signalled."""
        first = self._group.first if self._group.find() else None
        program = processes.first_child(first) if first is not None else None
        if program is None:
            return None
        try:
            os.kill(program, 0)
        except OSError:
            return None
        return program

    def _state(self) -> dict[str, Any] | None:
        done = call(
            self._engine.path, "container", "inspect", "--format", "{{json .State}}", self._name
        )
        try:
            found: dict[str, Any] | None = json.loads(done.out) if done.code == 0 else None
        except ValueError:
            return None
        return found

    def _remove(self) -> None:
        if self._removal is None:
            self._removal = start(self._engine.path, "rm", "--force", "--volumes", self._name)


def _seconds(began: str, ended: str) -> float | None:
    """Seconds between two of an engine's times, None where they cannot be read."""
    try:
        passed = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    except ValueError:
        return None
    return max(
        0.0, passed.total_seconds()
    )  # the clock of a quick end may be read before the start's


def _told_apart(code: int) -> tuple[int | None, int | None]:
    """Exit code and signal from what the container's first process says of the program."""
    return (None, code - _FATAL) if _FATAL < code <= _FATAL + 64 else (code, None)


def _could_not_start(said: str) -> StartFailed:
    why = said.rpartition("unable to start container process: ")[2] or said
    return StartFailed(
        f"the program could not be started in the image: {why or 'no reason given'}",
        hint="see `entrypoint` in the manifest, and that the image has this program",
    )
