"""Files and folders of a task that succeeded, put where they are to be in the end.

A folder takes the place of the one that is there, so what it may take the place of is looked at first.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from kedge import home
from kedge.environment import folders
from kedge.errors import Problem, StoreError, TaskError, Where
from kedge.ports import kind_of
from kedge.task import Port, Task

_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST)


def places(task: Task) -> dict[str, str]:
    """Where the outputs of a task are to be, by id: those that say so, symbolic links resolved.

    To be asked before it runs, since code of this process may change the working directory.

    Raises:
        TaskError: an output cannot be there, or what is there would be lost with it: all that is wrong.
    """
    ports = [port for port in task.outputs if kind_of(port.schema) != "value"]
    if not ports:
        return {}
    if problems := [*_unspeakable(ports)]:
        raise TaskError.of(problems, f"the outputs of `{task.name}`")
    found = {port.id: os.path.realpath(port.bound) for port in ports if port.bound}
    problems = [
        Problem(message, Where(path=port.id), hint)
        for port in ports
        if port.bound is not None
        for message, hint in _wrong(port, found, task.inputs)
    ]
    if problems:
        raise TaskError.of(problems, f"the outputs of `{task.name}`")
    return found


def put(outputs: Mapping[str, Any], found: Mapping[str, str]) -> None:
    """Copy the outputs of a run to their places; whoever looks sees the old one or the new one.

    Raises:
        StoreError: one cannot be written.
    """
    for port, place in found.items():
        try:
            _put(outputs[port], place)
        except OSError as error:
            raise StoreError(
                f"the output `{port}` cannot be put at `{place}`: {error.strerror or error}",
                hint=f"the run succeeded, and has it: {outputs[port]}",
            ) from error


def _unspeakable(ports: Iterable[Port]) -> Iterator[Problem]:
    """Paths that no file system takes."""
    for port in ports:
        try:
            impossible = b"\0" in os.fsencode(port.bound or "")
        except UnicodeEncodeError:
            impossible = True
        if impossible:
            message = f"the path of the output `{port.id}` has a NUL or half a character in it"
            yield Problem(message, Where(path=port.id), "take it out")


def _wrong(
    port: Port, found: Mapping[str, str], inputs: Iterable[Port]
) -> Iterator[tuple[str, str]]:
    """Why an output cannot be at its place, and what to do."""
    if port.id not in found:
        yield f"the path of the output `{port.id}` is empty", "give it a path, or None"
        return
    place, is_folder = found[port.id], kind_of(port.schema) == "folder"
    if os.path.lexists(place) and not (os.path.isdir if is_folder else os.path.isfile)(place):
        what = "folder" if is_folder else "file"
        yield f"`{place}` is there and is no {what}, as the output `{port.id}` is", "choose another"
    elif is_folder:
        kept = [os.getcwd(), os.path.expanduser("~"), home.home()]
        kept += [one for one in _files(inputs) if os.path.realpath(one) != place]
        if lost := next((one for one in kept if _holds(place, one)), None):
            message = (
                f"the output `{port.id}` would replace the folder `{place}`, which holds `{lost}`"
            )
            yield message, "choose a folder of its own"
    for other, its in found.items():
        if other != port.id and (its == place or (is_folder and _holds(place, its))):
            yield f"the outputs `{port.id}` and `{other}` have one place: `{its}`", "choose another"


def _files(inputs: Iterable[Port]) -> list[str]:
    files = (port for port in inputs if kind_of(port.schema) != "value")
    return [port.bound for port in files if port.bound is not None]


def _holds(folder: str, path: str) -> bool:
    return os.path.commonpath((folder, os.path.realpath(path))) == folder


def _put(source: str, place: str) -> None:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with folders.temporary(os.path.dirname(place)) as made:
        fresh = os.path.join(made, "new")
        if os.path.isdir(source):
            shutil.copytree(source, fresh, symlinks=True)
        else:
            shutil.copyfile(source, fresh)
            if os.stat(source).st_mode & 0o100:  # a program: for all who may read it
                mode = os.stat(fresh).st_mode
                os.chmod(fresh, mode | (mode & 0o444) >> 2)
        while True:
            try:
                return os.replace(fresh, place)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            with suppress(FileNotFoundError):  # another run has moved it meanwhile
                os.rename(place, os.path.join(made, os.urandom(8).hex()))
