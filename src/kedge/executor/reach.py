"""What a run without a sandbox reaches of the host's files, as paths: its counterpart of a mount plan."""

import os
import posixpath
from functools import lru_cache
from typing import TYPE_CHECKING

from kedge.data import Data
from kedge.errors import Unavailable, UsageError
from kedge.executor import landlock
from kedge.executor.plan import system_paths
from kedge.task.payload import PythonRoot, Root

if TYPE_CHECKING:
    from kedge.contract.workspace import Workspace

# Public settings that a sandbox does without, or has its own of. Here they are seen to be there, and
# programs that find a file and cannot open it give up where they would go on without one.
_SETTINGS = (
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/terminfo",
)

# What the kernel tells about processes, processors and limits; whose processes, it decides by itself.
_KERNEL = ("/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm")

_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
_TERMINALS = ("/dev/ptmx", "/dev/pts")

_SHARED_MEMORY = "/dev/shm"

_KNOWN = 16  # lists of paths, with where they lead


class Reach(Data):
    """Paths of the host that a program may use, with what is below them; none leads through a link.

    Args:
        readable: to read and execute.
        writable: to change as well.
        devices: to read, write and control.
    """

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    devices: tuple[str, ...]

    def locate(self, path: str) -> str | None:
        """`path` when the program can open what is there, else None."""
        real = os.path.realpath(path)
        for place in (*self.readable, *self.writable, *self.devices):
            if real == place or real.startswith(f"{place}/"):
                return path
        return None

    def ruleset(self, version: int, *, network: bool) -> landlock.Ruleset:
        """Landlock's rules for it; see `landlock.ruleset`."""
        return landlock.ruleset(
            version,
            readable=self.readable,
            writable=self.writable,
            devices=self.devices,
            network=network,
        )


def reach(
    root: Root,
    workspace: "Workspace",
    private_tmp: str,
    *,
    paths: tuple[str, ...] = (),
    own_account: bool,
) -> Reach:
    """What one run reaches.

    Args:
        root: what the program stands on.
        workspace: its folders.
        private_tmp: its folder for temporary files.
        paths: more host paths to read.
        own_account: whether nobody else has the program's account. Else the machine's pseudo terminals
            are other programs' too, with what is typed there, and it gets none.

    Raises:
        UsageError: a path that cannot be shown.
        Unavailable: a path that is not there.
    """
    for path in paths:
        _check(path)
    visible = root.visible if isinstance(root, PythonRoot) else ()
    package = () if workspace.package is None else (workspace.package,)
    folder = os.path.realpath(workspace.folder)
    own = [os.path.join(folder, name) for name in ("out", "scratch")]
    return Reach(
        readable=(
            *_there(*system_paths(), *_SETTINGS, *_KERNEL, *visible, *package, *paths),
            folder,
        ),
        writable=(*own, os.path.realpath(private_tmp), *_there(_SHARED_MEMORY)),
        devices=_there(*_DEVICES, *(_TERMINALS if own_account else ())),
    )


def _there(*paths: str) -> tuple[str, ...]:
    """Those of `paths` that there are, each once and without links."""
    return _resolved(paths, tuple(map(identity, paths)))


def identity(path: str) -> tuple[int, int] | None:
    """What is known by a path now: another file in its place has another identity. None if there is nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@lru_cache(_KNOWN)
def _resolved(
    paths: tuple[str, ...], _identities: tuple[tuple[int, int] | None, ...]
) -> tuple[str, ...]:
    real = dict.fromkeys(os.path.realpath(path) for path in paths)
    return tuple(path for path in real if os.path.exists(path))


def _check(path: str) -> None:
    if not path.startswith("/") or "\0" in path or posixpath.normpath(path).strip("/") == "":
        raise UsageError(
            f"the path {path!r} cannot be shown to a run",
            hint="give an absolute path of a folder or file, not the root of everything",
        )
    if not os.path.exists(path):
        raise Unavailable(
            f"{path!r} is not on this machine, but a run was to see it",
            hint="check sandbox.paths",
        )
