"""What a Python package needs before an environment can be made: an interpreter, requirements, a lock."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Literal

from kedge import settings
from kedge.data import replace
from kedge.engine import KINDS
from kedge.environment import interpreters, lock
from kedge.environment.requirements import Requirements
from kedge.errors import EnvironmentFailed, TaskError, Where
from kedge.executor import Executor, choose
from kedge.executor.choice import AUTO
from kedge.package.snapshot import Snapshot
from kedge.package.source import PackageSource
from kedge.run.declared import Declared

_ANY_PYTHON: Final = ">=3.8"  # what the runner needs
_NOBODY: Final[Callable[[str], None]] = lambda _: None  # noqa: E731

Notify = Callable[[str], None]


def container(declared: Declared, asked: str | None) -> Executor | None:
    """The executor of a Python package that is to run in a container; None where it needs none.

    Args:
        declared: the package.
        asked: the kind of executor that was asked for; else what is configured counts.

    Raises:
        TaskError: it needs a container, and another executor was asked for.
        Unavailable: no container engine works here.
    """
    kind = asked or settings.get("executor")
    if kind in KINDS:
        return choose(kind, image=True).executor
    wanted = of_containers(declared)
    if not wanted:
        return None
    if kind != AUTO:
        raise TaskError(
            f"`{declared.description.name}` needs {' and '.join(wanted.values())}, which the"
            f" executor {kind!r} cannot give it",
            where=Where(path=f"runtime.{next(iter(wanted))}"),
            hint=f"use one of: {', '.join(KINDS)}, or leave the choice to `auto`",
        )
    return choose(AUTO, image=True).executor


def of_containers(declared: Declared) -> Mapping[str, str]:
    """What a Python package asks for that it has in containers only: in words, by its field in `runtime`."""
    runtime = declared.description.runtime
    system, base, commands = map(runtime.get, ("system", "base_image", "commands"))
    words = {
        "system": system and f"the Debian packages {', '.join(system)}",
        "base_image": base and f"the base image `{base}`",
        "commands": commands and "an image to run its `commands` in",
    }
    return {field: said for field, said in words.items() if said}


def on_machine(
    source: PackageSource, declared: Declared
) -> tuple[interpreters.Interpreter, Requirements]:
    """The interpreter, and the requirements for its minor version."""
    requirements = python_requirements(declared)
    asked = declared.description.runtime.get("requires_python")  # of a script; "" is any at all
    if asked is None:
        return _interpreter(requirements.python), requirements
    asked = asked or _ANY_PYTHON
    found = None
    if not requirements.is_empty and (minor := lock.minor(requirements, source.root)):
        # The Python that the lock was made for: a newer one on this machine is no reason to resolve.
        with suppress(EnvironmentFailed):
            found = _interpreter(f"=={minor}.*,{asked}", download=False)
    found = found or _interpreter(asked)
    return found, replace(requirements, python=found.minor)


def in_image(source: PackageSource, declared: Declared) -> Requirements:
    """The requirements for the minor version that an image must have."""
    if declared.description.runtime.get("requires_python") is None:
        return python_requirements(declared)
    return on_machine(source, declared)[1]


def python_requirements(declared: Declared) -> Requirements:
    """Those of a package of kind `python`.

    Raises:
        TaskError: it is of another kind.
    """
    if declared.requirements is None:
        kind = declared.description.runtime["kind"]
        raise TaskError(
            f"`{declared.description.name}` has a runtime of kind `{kind}`, which has no requirements",
            where=Where(path="runtime.kind"),
            hint="its image has what it needs; only packages of kind `python` have a lock",
        )
    return declared.requirements


def _interpreter(version: str, *, download: bool | None = None) -> interpreters.Interpreter:
    return interpreters.find(
        version,
        paths=tuple(settings.get("python.paths")),
        download=settings.get("python.download") if download is None else download,
    )


def build_timeout(declared: Declared) -> float:
    """Seconds that preparing may take: the package's own limit, else this machine's."""
    own: float | None = declared.description.runtime.get("build_timeout")
    found: float = settings.get("environment.build_timeout")
    return found if own is None else own


def lock_of(
    source: PackageSource,
    declared: Declared,
    requirements: Requirements,
    interpreter: interpreters.Interpreter | None,
    notify: Notify = _NOBODY,
    *,
    mode: Literal["auto", "locked"] = "auto",
    upgrade: bool | str = False,
) -> lock.Lock:
    """The package's lock, resolved if it is not there or out of date, which is told.

    Args:
        source, declared: the package.
        requirements: for one minor version.
        interpreter: of that version, where this machine has one.
        notify: told in words what is being done.
        mode: `locked` refuses to resolve again.
        upgrade: True takes newer versions of everything, a name of that package.

    Raises:
        LockError: the lock is out of date and `mode` is `locked`.
        EnvironmentFailed: the requirements cannot be resolved.
    """
    found = lock.ensure_lock(
        requirements,
        source.root,
        mode,
        upgrade,
        interpreter=interpreter,
        on_progress=notify,
        timeout=build_timeout(declared),
        allow_builds=settings.get("environment.allow_builds"),
    )
    if found.notice:
        notify(found.notice)
    return found


def is_new(locked: lock.Lock, source: PackageSource, taken: Snapshot) -> bool:
    """Whether the lock was written after the snapshot was taken: beside a manifest it is one of its files."""
    if locked.path is None or os.path.dirname(locked.path) != os.path.realpath(source.root):
        return False
    try:
        with open(
            os.path.join(taken.folder, os.path.basename(locked.path)), encoding="utf-8"
        ) as file:
            return file.read() != locked.text
    except OSError:
        return True
