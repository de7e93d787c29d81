"""A task that was written as one, not taken from a package: bound, then performed as any other."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kedge.contract.port_kinds import is_object
from kedge.data import replace
from kedge.errors import InputError
from kedge.executor import Cancel, Executor, choose_for
from kedge.package import resources
from kedge.package.machine import Machine, this_machine
from kedge.ports import check_inputs, mask
from kedge.run.execution import Observer, Result
from kedge.run.performing import Surroundings, input_files, perform
from kedge.target import LocalTarget
from kedge.task import Port, Resources, Task, given

if TYPE_CHECKING:
    from kedge.executor.warm.pool import Pool


def run_task(
    task: Task,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    pool: "Pool | None" = None,
    executor: Executor | None = None,
) -> Result:
    """Run a task once.

    Args:
        task: what is run; what it leaves open is decided now.
        observer: told what happens, in this thread.
        cancel: the request to stop, which may come at any moment.
        pool: what is kept warm, None for a process of its own.
        executor: how, where the task leaves that open and it is decided already.

    Raises:
        InputError: values that its ports do not admit, all of them.
        TaskError, Unavailable: an object that cannot be pickled, limits or an executor that this machine does not have.
        ValueError, KedgeError: its runtime cannot set it up.
    """
    observer, cancel = observer or Observer(), cancel or Cancel()
    executor = executor or task.executor
    objects = [port for port in task.inputs if is_object(port)]
    if not objects:
        return _run(task, executor, {}, observer, cancel, pool)
    from kedge.run import pickles

    with ExitStack() as after:
        task = replace(task, inputs=pickles.written(task, objects, after))
        recorded = {port.id: f"an object of {type(port.value)!r}" for port in objects}
        return _run(task, executor, recorded, observer, cancel, pool)


def _run(
    task: Task,
    executor: Executor | None,
    recorded: dict[str, str],
    observer: Observer,
    cancel: Cancel,
    pool: "Pool | None",
) -> Result:
    """The same; `recorded` is what is on record of inputs that are in a file for the length of the run alone."""
    began = time.monotonic()
    ports = task.input_ports
    values, problems = check_inputs(ports, _bound(task.inputs))
    if problems:
        raise InputError.of(problems, f"the inputs of `{task.name}`")
    machine = this_machine()
    if task.resources is None:
        limits, notices = _all_of(machine)
    else:
        limits, _, notices = resources.effective(None, task.resources, None, machine)
    warnings = [*notices]
    if executor is None:
        chosen = choose_for(task.runtime.gives, task.runtime.roots)
        executor = chosen.executor
        warnings += [chosen.notice] if chosen.notice else []
    # Not of the task's own class, which may have more to check than what is bound here.
    bound = Task(
        **vars(task)
        | {
            "executor": executor,
            "target": task.target or LocalTarget(),
            "resources": limits,
            "inputs": given(ports, values),
        }
    )
    facts = {
        "runtime": task.runtime.kind,
        "inputs": mask(ports, values) | recorded,
        "input_files": tuple(
            one for one in input_files(ports, values) if one["port"] not in recorded
        ),
    }
    waited = {"preparing_s": time.monotonic() - began}
    surroundings = Surroundings(facts, tuple(warnings), waited=waited)
    return perform(bound, surroundings, observer, cancel, pool)


@lru_cache(4)
def _all_of(machine: Machine) -> tuple[Resources, list[str]]:
    """Those of a task that asks for nothing."""
    limits, _, notices = resources.effective(None, None, None, machine)
    return limits, notices


def _bound(ports: tuple[Port, ...]) -> Mapping[str, Any]:
    return {port.id: port.bound for port in ports if port.is_bound}
