"""From a package's folder to everything a run of it needs: description, environment, snapshot, runner.

Compiled once and found again by digest: what a manifest declares by the snapshot's digest, what the
signatures say by that, the environment's and the runner's.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

from kedge import settings
from kedge.data import Data, replace
from kedge.engine import KINDS
from kedge.environment import bytecode, interpreters, lock, python
from kedge.environment.image import Image
from kedge.environment.requirements import Requirements
from kedge.environment.runner import runner_for
from kedge.errors import EnvironmentFailed, LockError, Unavailable, Where
from kedge.executor import Choice, choose
from kedge.package.snapshot import Snapshot, snapshot, writable
from kedge.package.source import PackageSource
from kedge.run import cache, signature
from kedge.run.declared import Declared, declare
from kedge.run.described import with_signatures
from kedge.run.description import Description

_ANY_PYTHON: Final = ">=3.8"  # what the runner needs

Notify = Callable[[str], None]


class PythonGround(Data):
    """What Python code stands on: an environment on this machine.

    Args:
        interpreter: its exact Python version.
        python: path of its executable.
        visible: host paths that it needs to see.
        runner: path of the runner.
        lock: path of the lock, None when nothing is needed.
    """

    interpreter: str
    python: str
    visible: tuple[str, ...]
    runner: str
    lock: str | None


class ImageGround(Data):
    """What a program of an image stands on: the image, in the engine that is to run it."""

    engine: str
    image: Image


class Prepared(Data):
    """A package that is ready to run.

    Args:
        description: the package, its ports final.
        snapshot: the files that runs see.
        environment: digest of the environment or image.
        ground: what its code stands on.
        created: whether that was built or pulled just now.
    """

    description: Description
    snapshot: Snapshot
    environment: str
    ground: PythonGround | ImageGround
    created: bool

    @property
    def python(self) -> PythonGround:
        """The ground of Python code.

        Raises:
            Unavailable: it stands on an image.
        """
        if isinstance(self.ground, ImageGround):
            raise Unavailable(
                f"`{self.description.name}` stands on an image, and this works for Python packages",
                hint=f"`{self.ground.engine} run -it` opens a shell in an image",
            )
        return self.ground


def prepare(
    source: PackageSource,
    notify: Notify = lambda _: None,
    *,
    mode: Literal["auto", "locked"] = "auto",
    compile: Literal["background", "wait"] = "background",
    executor: str | None = None,
) -> Prepared:
    """Everything that a run of the package needs, found or made.

    Args:
        source: from `kedge.package.source.open_package`.
        notify: told in words what is being done or waited for.
        mode: `locked` refuses to resolve again.
        compile: whether to wait until everything is byte-compiled.
        executor: the kind of executor that was asked for; an image must be in its engine.

    Raises:
        ManifestError, PackageError: the package is wrong.
        LockError: the lock is out of date and `mode` is `locked`.
        EnvironmentFailed: its environment cannot be made.
        Unavailable: its kind of runtime cannot run here.
    """
    declared, taken = declare(source)
    if declared.requirements is None:
        return _on_image(source, declared, taken, notify, executor)
    interpreter, requirements = _ground(source, declared)
    timeout = _build_timeout(declared)
    builds = settings.get("environment.allow_builds")
    locked = _lock(source, interpreter, requirements, notify, timeout, mode=mode)
    if locked.notice:
        notify(locked.notice)
    if _is_new(locked, source, taken):
        taken = snapshot(source.root)
    environment = python.ensure(
        interpreter, locked, notify, timeout, compile=compile, allow_builds=builds
    )
    runner = runner_for(interpreter)
    found = Prepared(
        description=declared.description,
        snapshot=taken,
        environment=environment.digest,
        ground=PythonGround(
            interpreter=interpreter.version,
            python=environment.python,
            visible=(*environment.visible, os.path.dirname(runner)),
            runner=runner,
            lock=locked.path,
        ),
        created=environment.created,
    )
    place = cache.place("described", taken.digest, environment.digest, runner, source.root)
    if (known := cache.load(place)) is not None:
        return replace(found, description=Description.from_json(known))
    _compile_snapshot(interpreter, taken)
    description = _described(declared, found, notify)
    if all(function.unread is None for function in description.functions.values()):
        # What failed may do better next time: with another setting, or when the machine is less busy.
        cache.store(place, description.to_json())
    return replace(found, description=description)


def _on_image(
    source: PackageSource, declared: Declared, taken: Snapshot, notify: Notify, executor: str | None
) -> Prepared:
    """The package with its image in the engine of the executor that will run it."""
    from kedge.engine.look import look
    from kedge.environment import builds, images

    description = declared.description
    kind = image_executor(executor).executor.kind
    engine = look(kind).engine
    assert engine is not None  # else the executor could not have been chosen
    runtime, timeout = description.runtime, _build_timeout(declared)
    if runtime["kind"] == "image":
        created = images.find(engine, runtime["image"]) is None
        image = images.pulled(engine, runtime["image"], runtime.get("platform"), notify, timeout)
    else:
        recipe = builds.Recipe(
            package=description.name,
            source=source.root,
            folder=taken.folder,
            dockerfile=runtime["dockerfile"],
            context=runtime["context"],
            arguments={},
            platform=runtime.get("platform"),
        )
        image, created = builds.built(engine, recipe, notify, timeout=timeout)
        if created:
            builds.remove_superseded(engine, recipe, image)
    return Prepared(
        description=description,
        snapshot=taken,
        environment=image.digest,
        ground=ImageGround(kind, image),
        created=created,
    )


def image_executor(asked: str | None) -> Choice:
    """The executor of a program that stands on an image; what is configured counts where it fits."""
    configured = settings.get("executor")
    return choose(asked or (configured if configured in KINDS else "auto"), image=True)


def described(
    source: PackageSource, notify: Notify = lambda _: None, *, static: bool = False
) -> Description:
    """The package with its final ports.

    Those of a Python package are read in its environment, which is built for that; with `static`, the
    source alone is read and nothing is built or run.
    """
    declared, taken = declare(source)
    if declared.requirements is None:
        return declared.description
    if not static:
        return prepare(source, notify).description
    found = {
        name: signature.static(taken.folder, function.handler)
        for name, function in declared.description.functions.items()
        if function.handler is not None
    }
    return with_signatures(declared, found)


def locked(
    source: PackageSource, notify: Notify = lambda _: None, *, upgrade: bool | str = False
) -> lock.Lock:
    """The package's lock, resolved if it is not there or out of date.

    Args:
        source: the package.
        notify: told in words what is being done.
        upgrade: True takes newer versions of everything, a name of that package.
    """
    declared, _ = declare(source)
    interpreter, requirements = _ground(source, declared)
    timeout = _build_timeout(declared)
    found = _lock(source, interpreter, requirements, notify, timeout, upgrade=upgrade)
    if found.notice:
        notify(found.notice)
    return found


def plan(source: PackageSource) -> dict[str, Any]:
    """What preparing the package would do, as data; nothing is built or resolved."""
    declared, taken = declare(source)
    interpreter, requirements = _ground(source, declared)
    found: dict[str, Any] = {
        "package": declared.description.name,
        "snapshot": taken.digest,
        "python": f"{interpreter.version} ({interpreter.path})",
        "requirements": ", ".join(requirements.strings) or None,
    }
    try:
        known = _lock(
            source,
            interpreter,
            requirements,
            lambda _: None,
            _build_timeout(declared),
            mode="locked",
        )
    except LockError as error:
        return found | {"lock": f"would be resolved: {error.message}", "state": "would be built"}
    environment = python.find(interpreter, known)
    return found | {
        "lock": known.path,
        "environment": python.environment_digest(interpreter, known),
        "state": "ready" if environment else "would be built: no environment has this digest",
    }


def _ground(
    source: PackageSource, declared: Declared
) -> tuple[interpreters.Interpreter, Requirements]:
    """The interpreter, and the requirements for its minor version."""
    requirements = declared.requirements
    if requirements is None:
        kind = declared.description.runtime["kind"]
        raise Unavailable(
            f"`{declared.description.name}` has a runtime of kind `{kind}`, which this version of"
            " Kedge can check but not run",
            where=Where(path="runtime.kind"),
            hint="packages of kind `python` run; `kedge check` and `kedge inspect` work for all",
        )
    if system := declared.description.runtime.get("system"):
        raise Unavailable(
            f"`{declared.description.name}` needs the Debian packages {', '.join(system)}, which only a"
            " container can have, and this version of Kedge runs none",
            where=Where(path="runtime.system"),
            hint="install them on this machine and leave `system` out, if the code can use those",
        )
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


def _interpreter(version: str, *, download: bool | None = None) -> interpreters.Interpreter:
    return interpreters.find(
        version,
        paths=tuple(settings.get("python.paths")),
        download=settings.get("python.download") if download is None else download,
    )


def _build_timeout(declared: Declared) -> float:
    """Seconds that preparing may take: the package's own limit, else this machine's."""
    own: float | None = declared.description.runtime.get("build_timeout")
    found: float = settings.get("environment.build_timeout")
    return found if own is None else own


def _lock(
    source: PackageSource,
    interpreter: interpreters.Interpreter,
    requirements: Requirements,
    notify: Notify,
    timeout: float,
    *,
    mode: Literal["auto", "locked"] = "auto",
    upgrade: bool | str = False,
) -> lock.Lock:
    return lock.ensure_lock(
        requirements,
        source.root,
        mode,
        upgrade,
        interpreter=interpreter,
        on_progress=notify,
        timeout=timeout,
        allow_builds=settings.get("environment.allow_builds"),
    )


def _is_new(locked: lock.Lock, source: PackageSource, taken: Snapshot) -> bool:
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


def _described(declared: Declared, found: Prepared, notify: Notify) -> Description:
    """The description with what the signatures say, read in the package's own environment."""
    handlers = {
        name: function.handler
        for name, function in declared.description.functions.items()
        if function.handler is not None
    }
    env: dict[str, str] = {}
    for function in declared.description.functions.values():
        env |= {name: value for name, value in function.env.items() if isinstance(value, str)}
    try:
        answers = signature.read(
            found.python.python,
            found.python.visible,
            found.python.runner,
            found.snapshot.folder,
            handlers,
            env,
            notify,
        )
    except signature.UnreadableError as error:
        failed = {"error": {"type": None, "error": str(error)}}
        answers = dict.fromkeys(handlers, failed)
    return with_signatures(declared, answers)


def _compile_snapshot(interpreter: interpreters.Interpreter, taken: Snapshot) -> None:
    """Byte-compile the snapshot, so that no run compiles the package's own modules again."""
    with writable(taken.folder):
        bytecode.compile_folder(interpreter, taken.folder)
