"""Which engines work here, and what they are: asked once, then remembered until the machine restarts."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from kedge import home
from kedge.boot import boot
from kedge.data import Data, asdict
from kedge.engine.programs import call, program
from kedge.errors import Unavailable

_LAYOUT: Final = 3
_FAILURE_BELIEVED_S: Final = 10.0
_PATIENCE_S: Final = 30.0  # a service that starts up, or a busy machine, may take some seconds
_SOCKET: Final = "/var/run/docker.sock"
# What `docker info` calls them.
_LIMITS: Final = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota", "pids": "PidsLimit"}
# What decides which engine answers and what it is: variables, and files by when they were changed.
_VARIABLES: Final = {
    "docker": (
        *("HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
        *("DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"),
    ),
    "podman": (
        *("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CONTAINER_HOST"),
        *("CONTAINER_CONNECTION", "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE"),
        *("CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS", "PODMAN_CONNECTIONS_CONF"),
    ),
}
_PODMAN_FILES: Final = ("containers.conf", "storage.conf", "podman-connections.json")

_INSTALL: Final = {
    "docker": "install Docker, for example with `apt-get install docker.io`, or Podman",
    "podman": "install Podman, for example with `apt-get install podman`, or Docker",
}


class Engine(Data):
    """An engine that works.

    Args:
        kind: `docker` or `podman`.
        path: its program.
        version: its own.
        platform: what its images run on, `linux/amd64`.
        rootless: whether its containers' root is an ordinary user of this machine.
        local: whether it runs on this machine, so that folders can be shown to containers and their
            processes be seen.
        limits: which of "memory", "cpu" and "pids" it can hold a container to.
    """

    kind: str
    path: str
    version: str
    platform: str
    rootless: bool
    local: bool
    limits: tuple[str, ...]


class Found(Data):
    """An engine, or why there is none and what would give one."""

    engine: Engine | None
    reason: str = ""
    hint: str = ""


def look(kind: str, *, fresh: bool = False) -> Found:
    """What is known of an engine; asks it when nothing is, when it went away, or when `fresh`."""
    path = program(kind)
    if path is None:
        return Found(None, f"{kind} is not installed", _INSTALL[kind])
    key = _key(kind, path)
    place = _place(kind)
    known = None if fresh else _remembered(place, key)
    if known is not None and (known.engine is None or _answers(known.engine)):
        return known
    found = _asked(kind, path)
    _remember(place, key, found)
    return found


def was_used(kind: str) -> bool:
    """Whether this home has ever looked at that engine."""
    return os.path.exists(_place(kind))


def _place(kind: str) -> str:
    return os.path.join(home.home(), "engines", f"{os.geteuid()}-{kind}.json")


def _answers(engine: Engine) -> bool:
    """Whether its service is there, as far as that can be seen without starting a program."""
    if engine.kind != "docker" or "DOCKER_HOST" in os.environ or not engine.local:
        return True
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(_SOCKET)
        except OSError:
            return not os.path.exists(_SOCKET)  # it listens elsewhere, as its context says
    return True


def _asked(kind: str, path: str) -> Found:
    try:
        done = call(path, "info", "--format", "{{json .}}", timeout=_PATIENCE_S)
    except Unavailable as error:
        return Found(None, error.message, error.hint or "")
    try:
        told = json.loads(done.out) if done.code == 0 else None
    except ValueError:
        told = None
    if kind == "docker" and told is not None and told.get("ServerErrors"):
        return Found(None, f"docker: {told['ServerErrors'][0]}", _start_hint(kind))
    if told is None:
        return Found(
            None, f"{kind} does not answer: {done.said or 'no reason given'}", _start_hint(kind)
        )
    return Found((_docker if kind == "docker" else _podman)(path, told))


def _docker(path: str, told: dict[str, Any]) -> Engine:
    host = os.environ.get("DOCKER_HOST", "unix://")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        told["Architecture"], told["Architecture"]
    )
    return Engine(
        kind="docker",
        path=path,
        version=told["ServerVersion"],
        platform=f"{told['OSType']}/{machine}",
        rootless=any("rootless" in option for option in told.get("SecurityOptions") or ()),
        local=host.startswith("unix://") and told.get("Name") == os.uname().nodename,
        limits=tuple(name for name, said in _LIMITS.items() if told.get(said)),
    )


def _podman(path: str, told: dict[str, Any]) -> Engine:
    host = told["host"]
    return Engine(
        kind="podman",
        path=path,
        version=told["version"]["Version"],
        platform=f"{host['os']}/{host['arch']}",
        rootless=bool(host["security"]["rootless"]),
        local=not host.get("serviceIsRemote", False),
        limits=tuple(name for name in _LIMITS if name in host["cgroupControllers"]),
    )


def _start_hint(kind: str) -> str:
    if kind == "docker":
        return "start its service (`systemctl start docker`), and be in the group `docker`, or use Podman"
    return "see what `podman info` says"


def _key(kind: str, path: str) -> str:
    """What is the same as long as the engine would give the same answers."""
    files = _docker_files() if kind == "docker" else _podman_files()
    told = [os.environ.get(name) for name in _VARIABLES[kind]]
    words = [_LAYOUT, boot(), os.uname().nodename, path, *map(_stamp, (path, *files)), *told]
    return json.dumps([*words, "" if kind == "docker" else _own_controllers()])


def _docker_files() -> Iterator[str]:
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    yield os.path.join(folder, "config.json")
    contexts = os.path.join(folder, "contexts", "meta")
    with suppress(OSError):
        yield from (f"{contexts}/{name}/meta.json" for name in sorted(os.listdir(contexts)))


def _podman_files() -> Iterator[str]:
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for folder in ("/etc", own):
        yield from (os.path.join(folder, "containers", name) for name in _PODMAN_FILES)
    for name in ("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF"):
        yield os.environ.get(name, "")


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _own_controllers() -> str:
    """What this process's control group can hold its children to: rootless Podman's limits are the same."""
    with suppress(OSError), open("/proc/self/cgroup") as groups:
        for line in groups:
            if line.startswith("0::"):
                with open(f"/sys/fs/cgroup{line[3:].rstrip()}/cgroup.controllers") as file:
                    return file.read().strip()
    return ""


def _remembered(place: str, key: str) -> Found | None:
    try:
        with open(place, encoding="utf-8") as file:
            data = json.load(file)
        if data["key"] != key or data["until"] < time.time():
            return None
        told = data["engine"]
        engine = Engine(**told | {"limits": tuple(told["limits"])}) if told is not None else None
        return Found(engine, data["reason"], data["hint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(place: str, key: str, found: Found) -> None:
    until = float(1 << 40) if found.engine is not None else time.time() + _FAILURE_BELIEVED_S
    fresh = f"{place}.{os.getpid()}.{time.monotonic_ns()}"
    try:
        home.folder("engines")
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump({"key": key, "until": until, **asdict(found)}, file)
        os.replace(fresh, place)
    except OSError:
        return
