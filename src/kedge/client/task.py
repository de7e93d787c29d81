"""Tasks that are written where they are run: any runtime, executor and target, with ports of any kind.

task = Task(
runtime=CommandRuntime("sort {words} > {sorted}"),
inputs=[File("words", "words.txt")],
outputs=[File("sorted", "sorted.txt")],
)
task.run_sync().outputs["sorted"]
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Final

from kedge.client import awaiting, delivery, hints, notices
from kedge.client.session import session
from kedge.errors import Problem, TaskError, Where, nearest
from kedge.executor import Cancel, Executor, executors, fitting
from kedge.package.resources import TIERS, Block
from kedge.ports import name_problems
from kedge.run import core, inline
from kedge.runtime import Runtime
from kedge.target import Target, targets
from kedge.task import Port, Resources, task

AUTO = "auto"
_FRACTIONS: Final = ("cpu", "timeout", "grace")  # of the resources: those that need not be whole
_NONE_AT_ALL: Final = ("gpu", "grace")  # those that may be 0
_MOST: Final = 10**9  # of any: thirty years of seconds


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
        outputs = tuple(outputs)
        is_open = not outputs and getattr(runtime, "answers", False)
        super().__init__(
            id=id,
            name=name or id,
            description=description,
            runtime=runtime,
            inputs=tuple(inputs),
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

        Returns:
            The run; its `outputs` raise `kedge.RunFailed` if it failed.

        Raises:
            ValueError, KedgeError: it cannot be set up; nothing was started.
            StoreError: it succeeded, and an output cannot be put at its path.
        """
        cancel = Cancel()
        return _waited(session().calls.submit(self._run, cancel), cancel)

    async def run(self) -> core.Result:
        """Run it, and await its end. To cancel the task of asyncio cancels it, and a second time at once.

        Raises:
            ValueError, KedgeError: as `run_sync`.
        """
        cancel = Cancel()
        going = session().calls.submit(self._run, cancel)
        return await awaiting.ended(going, lambda force: cancel.request(force=force))

    def _run(self, cancel: Cancel) -> core.Result:
        with hints.shown(), session().during(cancel) as pool:
            places = delivery.places(self)
            ended = inline.run_task(self, notices.OBSERVER, cancel, pool)
            if ended.failure is None:
                delivery.put(ended.outputs, places)
            else:
                hints.add_notes(ended.failure)
            return ended


def _waited(going: "Future[core.Result]", cancel: Cancel) -> core.Result:
    try:
        going.exception()
    except BaseException:
        try:
            cancel.request()
            going.exception()
        except BaseException:
            cancel.request(force=True)
            going.exception()
            raise
        raise
    return going.result()


def _problems(made: Task) -> Iterator[Problem]:
    if not isinstance(made.runtime, Runtime):
        message = f"`runtime` is a `{type(made.runtime).__name__}`, which is no runtime"
        yield Problem(message, Where(path="runtime"), 'such as `kedge.CommandRuntime("…")`')
    sides = (("inputs", made.inputs), ("outputs", made.outputs))
    for side, ports in sides:
        for at, port in enumerate(ports):
            where = Where(path=f"{side}[{at}]")
            if not isinstance(port, Port):
                message = f"`{port!r:.80}` is no port"
                yield Problem(message, where, 'such as `kedge.File("mesh", "wing.med")`')
    ids = Counter(port.id for _, ports in sides for port in ports if isinstance(port, Port))
    yield from name_problems(ids)
    for name in (name for name, count in ids.items() if count > 1):
        yield Problem(f"two ports have the id `{name}`", Where(path=name), "rename one of the two")
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
    for port in made.inputs:
        if isinstance(port, Port) and port.required and port.bound is None:
            message = f"the input `{port.id}` is bound to nothing"
            yield Problem(message, Where(path=port.id), "give it a value, or a path")


def _misfit(runtime: Runtime[Any], executor: Executor) -> Iterator[Problem]:
    if not issubclass(runtime.gives, executor.accepts):
        message = (
            f"the runtime {runtime.kind!r} gives a {runtime.gives.__name__}, which the executor"
            f" {executor.kind!r} does not take"
        )
        others = ", ".join(fitting(runtime.gives))
        yield Problem(message, Where(path="executor"), f"use one of: {others}; or `auto`")


def _of_the_resources(block: Any) -> Iterator[Problem]:
    if not isinstance(block, Mapping):
        message = f"`resources` is `{block!r:.80}`"
        yield Problem(message, Where(path="resources"), 'such as `{"cpu": 2, "memory_mb": 4096}`')
        return
    for name, value in block.items():
        where = Where(path=f"resources.{name}")
        if name == "tier":
            if value is not None and value not in tuple(TIERS):
                yield Problem(f"there is no tier `{value!r}`", where, f"one of: {', '.join(TIERS)}")
        elif name not in Resources.__fields__:
            known = ("tier", *Resources.__fields__)
            close = nearest(str(name), known)
            hint = f"did you mean `{close}`?" if close else f"one of: {', '.join(known)}"
            yield Problem(f"`{name}` is no resource", where, hint)
        elif value is not None:
            wanted = (int, float) if name in _FRACTIONS else int
            least = 0 if name in _NONE_AT_ALL else sys.float_info.min
            if type(value) is bool or not isinstance(value, wanted) or not least <= value <= _MOST:
                what = "a number" if name in _FRACTIONS else "a whole number"
                from_0 = "from 0" if name in _NONE_AT_ALL else "above 0"
                yield Problem(f"`{name}` is {value!r:.80}", where, f"give {what} {from_0}")
