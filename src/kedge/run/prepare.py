"""From a package's folder to everything a run of it needs: description, environment, snapshot, runner.

Compiled once and found again by digest: what a manifest declares by the snapshot's digest, what the
signatures say by that, the environment's and the runner's.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from kedge import settings
from kedge.data import Data, replace
from kedge.engine import KINDS
from kedge.environment import bytecode, interpreters, lock, python
from kedge.environment.runner import runner_for
from kedge.errors import Unavailable
from kedge.executor import Choice, Executor, choose
from kedge.package.snapshot import Snapshot, snapshot, writable
from kedge.package.source import PackageSource
from kedge.run import cache, needs, signature
from kedge.run.declared import Declared, declare
from kedge.run.described import says_all, with_signatures
from kedge.run.description import Description
from kedge.run.ground import ImageGround, PythonGround

if TYPE_CHECKING:
    from kedge.engine.look import Engine
    from kedge.environment import builds
    from kedge.environment.python_recipe import Recipe
    from kedge.environment.requirements import Requirements

Notify = Callable[[str], None]


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
    def image(self) -> ImageGround | None:
        """The image that runs need, None where none does."""
        return self.ground if isinstance(self.ground, ImageGround) else self.ground.inside

    @property
    def python(self) -> PythonGround:
        """The ground of Python code on this machine.

        Raises:
            Unavailable: it stands on an image.
        """
        if isinstance(self.ground, PythonGround) and self.ground.inside is None:
            return self.ground
        raise Unavailable(
            f"`{self.description.name}` stands on an image, and this works without one only",
            hint="`docker run -it` or `podman run -it` opens a shell in an image; `kedge show` names it",
        )


def prepare(
    source: PackageSource,
    notify: Notify = lambda _: None,
    *,
    mode: Literal["auto", "locked"] = "auto",
    compile: Literal["background", "wait"] = "background",
    executor: str | None = None,
    detail: Notify = lambda _: None,
) -> Prepared:
    """Everything that a run of the package needs, found or made.

    Args:
        source: from `kedge.package.source.open_package`.
        notify: told in words what is being done or waited for.
        mode: `locked` refuses to resolve again.
        compile: whether to wait until everything is byte-compiled.
        executor: the kind of executor that was asked for; an image must be in its engine.
        detail: told what an engine says, line by line.

    Raises:
        ManifestError, PackageError: the package is wrong.
        LockError: the lock is out of date and `mode` is `locked`.
        EnvironmentFailed: its environment cannot be made.
        Unavailable: its kind of runtime cannot run here.
    """
    declared, taken = declare(source)
    if declared.requirements is None:
        return _on_image(declared, source, taken, notify, executor, detail)
    engine = needs.container(declared, executor)
    interpreter: interpreters.Interpreter | None
    if engine is None:
        found, interpreter = _on_machine(declared, source, taken, notify, mode, compile)
    else:
        found, interpreter = _in_image(declared, source, taken, notify, mode, engine, detail)
    ground = found.ground
    assert isinstance(ground, PythonGround)
    place = cache.place(
        "described", found.snapshot.digest, found.environment, ground.visible[-1], source.root
    )
    if (known := cache.load(place)) is not None:
        return replace(found, description=Description.from_json(known))
    if interpreter is not None:
        _compile_snapshot(interpreter, found.snapshot)
    if says_all(declared, found.snapshot.folder):
        cache.store(place, found.description.to_json())
        return found
    from kedge.package.outline import outline  # which parses: only what is new comes this far

    # Other bodies of functions are no other signatures.
    alike = None
    if (shape := outline(found.snapshot.folder)) is not None:
        alike = cache.place("alike", shape, found.environment, ground.visible[-1], source.root)
        if (known := cache.load(alike)) is not None:
            cache.store(place, known)
            return replace(found, description=Description.from_json(known))
    description = _described(declared, found, ground, notify)
    if all(function.unread is None for function in description.functions.values()):
        # What failed may do better next time: with another setting, or when the machine is less busy.
        for one in (place, alike):
            if one is not None:
                cache.store(one, description.to_json())
    return replace(found, description=description)


def _on_machine(
    declared: Declared,
    source: PackageSource,
    taken: Snapshot,
    notify: Notify,
    mode: Literal["auto", "locked"],
    compile: Literal["background", "wait"],
) -> tuple[Prepared, interpreters.Interpreter]:
    """A Python package with an environment on this machine."""
    interpreter, requirements = needs.on_machine(source, declared)
    locked = needs.lock_of(source, declared, requirements, interpreter, notify, mode=mode)
    if needs.is_new(locked, source, taken):
        taken = snapshot(source.root)
    environment = python.ensure(
        interpreter,
        locked,
        notify,
        needs.build_timeout(declared),
        compile=compile,
        allow_builds=settings.get("environment.allow_builds"),
    )
    runner = runner_for(interpreter)
    ground = PythonGround(
        interpreter=interpreter.version,
        python=environment.python,
        visible=(*environment.visible, os.path.dirname(runner)),
        runner=runner,
        lock=locked.path,
    )
    found = Prepared(
        description=declared.description,
        snapshot=taken,
        environment=environment.digest,
        ground=ground,
        created=environment.created,
    )
    return found, interpreter


def _in_image(
    declared: Declared,
    source: PackageSource,
    taken: Snapshot,
    notify: Notify,
    mode: Literal["auto", "locked"],
    executor: Executor,
    detail: Notify,
) -> tuple[Prepared, interpreters.Interpreter | None]:
    """A Python package with its environment in an image of the executor's engine."""
    from kedge.environment import python_images

    requirements = needs.in_image(source, declared)
    locked = needs.lock_of(source, declared, requirements, None, notify, mode=mode)
    if needs.is_new(locked, source, taken):
        taken = snapshot(source.root)
    made = python_images.ensure(
        engine_of(executor),
        python_recipe_of(declared, requirements),
        locked,
        source.identity or source.root,
        notify,
        detail,
        needs.build_timeout(declared),
    )
    ground = PythonGround(
        interpreter=made.version,
        python=made.python,
        visible=(os.path.dirname(made.runner),),
        runner=f"{python_images.RUNNER_FOLDER}/{os.path.basename(made.runner)}",
        lock=locked.path,
        inside=ImageGround(executor.kind, made.image),
    )
    found = Prepared(
        description=declared.description,
        snapshot=taken,
        environment=made.image.id,
        ground=ground,
        created=made.created,
    )
    return found, made.compiler


