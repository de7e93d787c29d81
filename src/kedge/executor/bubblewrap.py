"""A mount plan as bubblewrap's arguments.

Started by root it makes no user namespace, since root mapped to another number is still root on the host;
it keeps the three capabilities with which `setpriv` then becomes an unprivileged account and drops those
as well. Started by anybody else it makes a user namespace and closes the door to further ones.
"""

from collections.abc import Mapping

from kedge.data import Data
from kedge.executor.identity import Identity
from kedge.executor.plan import (
    Bind,
    Devices,
    Entry,
    Folder,
    Link,
    Memory,
    MountPlan,
    Processes,
    Seal,
    Text,
)

# The account inside, for a user who has no others to give.
USER_ID = 1000

SETPRIV = "/usr/bin/setpriv"
ENV = "/usr/bin/env"

# Variables by which the dynamic loader and the C library act, and load code, before a program does: they
# may not reach setpriv, which is root until it is done (glibc's `unsecvars.h`, and all of LD_).
_LOADER_PREFIXES = ("LD_", "MALLOC_", "GLIBC_")
_LOADER_NAMES = frozenset({
    "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NIS_PATH", "NLSPATH",
    "RESOLV_HOST_CONF", "RES_OPTIONS", "TMPDIR", "TZDIR",
})  # fmt: skip


class Bubblewrap(Data):
    """The program, and which of the options that older versions lack it has."""

    path: str
    options: frozenset[str]


def arguments(
    bubblewrap: Bubblewrap,
    plan: MountPlan,
    variables: Mapping[str, str],
    texts: Mapping[str, int],
    *,
    as_root: bool,
    terminal: bool = False,
) -> list[str]:
    """The options by which bubblewrap makes `plan`, in a new session unless it is for a `terminal`.

    `texts` are the descriptors from which it will read the generated files, by their path.
    """
    found = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not plan.network:
        found.append("--unshare-net")
    if as_root:
        found += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            found += ["--cap-add", capability]
    else:
        found += ["--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID)]
        if "--disable-userns" in bubblewrap.options:
            found.append("--disable-userns")
    found += ["--hostname", "kedge", "--die-with-parent", "--clearenv"]
    if not terminal:
        found.append("--new-session")
    for name, value in variables.items():
        found += ["--setenv", name, value]
    for entry in plan.entries:
        found += _mount(entry, bubblewrap, texts)
    return [*found, "--chdir", plan.folder]


def _mount(entry: Entry, bubblewrap: Bubblewrap, texts: Mapping[str, int]) -> list[str]:
    match entry:
        case Folder(path):
            return ["--perms", "0755", "--dir", path]
        case Bind(source, path, writable):
            return ["--bind" if writable else "--ro-bind", source, path]
        case Link(path, target):
            return ["--symlink", target, path]
        case Text(path):
            return ["--perms", "0444", "--file", str(texts[path]), path]
        case Memory(path, size_mb):
            size = ["--size", str(size_mb << 20)] if "--size" in bubblewrap.options else []
            return ["--perms", "1777", *size, "--tmpfs", path]
        case Processes(path):
            return ["--proc", path]
        case Devices(path):
            return ["--dev", path]
        case Seal(path):
            return ["--remount-ro", path]


def becoming(
    identity: Identity, argv: tuple[str, ...], variables: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """How `argv` is started by root: as `identity`, with nothing left of root.

    Gives the command, and the variables to start it with: those that could act on `setpriv` itself are
    set by the command, once root is gone.
    """
    late = {name: value for name, value in variables.items() if _acts_early(name)}
    early = {name: value for name, value in variables.items() if name not in late}
    drop = (
        SETPRIV,
        f"--reuid={identity.uid}",
        f"--regid={identity.gid}",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--",
    )
    setting = (ENV, *(f"{name}={value}" for name, value in late.items())) if late else ()
    return (*drop, *setting, *argv), early


def _acts_early(name: str) -> bool:
    return name.startswith(_LOADER_PREFIXES) or name in _LOADER_NAMES
