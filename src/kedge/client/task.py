"""Tasks that are written where they are run: any runtime, executor and target, with ports of any kind.

task = Task(
runtime=CommandRuntime("sort {words} > {sorted}"),
inputs=[File("words", "words.txt")],
outputs=[File("sorted", "sorted.txt")],
)
task.run_sync().outputs["sorted"]
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

from kedge.client import awaiting, delivery, hints, notices
from kedge.client.session import session
from kedge.client.threads import wait
from kedge.contract.port_kinds import is_object
from kedge.errors import Problem, TaskError, Where
from kedge.executor import Cancel, Executor, executors, fitting, takes
from kedge.executor.choice import AUTO, choose_for
from kedge.package.resources import Block
from kedge.ports import name_problems
from kedge.run import core, inline
from kedge.runtime import Runtime
from kedge.target import Target, targets
from kedge.task import Port, Resources, task
from kedge.task.payload import Process

_depth: ContextVar[int] = ContextVar("depth", default=0)  # of runs that this code is part of


class Task(task.Task):
    """What is to be run, how, where and on what. It never changes, and may run many times at once.

    Args:
        id: what it is called where it runs.
        name: for people; its id if there is none.
        description: one or more sentences.
        runtime: what to execute.
        inputs: ports that are bound to values.
        outputs: ports. A file that has a path is there after a run that succeeded.
        executor: how, by itself or by its kind; `auto` takes the best one that works here.
        target: where, by itself or by its kind.
        resources: `cpu`, `memory_mb`, `timeout` and others, as in a manifest.
        network: whether it may use this machine's network.

    Raises:
        TaskError: ports, runtime, executor and target that do not fit each other, all that is wrong.
        PluginError: there is no such executor or target.

    >>> from kedge import CommandRuntime, Number, Task
    >>> task = Task(runtime=CommandRuntime("seq {last}"), inputs=[Number("last", 3)])
    >>> task.run_sync().run.status
    'succeeded'
    """

    def __init__(
        self,
        *,
        runtime: Runtime[Any],
        id: str = "task",
        name: str = "",
        description: str = "",
        inputs: Iterable[Port] = (),
        outputs: Iterable[Port] = (),
        executor: Executor | str | None = AUTO,
        target: Target | str | None = None,
        resources: Block | None = None,
        **rest: Any,
    ) -> None:
        if isinstance(executor, str):
            executor = None if executor == AUTO else executors.get(executor)()
        if isinstance(target, str):
            target = targets.get(target)()
        inputs, outputs = _listed(inputs), _listed(outputs)
        is_open = not outputs and getattr(runtime, "answers", False)
        super().__init__(
            id=id,
            name=name or id,
            description=description,
            runtime=runtime,
            inputs=inputs,
            outputs=outputs,
            executor=executor,
            target=target,
            resources=resources,
            **{"open": {} if is_open else None, **rest},
        )
        if problems := list(_problems(self)):
            with hints.shown():
                raise TaskError.of(problems, f"the task `{self.name}`")

    def run_sync(self) -> core.Result:
        """Run it and wait for its end. To interrupt the wait (Ctrl-C) cancels it, and a second time at once.

        What runs in this process runs in this thread.

        Returns:
            The run; its `outputs` raise `kedge.RunFailed` if it failed.

        Raises:
            TaskError, InputError: it cannot be set up, and nothing was started; both are ValueErrors.
            KedgeError: this machine lacks what it needs.
            StoreError: it succeeded, and an output cannot be put at its path.
        """
        cancel = Cancel()
        here = None if awaiting.has_loop() else _of_this_process(self)
        if here is not None:
            return copy_context().run(self._run, cancel, here)
        return wait(session().calls.submit(self._run, cancel), cancel.request)

    async def run(self) -> core.Result:
        """Run it, and await its end. To cancel the task of asyncio cancels it, and a second time at once.

        However many are awaited, no more run at once than this machine has processors and memory for.

        Returns:
            The run, as `run_sync`.

        Raises:
            ValueError, KedgeError: as `run_sync`.
        """
        cancel = Cancel()
        going = session().tasks(_depth.get()).submit(self._run, cancel)

        def stop(force: bool) -> None:
            if not going.cancel():  # else it waited for its turn
                cancel.request(force)

        return await awaiting.ended(going, stop)

    def _run(self, cancel: Cancel, executor: Executor | None = None) -> core.Result:
        _depth.set(_depth.get() + 1)  # in a context of its own
        with hints.shown(), session().during(cancel) as pool:
            places = delivery.places(self)
            ended = inline.run_task(self, notices.OBSERVER, cancel, pool, executor)
            if ended.failure is None:
                delivery.put(ended.outputs, places)
            else:
                hints.add_notes(ended.failure)
            return ended


def _of_this_process(made: Task) -> Executor | None:
    """What it is executed by, if that is this process: here, where no loop runs, since a coroutine needs its own."""
    found: Executor | None = made.executor
    if found is None and not issubclass(made.runtime.gives[0], Process):
        found = choose_for(made.runtime.gives, made.runtime.roots).executor
    return found if found is not None and found.of_this_process else None


def _listed(ports: Iterable[Port]) -> tuple[Port, ...]:
    """The ports of one side; what is no list of them stays, and is told with all else that is wrong."""
    if isinstance(ports, list | tuple):
        return tuple(ports)
    return tuple(ports) if isinstance(ports, Iterable) and not isinstance(ports, str) else ports


def _problems(made: Task) -> Iterator[Problem]:
    for place in ("id", "name", "description"):
        if not isinstance(text := getattr(made, place), str):
            yield _no(text, "text", place, "write it as a text, with `str`")
    if not isinstance(made.network, bool):
        yield _no(made.network, "truth value", "network", "write `True` or `False`")
    if not isinstance(made.runtime, Runtime):
        message = f"`runtime` is a `{type(made.runtime).__name__}`, which is no runtime"
        yield Problem(message, Where(path="runtime"), 'such as `kedge.CommandRuntime("…")`')
    yield from _of_the_ports(made)
    for place, value, kind in (
        ("executor", made.executor, Executor),
        ("target", made.target, Target),
    ):
        if value is not None and not isinstance(value, kind):
            message = f"`{place}` is `{value!r:.80}`, which is no {place}"
            yield Problem(
                message, Where(path=place), "give one, or its kind, such as `process` or `local`"
            )
    if isinstance(made.runtime, Runtime) and isinstance(made.executor, Executor):
        yield from _misfit(made.runtime, made.executor)
    if made.resources is not None and not isinstance(made.resources, Resources):
        yield from _of_the_resources(made.resources)


def _of_the_ports(made: Task) -> Iterator[Problem]:
    ids: list[Any] = []
    for side in ("inputs", "outputs"):
        ports = getattr(made, side)
        if not isinstance(ports, tuple):
            yield _no(ports, "list of ports", side, 'write `[kedge.File("mesh", "wing.med")]`')
            continue
        for at, port in enumerate(ports):
            place = f"{side}[{at}]"
            if not isinstance(port, Port):
                yield _no(port, "port", place, 'such as `kedge.File("mesh", "wing.med")`')
                continue
            ids.append(port.id)
            if wrong := [*_of_a_port(port, place)]:
                yield from wrong
            elif side == "inputs" and port.required and not port.is_bound:
                message = f"the input `{port.id}` is bound to nothing"
                yield Problem(message, Where(path=port.id), "give it a value, or a path")
    names = [one for one in ids if isinstance(one, str)]
    known = dict.fromkeys(names)
    yield from name_problems([*known, *(one for one in ids if not isinstance(one, str))])
    if len(known) < len(names):
        for name in (name for name, count in Counter(names).items() if count > 1):
            message = f"two ports have the id `{name}`"
            yield Problem(message, Where(path=name), "rename one of the two")


def _of_a_port(port: Port, place: str) -> Iterator[Problem]:
    path, unit = getattr(port, "path", None), getattr(port, "unit", None)
    if path is not None and not isinstance(path, str | os.PathLike):
        hint = "give one path; several files are a `kedge.Folder`, or ports of their own"
        yield _no(path, "path", f"{place}.path", hint)
    if unit is not None and not isinstance(unit, str):
        yield _no(unit, "text", f"{place}.unit", 'such as `"mm"`')
    if is_object(port):
        if path is not None:
            yield Problem("it has a path and a value", Where(path=place), "give one of the two")
        if place.startswith("outputs"):
            message = f"the output `{port.id}` has a value, which only an input can be given"
            yield Problem(message, Where(path=place), "take the value away")


def _no(value: Any, what: str, place: str, hint: str) -> Problem:
    return Problem(f"`{value!r:.80}` is no {what}", Where(path=place), hint)


def _misfit(runtime: Runtime[Any], executor: Executor) -> Iterator[Problem]:
    gives, roots = runtime.gives, runtime.roots
    if not takes(type(executor), gives, roots):
        stands = f" on a {' or '.join(one.__name__ for one in roots)}"
        what = " or ".join(
            one.__name__ + (stands if issubclass(one, executor.accepts) else "") for one in gives
        )
        message = (
            f"the runtime {runtime.kind!r} gives a {what}, which the executor {executor.kind!r}"
            " does not take"
        )
        others = ", ".join(fitting(gives, roots))
        yield Problem(message, Where(path="executor"), f"use one of: {others}; or `auto`")


def _of_the_resources(block: Any) -> Iterator[Problem]:
    from pydantic import ValidationError

    from kedge.package.document import Document
    from kedge.package.models import ResourcesBlock
    from kedge.package.wording import problems_of

    try:
        ResourcesBlock.model_validate(block)
    except ValidationError as error:
        document = Document("", {"resources": block})
        yield from problems_of(error, ResourcesBlock, document, ("resources",))
