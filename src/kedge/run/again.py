"""A recorded run's function once more, as it was: its files, its environment, its inputs."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from kedge import home
from kedge.data import Data
from kedge.environment import interpreters
from kedge.environment.runner import runner_for
from kedge.errors import Unavailable, UsageError
from kedge.package import holding
from kedge.package.snapshot import HELD_BY, Snapshot
from kedge.ports.shapes import holds_secret
from kedge.run import cache
from kedge.run.declared import OPEN
from kedge.run.description import Description, Function
from kedge.run.entry import Run
from kedge.run.execution import file_facts
from kedge.run.ground import PythonGround
from kedge.run.prepare import Prepared

_FILE: Final[dict[str, Any]] = {"type": "string", "format": "binary"}
_FOLDER: Final[dict[str, Any]] = _FILE | {"x-type": "Folder"}


class Again(Data):
    """What a run was made of.

    Args:
        prepared: its package and environment, held for this process.
        function: the function.
        inputs: its inputs by port, but for secrets, which a record does not have.
        notices: what is not as it was, a sentence each.
    """

    prepared: Prepared
    function: Function
    inputs: Mapping[str, Any]
    notices: tuple[str, ...]


def again(run: Run) -> Again:
    """The function of a run with what it ran on.

    Raises:
        UsageError: the run was never far enough to have a function.
        Unavailable: its files or its environment are no longer there.
    """
    if run.function is None or run.handler is None or run.snapshot is None:
        raise UsageError(
            f"run `{run.id}` ended before its function was started",
            hint="name the package and the function instead",
        )
    snapshot = os.path.join(home.home(), "snapshots", run.snapshot)
    if not holding.hold(snapshot, HELD_BY):
        raise _gone(run, "the package's files of that time")
    environment = os.path.join(home.home(), "environments", run.environment or "none")
    interpreter = _interpreter(environment)
    if interpreter is None or not holding.hold(environment):
        raise _gone(run, "its environment")
    runner = runner_for(interpreter)
    place = cache.place(
        "described", run.snapshot, run.environment or "", os.path.dirname(runner), run.source or ""
    )
    known = cache.load(place)
    notices = _changed_files(run)
    if known is not None:
        description = Description.from_json(known)
        function = description.function(run.function)
    else:
        function = _from_record(run)
        description = Description(
            run.package or "", run.package_version, "", {"kind": "python"}, {run.function: function}
        )
        notices.append(
            "what its manifest says is not known any more: it has no variables of its own"
        )
    prepared = Prepared(
        description=description,
        snapshot=Snapshot(run.snapshot, snapshot),
        environment=run.environment or "",
        ground=PythonGround(
            interpreter=interpreter.version,
            python=os.path.join(environment, "bin", "python"),
            visible=(*interpreter.visible, environment, os.path.dirname(runner)),
            runner=runner,
            lock=None,
        ),
        created=False,
    )
    ports = function.input_ports
    inputs = {
        name: value
        for name, value in run.inputs.items()
        if not holds_secret(ports.schema_of(name) or {})
    }
    return Again(prepared, function, inputs, tuple(notices))


def _interpreter(environment: str) -> interpreters.Interpreter | None:
    """The interpreter that an environment was made for, while both are there."""
    try:
        with open(os.path.join(environment, "kedge.json"), encoding="utf-8") as file:
            path = json.load(file)["interpreter"]
    except (OSError, ValueError, KeyError):
        return None
    return interpreters.known(path)


def _from_record(run: Run) -> Function:
    """The function as far as its run tells: which inputs were files, and nothing of its outputs."""
    files: dict[str, Any] = {}
    for entry in run.input_files:
        one = _FOLDER if os.path.isdir(entry["path"]) else _FILE
        several = isinstance(run.inputs.get(entry["port"]), list)
        files[entry["port"]] = {"type": "array", "items": one} if several else one
    assert run.function is not None
    return Function(
        name=run.function,
        handler=run.handler,
        description="",
        inputs=OPEN | {"properties": files, "additionalProperties": True},
        outputs=OPEN,
    )


def _changed_files(run: Run) -> list[str]:
    return [
        f"the input file `{entry['path']}` is not as it was when the run started"
        for entry in run.input_files
        if file_facts(entry["port"], entry["path"]) != dict(entry)
    ]


def _gone(run: Run, what: str) -> Unavailable:
    return Unavailable(
        f"{what} of run `{run.id}` is no longer here, only its record",
        hint="name the package and the function, which uses today's; `--like RUN` takes inputs",
    )
