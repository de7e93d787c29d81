"""What a sandboxed program sees, as data: a list of mounts, from an empty root upwards.

The plan says nothing about who mounts. bubblewrap gets it as arguments (`bubblewrap.py`); whoever mounts
by other means reads the same entries, in order.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, get_args

from kedge.data import Data
from kedge.errors import Unavailable, UsageError
from kedge.executor.variables import USER
from kedge.task.payload import PythonRoot, Root

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace

WORKSPACE = "/workspace"

_BOX_MB = 64  # for what importing a module writes, which is not kept


class Folder(Data):
    """An empty folder, and its missing parents, that everybody can read."""

    path: str


class Bind(Data):
    """A file or folder of the host, without its set-uid bits and devices."""

    source: str
    path: str
    writable: bool = False


class Link(Data):
    """A symbolic link."""

    path: str
    target: str


class Text(Data):
    """A file with this content."""

    path: str
    content: str


class Memory(Data):
    """A writable file system in memory."""

    path: str
    size_mb: int


class Processes(Data):
    """A /proc of the new process namespace."""

    path: str


class Devices(Data):
    """null, zero, full, random, urandom, tty and pseudo terminals of its own."""

    path: str


class Seal(Data):
    """From here on this file system is read-only; what is mounted on it stays as it is."""

    path: str


Entry = Folder | Bind | Link | Text | Memory | Processes | Devices | Seal


class MountPlan(Data):
    """Everything a program sees, and where it starts.

    Args:
        entries: in the order in which they are made.
        folder: the working directory.
        network: whether it shares the host's network.
    """

    entries: tuple[Entry, ...]
    folder: str
    network: bool

    def below(self, *folders: str) -> tuple[str, ...]:
        """Where something of the host is shown in one of these folders."""
        return tuple(
            entry.path
            for entry in self.entries
            if isinstance(entry, Bind) and any(_below(entry.path, one) for one in folders)
        )

    def locate(self, path: str) -> str | None:
        """The host path of what the program sees at `path`; None when that is not from the host.

        Links that the plan itself makes are followed, others are not.
        """
        for entry in reversed(self.entries):
            if not path.startswith(entry.path):  # most are not, and this is quick
                continue
            if isinstance(entry, Link) and (rest := _below(path, entry.path)) is not None:
                target = posixpath.join(posixpath.dirname(entry.path), entry.target)
                return self.locate(posixpath.normpath(target) + rest)
            if isinstance(entry, Bind) and (rest := _below(path, entry.path)) is not None:
                return entry.source + rest
        return None


# The aliases of /usr's folders, as links or as folders of their own, whatever the host has.
_SYSTEM_ALIASES = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")

# Chosen one by one: what programs need to start and to find fonts, time zones and certificates. Folders
# that may hold keys (/etc/ssl/private, /etc/pki) are left out but for their public parts.
_SYSTEM_SETTINGS = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)

# Made by Kedge inside; nothing of the host may be shown over them or around them.
_OWN_PLACES = (WORKSPACE, "/dev", "/dev/shm", "/etc/group", "/etc/passwd", "/proc", "/tmp")
_SHARED_PLACES = ("/tmp", "/dev/shm")  # the host keeps things there, and so may Kedge
NAMES = ("/etc/hosts", "/etc/resolv.conf")  # of the machine, where its network is shared
_OTHER_TMP = "/var/tmp"  # a link to /tmp, inside


def make_plan(
    root: Root,
    workspace: "Workspace",
    private_tmp: str,
    *,
    uid: int,
    gid: int,
    memory_mb: int,
    network: bool = False,
    paths: tuple[str, ...] = (),
) -> MountPlan:
    """The mounts for one run.

    Args:
        root: what the program stands on.
        workspace: its folders; every staged file needs an empty file at its place in `in`.
        private_tmp: an empty host folder that becomes /tmp.
        uid: the user number inside, for the generated passwd.
        gid: the group number inside.
        memory_mb: size of /dev/shm.
        network: whether the host's network is shared, with its resolver's settings.
        paths: more host paths to show, each at its own place.

    Raises:
        UsageError: a path that cannot be shown.
        Unavailable: a path that is not there.
    """
    entries: list[Entry] = [
        *_machine(uid, gid, network=network),
        Memory("/dev/shm", memory_mb),
        Bind(private_tmp, "/tmp", writable=True),
        *_shown(_visible(root), paths),
        *_package(workspace.package),
        *_run(workspace),
        Seal("/dev"),
        Seal("/"),
    ]
    return MountPlan(tuple(dict.fromkeys(entries)), WORKSPACE, network)


def make_box(
    root: Root,
    package: str | None,
    *,
    uid: int,
    gid: int,
    network: bool = False,
    paths: tuple[str, ...] = (),
) -> MountPlan:
    """The mounts for a process that is to be forked for many runs: the same, without those of any run.

    What `make_plan` shows of a run is mounted over these later; until then scratch and /tmp are empty, in
    memory, and go with the box.
    """
    entries: list[Entry] = [
        *_machine(uid, gid, network=network),
        Memory("/dev/shm", _BOX_MB),
        Memory("/tmp", _BOX_MB),
        *_shown(_visible(root), paths),
        *_package(package),
        Memory(f"{WORKSPACE}/scratch", _BOX_MB),
        Seal("/dev"),
        Seal("/"),
    ]
    return MountPlan(tuple(dict.fromkeys(entries)), WORKSPACE, network)


def bare_plan() -> MountPlan:
    """The least in which a program of the system starts: what a machine is tried with."""
    return MountPlan((*_system(), Processes("/proc"), Devices("/dev"), Seal("/")), "/", False)


def as_data(entries: tuple[Entry, ...]) -> list[tuple[Any, ...]]:
    """Entries as plain data, for a message to another process."""
    return [
        (type(one).__name__, *(getattr(one, name) for name in one.__fields__)) for one in entries
    ]


def from_data(data: list[tuple[Any, ...]]) -> list[Entry]:
    """The entries from `as_data`."""
    kinds = {kind.__name__: kind for kind in get_args(Entry)}
    return [kinds[name](*fields) for name, *fields in data]


def system_paths() -> tuple[str, ...]:
    """The host's own files and folders that programs need, shown in every run; some may not be there."""
    return ("/usr", *(f"/{name}" for name in _SYSTEM_ALIASES), *_SYSTEM_SETTINGS)


