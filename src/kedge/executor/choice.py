"""`auto`: the executor that gives the most isolation on this machine, of those that fit."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

from kedge import settings
from kedge.data import Data
from kedge.engine import KINDS
from kedge.errors import PluginError, TaskError, Unavailable
from kedge.executor.base import Executor, executors
from kedge.task.payload import ImageRoot, Process

AUTO: Final = "auto"
_IN_PROCESS: Final = "inprocess"


class Choice(Data):
    """The executor that was chosen, and a sentence to show when it is not the one to wish for."""

    executor: Executor
    notice: str | None = None


def choose(kind: str = AUTO, *, image: bool = False) -> Choice:
    """The executor of `kind`.

    For `auto`, what runs on an image is for the first engine that works; all else for the sandbox where
    namespaces work, else for plain processes.

    Args:
        kind: the executor's kind.
        image: whether the program stands on an image.

    Raises:
        PluginError: no such kind.
        TaskError: it does not run images, and one is to be run.
        Unavailable: it was asked for by name and does not work here, or no engine does.
    """
    if kind != AUTO:
        return Choice(_named(kind, image=image))
    return Choice(_engine()) if image else _local()


def choose_for(gives: tuple[type, ...], roots: tuple[type, ...]) -> Choice:
    """The executor for what a runtime gives, where the task names none: as configured, if that takes programs.

    Args:
        gives: the types of its payloads, the one it would rather give first.
        roots: what they stand on, one of these, if they are programs.

    Raises:
        KedgeError: as `choose`.
    """
    for payload in gives:
        if issubclass(payload, Process):
            kind = settings.get("executor")
            if kind != AUTO and not takes(executors.get(kind), gives, roots):
                kind = AUTO
            return choose(kind, image=roots == (ImageRoot,))
        here = _here()
        if issubclass(payload, here.executor.accepts):
            return here
        for kind in fitting((payload,), roots):
            return Choice(executors.get(kind)())
    names = " or ".join(one.__name__ for one in gives)
    raise TaskError(f"no executor takes a {names} payload", hint="name one, or install its plug-in")


@lru_cache(1)
def _here() -> Choice:
    return Choice(executors.get(_IN_PROCESS)())


def fitting(gives: tuple[type, ...], roots: tuple[type, ...]) -> Iterator[str]:
    """The kinds of executors that take payloads of one of these types, of those that can be loaded."""
    for kind in executors.kinds():
        with suppress(PluginError):
            if takes(executors.get(kind), gives, roots):
                yield kind


def takes(executor: type[Executor], gives: tuple[type, ...], roots: tuple[type, ...]) -> bool:
    """Whether an executor takes payloads of one of these types, and programs that stand on one of `roots`."""
    stands = any(issubclass(one, executor.roots) for one in roots)
    return any(
        issubclass(payload, executor.accepts) and (stands or not issubclass(payload, Process))
        for payload in gives
    )


def _named(kind: str, *, image: bool) -> Executor:
    asked = executors.get(kind)()
    if image and kind not in KINDS:
        raise TaskError(
            f"the executor {kind!r} runs no images",
            hint=f"use one of: {', '.join(KINDS)}, or leave the choice to `auto`",
        )
    state = asked.usable()
    if not state.ok:
        raise Unavailable(
            f"the executor {kind!r} does not work on this machine: {state.reason}",
            hint=state.hint,
        )
    return asked


def _engine() -> Executor:
    reasons = []
    for kind in KINDS:
        found = executors.get(kind)()
        state = found.usable()
        if state.ok:
            return found
        reasons.append((state.reason, state.hint))
    raise Unavailable(
        f"an image needs a container engine, and none works here: {'; '.join(one for one, _ in reasons)}",
        hint=" / ".join(one for _, one in reasons if one),
    )


def _local() -> Choice:
    sandbox = executors.get("sandbox")()
    state = sandbox.usable()
    if state.ok:
        return Choice(sandbox)
    from kedge.executor import landlock

    weaker = (
        "running without namespaces; Landlock keeps the code to its own files"
        if landlock.abi()
        else "running without a sandbox, so the code can see this machine's files"
    )
    return Choice(executors.get("process")(), f"{weaker}: {state.reason} ({state.hint})")