def _on_image(
    declared: Declared,
    source: PackageSource,
    taken: Snapshot,
    notify: Notify,
    asked: str | None,
    detail: Notify,
) -> Prepared:
    """A package of kind `image` or `dockerfile`, with its image in the engine that will run it."""
    from kedge.environment import builds, images

    executor = image_executor(asked).executor
    engine = engine_of(executor)
    runtime, timeout = declared.description.runtime, needs.build_timeout(declared)
    if runtime["kind"] == "image":
        image, created = images.ready(
            engine, runtime["image"], runtime.get("platform"), notify, timeout
        )
        digest = image.digest
    else:
        recipe = recipe_of(declared, source, taken)
        image, created = builds.built(engine, recipe, notify, detail, timeout)
        digest = image.id  # no registry has it
    return Prepared(
        description=declared.description,
        snapshot=taken,
        environment=digest,
        ground=ImageGround(executor.kind, image),
        created=created,
    )


def recipe_of(declared: Declared, source: PackageSource, taken: Snapshot) -> "builds.Recipe":
    """What the image of a package of kind `dockerfile` is built from."""
    from kedge.environment import builds

    runtime = declared.description.runtime
    return builds.Recipe(
        package=declared.description.name,
        source=source.root,
        folder=taken.folder,
        dockerfile=runtime["dockerfile"],
        context=runtime["context"],
        arguments=runtime.get("build_args") or {},
        platform=runtime.get("platform"),
    )


def python_recipe_of(declared: Declared, requirements: "Requirements") -> "Recipe":
    """What the image of a package of kind `python` is made of, besides its lock."""
    from kedge.environment.python_recipe import Recipe

    runtime, minor = declared.description.runtime, requirements.python
    base = runtime.get("base_image")
    return Recipe(
        base=base or settings.get("images.base").replace("{version}", minor),
        minor=minor,
        is_declared=bool(base),
        system=tuple(runtime.get("system") or ()),
        commands=tuple(runtime.get("commands") or ()),
    )


def engine_of(executor: Executor) -> "Engine":
    """The engine of a container executor, as far as it still works."""
    from kedge.engine.look import look

    found = look(executor.kind)
    if found.engine is None:  # it has gone since it was chosen
        raise Unavailable(f"{executor.kind} does not work here: {found.reason}", hint=found.hint)
    return found.engine


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
        prepared = prepare(source, notify)
        if not says_all(declared, prepared.snapshot.folder):
            return prepared.description
        # Runs do without; here it shows what of it cannot be imported, and what does not fit.
        assert isinstance(prepared.ground, PythonGround)
        return _described(declared, prepared, prepared.ground, notify)
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
    if needs.of_containers(declared):
        interpreter, requirements = None, needs.in_image(source, declared)
    else:
        interpreter, requirements = needs.on_machine(source, declared)
    return needs.lock_of(source, declared, requirements, interpreter, notify, upgrade=upgrade)


def _described(
    declared: Declared, found: Prepared, ground: PythonGround, notify: Notify
) -> Description:
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
            ground.python,
            ground.root,
            ground.runner,
            found.snapshot.folder,
            handlers,
            env,
            notify,
            ground.inside.engine if ground.inside is not None else None,
        )
    except signature.UnreadableError as error:
        failed = {"error": {"type": None, "error": str(error)}}
        answers = dict.fromkeys(handlers, failed)
    return with_signatures(declared, answers)


def _compile_snapshot(interpreter: interpreters.Interpreter, taken: Snapshot) -> None:
    """Byte-compile the snapshot, so that no run compiles the package's own modules again."""
    with writable(taken.folder):
        bytecode.compile_folder(interpreter, taken.folder)
