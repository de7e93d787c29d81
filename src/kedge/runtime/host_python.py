"""A Python of this machine that programs stand on, and which folders they may see beside it."""

import os
import sys
from typing import Final

from kedge import home, settings
from kedge.data import Data
from kedge.environment import interpreters, versions
from kedge.environment.interpreters import Interpreter
from kedge.errors import TaskError, Where
from kedge.ports.files import printable

# What holds other people's things, or the machine's own: no folder that is opened has one of them in it,
# and none is in one of the latter.
_SHARED: Final = ("/home", "/mnt", "/opt", "/srv", "/tmp", "/usr", "/var/tmp", "/dev/shm")
_CLOSED: Final = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")


class HostPython(Data):
    """A Python of this machine.

    Args:
        path: of its executable, which may be that of a virtual environment.
        interpreter: what is behind it.
        visible: the paths that both need.
    """

    path: str
    interpreter: Interpreter
    visible: tuple[str, ...]


def host_python(asked: str | os.PathLike[str] | None = None) -> HostPython:
    """The Python that is asked for: a version, or a path; None for the one that Kedge runs on.

    Raises:
        TaskError: what was asked for is no Python.
        EnvironmentFailed: there is none of this version.
    """
    text = sys.executable if asked is None else os.fspath(asked)
    if os.sep not in text:
        if versions.accepts(text) is None:
            raise TaskError(
                f"`{text}` is neither a version of Python nor a path",
                where=Where(path="python"),
                hint='write a version such as "3.11", or a path such as `.venv/bin/python`',
            )
        found = interpreters.find(
            text, paths=settings.get("python.paths"), download=settings.get("python.download")
        )
        return HostPython(found.path, found, found.visible)
    path = os.path.abspath(text)
    behind = interpreters.behind(path)
    if behind is None:
        raise TaskError(
            f"`{printable(path)}` is no Python that can be run",
            where=Where(path="python"),
            hint='give the path of a CPython, or a version such as "3.11"',
        )
    environment = os.path.dirname(os.path.dirname(path))
    if not os.path.exists(os.path.join(environment, "pyvenv.cfg")):
        return HostPython(behind.path, behind, behind.visible)
    if (why := not_shown(os.path.realpath(environment))) is not None:
        raise TaskError(
            f"the environment `{printable(environment)}` would be open to the run, and {why}",
            where=Where(path="python"),
            hint="put the environment in a folder of its own",
        )
    return HostPython(path, behind, (*behind.visible, environment))


def not_shown(folder: str) -> str | None:
    """Why a run must not see a folder, as the end of a sentence; None if it may."""
    for other in (os.path.expanduser("~"), home.home(), *_SHARED, *_CLOSED):
        if os.path.commonpath((folder, os.path.realpath(other))) == folder:
            return f"that has `{other}`"
    for other in _CLOSED:
        if os.path.commonpath((folder, other)) == other and not folder.startswith("/dev/shm/"):
            return f"that is in `{other}`"
    return None
