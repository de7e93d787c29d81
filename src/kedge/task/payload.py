"""Payloads: what a runtime hands to an executor."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge.data import Data, field, replace

HERE: Final = "\0"
"""Stands in an argument for the workspace's path as the program sees it, which its executor decides."""


class Secret(str):
    """The value of a variable that is secret: no other process may read it, so it is on no command line."""

    __slots__ = ()


class HostRoot(Data):
    """The program sees this machine's own system files, and nothing of anybody's home."""


class PythonRoot(Data):
    """A built Python environment on top of this machine's system files.

    `visible` are the host paths that must be readable inside, each at its own place: the base
    interpreter's prefix, the environment, the runner.
    """

    visible: tuple[str, ...]


class ImageRoot(Data):
    """An image that a container engine has.

    Args:
        image: its id, `sha256:…`.
        folder: the working directory, inside.
        variables: those that the image sets itself.
        as_its_user: whether to be the user that the image names, in place of one that owns nothing.
        writable: whether the program may write to a layer of its own, which goes with the run.
        visible: host paths that must be readable inside, and where. With any, the package's files are
            laid over the workspace as well.
    """

    image: str
    folder: str
    variables: Mapping[str, str] = field(default_factory=dict)
    as_its_user: bool = False
    writable: bool = False
    visible: tuple[tuple[str, str], ...] = ()


type Root = HostRoot | PythonRoot | ImageRoot


class Forkable(Data):
    """How a program is had more quickly: as a fork of one that has imported the function's module.

    Args:
        runner: the interpreter, its options and the runner.
        module: the module's name.
        instructions: what the runner is told for this call, a JSON object.
    """

    runner: tuple[str, ...]
    module: str
    instructions: Mapping[str, Any]


class Becoming(Data):
    """The same of a program that imports nothing: a fork that waits, in namespaces that are ready, becomes it."""


class Inside(Data):
    """A path in the workspace, in place of an argument: where it is called a `pathlib.Path` is made of it.

    With `is_object` the argument is what was pickled into that file.
    """

    path: str
    is_object: bool = False


class Call(Data):
    """A function of this process to call with arguments by name; what it returns are the outputs.

    `kinds` has the kind of each output that is declared, `is_open` says whether there may be others.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    kinds: Mapping[str, str]
    is_open: bool = False


class Code(Data):
    """Source to execute in this process, with names that it finds; the outputs are among those it leaves.

    `place` stands for its file in tracebacks, `kinds` as of `Call`.
    """

    source: str
    names: Mapping[str, Any]
    kinds: Mapping[str, str]
    place: str


class Process(Data):
    """A program to start: an argument list (never shell text), its variables, what it stands on.

    `HERE` in an argument is the workspace's path. `env` are the package's own variables, added to the executor's and the contract's; the values of
    secrets are `Secret`. The working directory is the workspace, or `folder` in it, in an image the image's own.
    `forkable` says how an executor may do the same warm, None when it may not. `files` are more that it finds in `in/`,
    by their names there.
    """

    argv: tuple[str, ...]
    root: Root = field(default_factory=HostRoot)
    env: Mapping[str, str] = field(default_factory=dict)
    forkable: Forkable | Becoming | None = None
    folder: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def placed(payload: Process, workspace: str) -> Process:
    """The program with the workspace's path in its arguments."""
    if not any(HERE in one for one in payload.argv):
        return payload
    return replace(payload, argv=tuple(one.replace(HERE, workspace) for one in payload.argv))