def _machine(uid: int, gid: int, *, network: bool) -> Iterator[Entry]:
    yield from _system()
    yield from _accounts(uid, gid)
    yield from _names(network)
    yield Folder("/var")
    yield Link(_OTHER_TMP, "/tmp")
    yield Processes("/proc")
    yield Devices("/dev")


def _visible(root: Root) -> tuple[str, ...]:
    return root.visible if isinstance(root, PythonRoot) else ()


def _system() -> Iterator[Entry]:
    yield Bind("/usr", "/usr")
    for name in _SYSTEM_ALIASES:
        path = f"/{name}"
        if os.path.islink(path):
            yield Link(path, os.readlink(path))
        elif os.path.isdir(path):
            yield Bind(path, path)
    for path in _SYSTEM_SETTINGS:
        real = os.path.realpath(path)
        if not os.path.exists(real):
            continue
        yield from _parents(path)
        if real != path and real.startswith("/usr/"):
            yield Link(path, real)
        else:
            yield Bind(real, path)


def _accounts(uid: int, gid: int) -> Iterator[Entry]:
    yield Text(
        "/etc/passwd",
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"{USER}:x:{uid}:{gid}:{USER}:{WORKSPACE}/scratch:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    )
    yield Text("/etc/group", f"root:x:0:\n{USER}:x:{gid}:\nnogroup:x:65534:\n")


def _names(network: bool) -> Iterator[Entry]:
    hosts = "127.0.0.1 localhost kedge\n::1 localhost ip6-localhost ip6-loopback\n"
    own = {path: _read(path) if network else "" for path in NAMES}
    yield Text("/etc/hosts", own["/etc/hosts"] + hosts)
    yield Text("/etc/resolv.conf", own["/etc/resolv.conf"])
    sources = "".join(
        f"{what}: files\n"
        for what in ("passwd", "group", "shadow", "services", "protocols", "networks")
    )
    yield Text("/etc/nsswitch.conf", sources + "hosts: files dns\n")


def _shown(visible: Iterable[str], paths: Iterable[str]) -> Iterator[Entry]:
    wanted: dict[str, str] = {}  # by its place inside
    for path in (*visible, *paths):
        plain = posixpath.normpath(path)
        if plain.startswith("//"):  # which POSIX lets stand for something else, and Linux does not
            plain = plain[1:]
        if not plain.startswith("/") or "\0" in plain or plain == "/":
            raise UsageError(
                f"the path {path!r} cannot be shown to a run",
                hint="give an absolute path of a folder or file, not the root of everything",
            )
        inside = _inside(plain)
        shared = any(_below(inside, place) for place in _SHARED_PLACES)
        for own in _OWN_PLACES:
            if _below(own, inside) is not None or (not shared and _below(inside, own) is not None):
                raise UsageError(
                    f"the path {path!r} cannot be shown to a run, where {own} is the run's own",
                    hint=f"keep it at another place than {own}"
                    + (
                        " (KEDGE_HOME says where Kedge's own folder is)" if own == WORKSPACE else ""
                    ),
                )
        if not os.path.exists(plain):
            raise Unavailable(
                f"{path!r} is not on this machine, but a run was to see it",
                hint="check sandbox.paths, or build the environment again",
            )
        # Programs find themselves by resolving links: both names must lead there.
        real = os.path.realpath(plain)
        for place in (inside, _inside(real)):
            if wanted.setdefault(place, real) != real:
                raise UsageError(
                    f"the paths {wanted[place]!r} and {real!r} cannot be shown to the same run",
                    hint="there /var/tmp is another name of /tmp: keep one of them elsewhere",
                )
    for place, real in wanted.items():
        over = (other for other in (*wanted, "/usr") if other != place)
        if any(_below(place, other) is not None for other in over):
            continue
        yield from _parents(place)
        yield Bind(real, place)


def _package(package: str | None) -> Iterator[Entry]:
    yield Folder(WORKSPACE)
    if package is None:
        yield from (Folder(f"{WORKSPACE}/{name}") for name in ("in", "out", "scratch"))
    else:
        yield Bind(package, WORKSPACE)


def _run(workspace: "Workspace") -> Iterator[Entry]:
    yield Bind(os.path.join(workspace.folder, "in"), f"{WORKSPACE}/in")
    for name in ("out", "scratch"):
        yield Bind(os.path.join(workspace.folder, name), f"{WORKSPACE}/{name}", writable=True)
    for file in workspace.files:
        yield Bind(os.path.realpath(file.source), f"{WORKSPACE}/{file.name}")


def _parents(path: str) -> Iterator[Entry]:
    parent = posixpath.dirname(path)
    if parent not in ("/", "/tmp"):
        yield from _parents(parent)
        yield Folder(parent)


def _inside(path: str) -> str:
    """Where a run sees what the host has at `path`."""
    rest = _below(path, _OTHER_TMP)
    return path if rest is None else f"/tmp{rest}"


def _below(path: str, folder: str) -> str | None:
    """What remains of `path` below `folder` (empty for the folder itself), None when it is elsewhere."""
    if path == folder:
        return ""
    return path[len(folder) :] if path.startswith(folder + "/") else None


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
