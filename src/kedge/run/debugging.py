"""A shell, or a debugger, where a function would run: the same files, inputs, environment and limits.

It is not a run: nothing is recorded, no timeout counts, and nothing is collected.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from kedge import settings
from kedge.contract import workspace
from kedge.data import Data
from kedge.engine import KINDS
from kedge.environment import folders
from kedge.errors import InputError, Unavailable
from kedge.executor import Job, choose
from kedge.executor.interactive import attend
from kedge.middleware import drive
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.ports import check_inputs
from kedge.run import core, unrecorded
from kedge.run.description import Function
from kedge.run.prepare import Prepared
from kedge.task import Process, PythonRoot

COMMAND: Final = "run-function"  # by which the function is run again in the shell

_SHELLS: Final = ("/usr/bin/bash", "/bin/bash")
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_NO_START_FILES: Final = ("--noprofile", "--norc")

_RUN_AGAIN: Final = """\
#!/bin/sh
# Runs the function as a run does, on what is in `in`; with -i, opens Python with its inputs read.
cd "$KEDGE_WORKSPACE" || exit
if [ "$1" = -i ]; then exec {python} -I -B -i {prompt}; fi
rm -rf out/data.json out/_error.json out/_runner_error.json out/progress.jsonl out/artifacts
mkdir out/artifacts
for file in out/files/*; do
    [ "$file" = out/files/list.json ] || rm -rf "$file"
done
{command}
code=$?
if [ $code -eq 0 ] && [ -f out/data.json ]; then cat out/data.json; echo; fi
exit $code
"""

_PROMPT: Final = """\
import importlib.machinery, importlib.util, os, sys
_spec = importlib.util.spec_from_file_location("kedge_runner", {runner!r})
_runner = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_runner)
_runner.prepare_process()
sys.path.insert(0, os.environ["KEDGE_WORKSPACE"])
_instructions = _runner.read_json({instructions!r})
function = _runner.find_function(_instructions["handler"])
inputs = _runner.read_inputs(function, _instructions)
print("function(**inputs) calls it; import pdb; pdb.runcall(function, **inputs) goes through it")
"""

_WAIT: Final = """\
import os, runpy, sys
sys.path.append({debugger!r})
import debugpy
debugpy.listen(("127.0.0.1", {port}))
print("waiting for a debugger on 127.0.0.1:{port}", file=sys.stderr, flush=True)
debugpy.wait_for_client()
sys.argv = {argv!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Debugger(Data):
    """debugpy: the folder that it is imported from, and the port of 127.0.0.1 that it listens on."""

    folder: str
    port: int


def debug(
    prepared: Prepared,
    function: Function,
    values: Mapping[str, Any],
    notify: Callable[[str], None],
    opening: Callable[[], None],
    *,
    overrides: Mapping[str, Any],
    executor: str | None = None,
    network: bool = False,
    debugger: Debugger | None = None,
) -> int:
    """Give the terminal to a shell where `function` would run, or to the function under a debugger.

    Args:
        prepared: the package and its environment.
        function: the function.
        values: its inputs, not yet checked.
        notify: told what the user should read.
        opening: called before the terminal is given away.
        overrides: the caller's own `cpu` and `memory_mb`.
        executor: its kind; None: as configured.
        network: whether to allow the network although the package does not ask for it.
        debugger: starts the function at once, waiting for a client; it gets the network of this machine.

    Returns:
        The exit status of the shell, or of the function.

    Raises:
        InputError: values that its ports do not admit, all of them.
        TaskError, Unavailable: limits or an executor that this machine does not have.
    """
    inputs, problems = check_inputs(function.input_ports, dict(values))
    if problems:
        raise InputError.of(problems, f"the inputs of `{function.name}`")
    limits, _, notices = resources.effective(
        prepared.description.resources, function.resources, overrides, this_machine()
    )
    kind = executor or settings.get("executor")
    if kind in KINDS:
        raise Unavailable(
            f"`kedge debug` opens no shell in a container of {kind}",
            hint="--executor sandbox opens one in the same packages on this machine",
        )
    chosen = choose(kind)
    for text in (*notices, *([chosen.notice] if chosen.notice else [])):
        notify(text)
    request = core.Request(
        function.name, values, overrides, executor, network or debugger is not None
    )
    task = core.task_of(prepared, function, request, inputs, limits, chosen.executor)
    process: Process = drive(task.runtime.setup_runtime(task))
    with unrecorded.workplace(chosen.executor.kind) as place:
        made = workspace.prepare(
            os.path.join(place, "workspace"),
            prepared.snapshot.folder,
            function.input_ports,
            function.output_ports,
            inputs,
        )
        commands = os.path.join(place, "bin")
        _write_commands(commands, process, prepared, debugger)
        host_paths = tuple(prepared.description.runtime.get("host_paths") or ())
        extra = (commands, debugger.folder) if debugger else (commands,)
        job = Job(
            run_id=folders.name_of(place),
            package=prepared.description.name,
            function=function.name,
            workspace=made,
            resources=limits,
            network=task.network,
            paths=(*settings.get("sandbox.paths"), *host_paths, *extra),
            on_notice=notify,
        )
        opening()
        return attend(chosen.executor, _started(process, prepared, commands, debugger), job)


def _started(
    process: Process, prepared: Prepared, commands: str, debugger: Debugger | None
) -> Process:
    """What is started: the shell, or the function's own program behind the debugger."""
    path = f"{commands}:{os.path.dirname(prepared.python.python)}:{process.env.get('PATH', _PATH)}"
    variables = {**process.env, "PATH": path, "TERM": os.environ.get("TERM", "dumb")}
    root = process.root
    assert isinstance(root, PythonRoot)
    if debugger is not None:
        waiting = os.path.join(commands, "wait.py")
        # Else it warns of breakpoints in the standard library, which nobody asked about.
        quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        return Process((prepared.python.python, "-I", "-B", waiting), root, quiet | variables)
    shell = next((one for one in _SHELLS if os.access(one, os.X_OK)), None)
    if shell is None:
        return Process(("/bin/sh",), root, {"PS1": "kedge debug $ ", **variables})
    return Process((shell, *_NO_START_FILES), root, {"PS1": r"kedge debug \W \$ ", **variables})


def _write_commands(
    place: str, process: Process, prepared: Prepared, debugger: Debugger | None
) -> None:
    prompt = os.path.join(place, "prompt.py")
    os.mkdir(place)
    os.chmod(place, 0o755)
    program = process.argv[process.argv.index(prepared.python.runner) :]
    texts = {
        COMMAND: _RUN_AGAIN.format(
            python=shlex.quote(prepared.python.python),
            prompt=shlex.quote(prompt),
            command=shlex.join(process.argv),
        ),
        "prompt.py": _PROMPT.format(runner=prepared.python.runner, instructions=program[-1]),
    }
    if debugger is not None:
        texts["wait.py"] = _WAIT.format(
            debugger=debugger.folder, port=debugger.port, argv=list(program)
        )
    for name, text in texts.items():
        folders.write_file(os.path.join(place, name), text, 0o755)
