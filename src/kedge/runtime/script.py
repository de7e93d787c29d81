"""The kind `python_script`: a Python file as a program, with the modules that are beside it."""

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from kedge.data import Data, replace
from kedge.environment import versions
from kedge.environment.interpreters import Interpreter
from kedge.errors import TaskError, Where
from kedge.package.script import inline_metadata
from kedge.ports.files import printable
from kedge.runtime.arguments import filled, values_of, wrong_texts
from kedge.runtime.base import Runtime
from kedge.runtime.host_python import host_python, not_shown
from kedge.task.payload import Becoming, Process, PythonRoot
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.task.task import Task

# Without writing byte code beside the script; with what it prints in the log at once.
_FLAGS: Final = ("-B", "-u")
_BLOCK: Final = b"# /// script"


class PythonScriptRuntime(Data, Runtime[Process]):
    """A Python file, run as `python script.py` runs it; it may import what is beside it.

    It starts in a folder of its run. What it leaves there and no output stands for is kept: the run's `artifacts`.

    Args:
        script: the file.
        args: its arguments, with placeholders as those of a command.
        python: what runs it: a version such as "3.11", or the path of a Python, such as that of a virtual
            environment; None for the one that Kedge runs on. It has the packages that are installed there.

    Raises:
        TaskError: when its task is set up: it is no file that can be read, needs packages that nobody installs,
            or is in a folder that others' things are in; `python` is none; a placeholder that nothing is
            declared for. All that is wrong with the texts.
        EnvironmentFailed: when its task is set up: there is no Python of this version.

    >>> from pathlib import Path
    >>> from kedge import File, PythonScriptRuntime, Task
    >>> Path("scripts").mkdir()
    >>> _ = Path("scripts/shout.py").write_text("import sys; open(sys.argv[1], 'w').write('HO')")
    >>> shout = PythonScriptRuntime("scripts/shout.py", ("{made}",))
    >>> ended = Task(runtime=shout, outputs=[File("made")]).run_sync()
    >>> Path(ended.outputs["made"]).read_text()
    'HO'
    """

    kind: ClassVar[str] = "python_script"
    kind_name = _("Python script")
    kind_description = _("A Python file, run as a program of its own.")
    roots: ClassVar[tuple[type, ...]] = (PythonRoot,)

    script: str | os.PathLike[str]
    args: tuple[str, ...] = ()
    python: str | os.PathLike[str] | None = None

    def within(self, folder: str) -> Self:
        """The script's path is of `folder`, and so is that of the Python, if it has a `/`."""
        script = os.path.join(folder, self.script)
        python = self.python
        if python is not None and os.sep in os.fspath(python):
            python = os.path.join(folder, python)
        return replace(self, script=script, python=python)

    async def _setup_runtime(self, task: "Task") -> Process:
        if problems := [*wrong_texts(self._texts())]:
            raise TaskError.of(problems, "the script")
        # Where links lead: that is where Python itself looks for the modules beside it.
        script = os.path.realpath(self.script)
        metadata = _checked(script)
        folder = _shown(script)
        python = host_python(self.python)
        _check_version(metadata, script, python.interpreter)
        args = filled(self.args, values_of(task), "args")
        return Process(
            (python.path, *_FLAGS, script, *args),
            root=PythonRoot((script, folder, *python.visible)),
            forkable=Becoming(),
            folder="out/artifacts",
        )

    def _texts(self) -> dict[str, Any]:
        """All that it is written of, by its place."""
        paths = {"script": self.script}
        if self.python is not None:
            paths["python"] = self.python
        texts: dict[str, Any] = {
            name: os.fspath(path) if isinstance(path, os.PathLike) else path
            for name, path in paths.items()
        }
        if not isinstance(self.args, list | tuple):
            raise TaskError(
                f"`args` is a `{type(self.args).__name__}`, and no list of texts",
                where=Where(path="args"),
                hint='write `("{mesh}", "--fine")`',
            )
        return texts | {f"args[{at}]": text for at, text in enumerate(self.args)}


def _checked(script: str) -> Mapping[str, Any]:
    """The inline metadata of the script.

    Raises:
        TaskError: it is no file that can be read, or needs packages of its own.
        ManifestError: its metadata cannot be read.
    """
    shown = printable(script)
    try:
        if not stat.S_ISREG(os.stat(script).st_mode):
            raise _refused(f"the script `{shown}` is no file", "give the path of a Python file")
        with open(script, "rb") as file:
            has_block = _BLOCK in file.read()
    except OSError as error:
        raise _refused(
            f"the script `{shown}` cannot be read: {error.strerror}",
            "give the path of a Python file: relative to the working directory, in a file of YAML or"
            " JSON to that file",
        ) from error
    metadata = inline_metadata(script) if has_block else {}
    if metadata.get("dependencies"):
        raise _refused(
            f"the script `{shown}` needs packages, by its inline metadata, which nobody installs here",
            "`kedge run` prepares an environment for the functions of such a file; or name a `python`"
            " that has the packages, and take `dependencies` out",
        )
    return metadata


def _shown(script: str) -> str:
    """The script's folder, which the run sees with all that is in it.

    Raises:
        TaskError: other things are in it than what belongs to the script.
    """
    folder = os.path.dirname(script)
    if (why := not_shown(folder)) is not None:
        raise _refused(
            f"the script's folder, `{printable(folder)}`, would be open to it, and {why}",
            "put the script in a folder of its own",
        )
    return folder


def _check_version(metadata: Mapping[str, Any], script: str, found: Interpreter) -> None:
    wanted = metadata.get("requires-python")
    accepts = versions.accepts(wanted) if isinstance(wanted, str) else None
    if accepts is not None and not accepts(found.version):
        raise TaskError(
            f"the script `{printable(script)}` requires Python {wanted}, and is to be run by {found.version}",
            where=Where(path="python"),
            hint=f'write `python: "{wanted}"`',
        )


def _refused(message: str, hint: str) -> TaskError:
    return TaskError(message, where=Where(path="script"), hint=hint)
