"""Reads signatures inside the function's own environment, as a run of its own: isolated, without network.

User code is never imported into Kedge. `static` reads the source instead, for when nothing can be built.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge import settings
from kedge.contract import workspace
from kedge.contract.hostile import RefusedError, open_folder, parse_object, read_file
from kedge.environment import folders
from kedge.errors import StartFailed
from kedge.executor import Job, choose
from kedge.middleware import drive
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.ports import Ports
from kedge.run import unrecorded
from kedge.runtime.python import describe_process
from kedge.target import LocalTarget
from kedge.task.payload import ImageRoot, PythonRoot

_TIMEOUT: Final = 60.0  # seconds for importing every module of a package
_ANSWER_LIMIT: Final = 32 << 20  # bytes
_SAID_LIMIT: Final = 4096  # bytes of output kept to explain a failure


class UnreadableError(Exception):
    """The signatures could not be read; the message says why, in a sentence."""


def read(
    python: str,
    root: PythonRoot | ImageRoot,
    runner: str,
    snapshot: str,
    handlers: Mapping[str, str],
    env: Mapping[str, str],
    notify: Callable[[str], None],
    engine: str | None = None,
) -> dict[str, dict[str, Any]]:
    """What the runner says of each handler, by function.

    Args:
        python, root, runner: the environment's interpreter, what it stands on, the runner.
        snapshot: the package's snapshot.
        handlers: `module:function` by function.
        env: variables that the package sets for all its functions.
        notify: told in words what is being done.
        engine: the kind of the container engine that has the environment; None: it is on this machine.

    Raises:
        UnreadableError: it ended without an answer.
    """
    notify("reading signatures")
    said = bytearray()

    def listen(_: str, data: bytes) -> None:
        said.extend(data)
        del said[:-_SAID_LIMIT]

    machine = this_machine()
    limits, _, _ = resources.effective(None, None, {"timeout": _TIMEOUT}, machine)
    if engine is None:
        executor = choose(settings.get("executor")).executor
    else:
        executor = choose(engine, image=True).executor
    with unrecorded.workplace(executor.kind) as place:
        made = workspace.prepare(
            os.path.join(place, "workspace"), snapshot, Ports(), Ports(open={}), {}
        )
        job = Job(
            run_id=folders.name_of(place),
            package="",
            function="",
            workspace=made,
            resources=limits,
            paths=tuple(settings.get("sandbox.paths")),
            on_output=listen,
        )
        payload = describe_process(python, root, runner, handlers, env)
        try:
            ended = drive(LocalTarget().place(executor, payload, job))
        except StartFailed as error:
            raise UnreadableError(error.message) from error
        try:
            answer = _answer(made.folder)
        except RefusedError as error:
            raise UnreadableError(_why(ended.reason, bytes(said))) from error
    return answer


def static(root: str, handler: str) -> dict[str, Any]:
    """What the source alone says of a handler, in the same form; nothing is imported or run."""
    from kedge.contract.runner import describe_static

    return describe_static(root, handler)


def _answer(folder: str) -> dict[str, dict[str, Any]]:
    out = open_folder(os.path.join(folder, "out"))
    try:
        functions = parse_object(read_file("data.json", _ANSWER_LIMIT, out)).get("functions")
    finally:
        os.close(out)
    if not isinstance(functions, dict):
        raise RefusedError("it is not an answer")
    json.dumps(functions)  # it goes into a cache: what cannot must be seen here
    return functions


def _why(reason: str, said: bytes) -> str:
    if reason == "timeout":
        return f"importing it took longer than {_TIMEOUT:g} s"
    last = said.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return f"the interpreter ended while importing it{f': {last}' if last else ''}"
