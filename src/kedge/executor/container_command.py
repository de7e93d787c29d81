"""What an engine's program is called with to run one program of an image."""

import os
import resource
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from kedge.data import replace
from kedge.engine.look import Engine
from kedge.engine.programs import variables
from kedge.errors import InputError, Where
from kedge.executor.containers import LABEL_HOME, LABEL_RUN, name_of
from kedge.executor.identity import Identity
from kedge.executor.lending import TMP, readable
from kedge.executor.limits import process_limits
from kedge.executor.seccomp_profile import written
from kedge.executor.variables import image_variables
from kedge.home import home
from kedge.task.payload import ImageRoot, Process, Secret

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace
    from kedge.executor.job import Job
    from kedge.task.resources import Resources

WORKSPACE: Final = "/workspace"
ID_FILE: Final = "container"  # in the folder that the engine's program works in
FIRST_FILE: Final = "first"  # the number of its first process, beside it

_MOST_BINDS: Final = 1000
_OPEN_FILES: Final = 65536
_PROCESSES: Final = 32768  # of one account; a run's own are limited by its control group
# Names that mean something to an engine's own program, or to what that one starts: the loader, the C and
# the Go library, shells, the service manager.
_STEERING: Final = frozenset(
    {
        "ENV",
        "GCONV_PATH",
        "GETCONF_DIR",
        "GLIBC_TUNABLES",
        "GNUPGHOME",
        "HOME",
        "HOSTALIASES",
        "IFS",
    }
    | {"INVOCATION_ID", "JOURNAL_STREAM", "LANG", "LANGUAGE", "LOCALDOMAIN", "LOCPATH", "LOGNAME"}
    | {"NIS_PATH", "NLSPATH", "NOTIFY_SOCKET", "NO_COLOR", "PATH", "PS4", "RESOLV_HOST_CONF"}
    | {"RES_OPTIONS", "SHELL", "SHELLOPTS", "TERM", "TERMINFO", "TMPDIR", "TZ", "TZDIR", "USER"}
    | {"GOCOVERDIR", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK"}
)
_STEERING_PREFIXES: Final = (
    *("_", "BASH", "BUILDAH_", "BUILDKIT_", "BUILDX_", "COMPOSE_", "CONMON", "CONTAINER", "DBUS_"),
    *(
        "DOCKER_",
        "GIO_",
        "LC_",
        "LD_",
        "LISTEN_",
        "MALLOC_",
        "MOBY_",
        "NETAVARK_",
        "OTEL_",
        "PODMAN_",
    ),
    *("REGISTRY_", "RUST_", "SSH_", "SSL_", "STORAGE_", "SYSTEMD_", "WATCHDOG_", "XDG_"),
)
_STEERING_END: Final = "_PROXY"


def command(
    engine: Engine,
    payload: Process,
    root: ImageRoot,
    job: "Job",
    account: Identity | None,
    folder: str,
) -> tuple[list[str], Mapping[str, str]]:
    """The arguments of the engine's program, and its own environment.

    Args:
        engine: which.
        payload, root: the program, and the image that it stands on.
        job: its surroundings; its folders are ready.
        account: who the program is to be, None for whom the engine takes for this account.
        folder: where the engine's program works.

    Raises:
        InputError: an input cannot be had, or a secret has a name that means something to the engine.
    """
    own, named = told(engine, payload, root, job)
    by_others = account is not None or root.as_its_user
    words = [
        "run",
        *("--cidfile", os.path.join(folder, ID_FILE)),
        *_found_by(engine, folder),
        *_shut_in(engine, root, job, job.run_id, account, folder),
        *_mounts(root, readable(job, _MOST_BINDS, by_others=by_others), job.paths),
        *(word for name in named for word in ("--env", name)),
        *("--workdir", root.folder, "--entrypoint", payload.argv[0]),
        root.image,
        *payload.argv[1:],
    ]
    return words, own


def waiting_command(
    engine: Engine,
    root: ImageRoot,
    job: "Job",
    name: str,
    account: Identity | None,
    folder: str,
    program: tuple[str, ...],
) -> list[str]:
    """The arguments of the engine's program for a container that waits for calls.

    Args:
        engine, root: which engine, and the image.
        job: the first call's surroundings; of its own, nothing is shown.
        name: in the place of a run's id.
        account: who `program` is, None for whom the engine takes for this account.
        folder: where the engine's program works, with empty `in`, `out`, `scratch` and `tmp`.
        program: what waits.
    """
    return [
        *("run", "--detach", "--rm"),
        *_shut_in(engine, root, job, name, account, folder),
        *_mounts(root, replace(job.workspace, folder=folder, files=()), job.paths),
        *("--workdir", "/", "--entrypoint", program[0], root.image, *program[1:]),
    ]


def _shut_in(
    engine: Engine,
    root: ImageRoot,
    job: "Job",
    name: str,
    account: Identity | None,
    folder: str,
) -> Iterator[str]:
    yield from ("--name", name_of(name))
    yield from ("--label", f"{LABEL_HOME}={home()}", "--label", f"{LABEL_RUN}={name}")
    yield from ("--pull", "never", "--init", "--log-driver", "none")
    yield from _network(engine, job)
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    yield from ("--security-opt", f"seccomp={written(folder)}")
    yield from _held(job.resources, engine)
    yield from _root(engine, root)
    yield from _identity(engine, account, as_its_user=root.as_its_user)


def _network(engine: Engine, job: "Job") -> Iterator[str]:
    if job.publish is None:
        yield from ("--network", "host" if job.network else "none")
        return
    # Podman's word for a bridge, and for what stands for one where it is not root's.
    yield from ("--network", "private" if engine.kind == "podman" else "bridge")
    yield from ("--publish", f"{job.publish.address}:{job.publish.port}")


def _root(engine: Engine, root: ImageRoot) -> Iterator[str]:
    if engine.kind == "podman":
        yield "--http-proxy=false"  # it would hand on the caller's variables, with any password in them
    if not root.writable:
        yield "--read-only"
        if engine.kind == "podman":  # which would lay file systems in memory over some folders
            yield "--read-only-tmpfs=false"


def _found_by(engine: Engine, folder: str) -> Iterator[str]:
    if engine.kind == "podman" and not engine.limits:  # there is no control group to find it by
        yield from ("--pidfile", os.path.join(folder, FIRST_FILE))


def _held(resources: "Resources", engine: Engine) -> Iterator[str]:
    memory = f"{resources.memory_mb}m"
    if "memory" in engine.limits:
        yield from ("--memory", memory, "--memory-swap", memory)
    yield from ("--shm-size", memory)
    if "pids" in engine.limits:  # and the first process, which is the engine's
        yield from ("--pids-limit", str(resources.pids + 1))
    held = process_limits(
        resources,
        frozenset(engine.limits),
        own_account=False,
        own_namespace=engine.kind == "podman",
    )
    # Named, all of them: what an engine takes by itself may be more than this machine's root may give.
    yield from ("--ulimit", "core=0:0")
    for name, limit, most in (
        ("nofile", resource.RLIMIT_NOFILE, _OPEN_FILES),
        ("nproc", resource.RLIMIT_NPROC, held.get(resource.RLIMIT_NPROC, (_PROCESSES,))[0]),
    ):
        highest = resource.getrlimit(limit)[1]
        number = most if highest == resource.RLIM_INFINITY else min(most, highest)
        yield from ("--ulimit", f"{name}={number}:{number}")
    if resource.RLIMIT_DATA in held:
        yield from ("--ulimit", "data={0}:{0}".format(held[resource.RLIMIT_DATA][0]))
    if "cpu" in engine.limits and resources.cpu < (os.cpu_count() or 1):
        yield from ("--cpus", format(resources.cpu, "g"))


def _identity(engine: Engine, account: Identity | None, *, as_its_user: bool) -> Iterator[str]:
    if os.path.exists("/sys/fs/selinux/enforce"):
        yield from ("--security-opt", "label=disable")
    if engine.rootless and engine.kind == "podman":
        yield from ("--userns", "keep-id")
    if as_its_user:
        return
    if engine.kind == "docker" and not engine.rootless:
        yield from (
            "--userns",
            "host",
        )  # where it gives its containers other numbers than the machine's
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


def told(
    engine: Engine, payload: Process, root: ImageRoot, job: "Job"
) -> tuple[Mapping[str, str], list[str]]:
    """The environment of the engine's program, and the words of `--env`.

    Secrets are passed on by that environment, where no other process reads them. All else is in the words,
    since the engine's program would heed a variable of its own that a package sets.
    """
    own = dict(variables())
    named = []
    for name, value in image_variables(payload, root, job, WORKSPACE).items():
        if not isinstance(value, Secret):
            named.append(f"{name}={value}")
        elif _steers(name):
            raise InputError(
                f"a secret cannot be the variable `{name}` of a container: {engine.kind} would heed it",
                where=Where(path=f"env.{name}"),
                hint="give it to the program under another name",
            )
        else:
            own[name] = value
            named.append(name)
    return own, named


def _steers(name: str) -> bool:
    return (
        name in _STEERING
        or name.startswith(_STEERING_PREFIXES)
        or name.upper().endswith(_STEERING_END)
    )
