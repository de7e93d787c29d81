"""What preparing a package would do, as data; nothing is built, pulled or resolved."""

from typing import Any

from kedge.environment import builds, images, kept_images, python, python_images
from kedge.environment.lock import Lock
from kedge.errors import LockError
from kedge.executor import Executor
from kedge.package.snapshot import Snapshot
from kedge.package.source import PackageSource
from kedge.run import needs
from kedge.run.declared import Declared, declare
from kedge.run.prepare import engine_of, image_executor, python_recipe_of, recipe_of

_READY = "ready"


def plan(source: PackageSource, executor: str | None = None) -> dict[str, Any]:
    """What preparing the package would do and why.

    Args:
        source: the package.
        executor: the kind of executor that was asked for.
    """
    declared, taken = declare(source)
    found: dict[str, Any] = {
        "package": declared.description.name,
        "snapshot": taken.digest,
    }
    if declared.requirements is None:
        chosen = image_executor(executor).executor
        return found | {"engine": chosen.kind} | _of_image(declared, source, taken, chosen)
    container = needs.container(declared, executor)
    if container is not None:
        return found | {"engine": container.kind} | _in_image(declared, source, container)
    return found | _on_machine(declared, source)


def _on_machine(declared: Declared, source: PackageSource) -> dict[str, Any]:
    interpreter, requirements = needs.on_machine(source, declared)
    found: dict[str, Any] = {
        "python": f"{interpreter.version} ({interpreter.path})",
        "requirements": ", ".join(requirements.strings) or None,
    }
    try:
        known = needs.lock_of(source, declared, requirements, interpreter, mode="locked")
    except LockError as error:
        return found | _unresolved(error)
    environment = python.find(interpreter, known)
    return found | {
        "lock": known.path,
        "environment": python.environment_digest(interpreter, known),
        "state": _READY if environment else "would be built: no environment has this digest",
    }


def _in_image(declared: Declared, source: PackageSource, executor: Executor) -> dict[str, Any]:
    requirements = needs.in_image(source, declared)
    recipe = python_recipe_of(declared, requirements)
    found: dict[str, Any] = {
        "base": recipe.base,
        "python": requirements.python,
        "requirements": ", ".join(requirements.strings) or None,
        "system": ", ".join(recipe.system) or None,
        "commands": "; ".join(recipe.commands) or None,
    }
    try:
        known: Lock = needs.lock_of(source, declared, requirements, None, mode="locked")
    except LockError as error:
        return found | _unresolved(error)
    found["lock"] = known.path
    wanted = python_images.wanted(engine_of(executor), recipe, known)
    if wanted is None:
        return found | {"state": f"would be built: {recipe.base} was not asked for its Python yet"}
    return found | _state(executor, wanted)


def _of_image(
    declared: Declared, source: PackageSource, taken: Snapshot, executor: Executor
) -> dict[str, Any]:
    engine, runtime = engine_of(executor), declared.description.runtime
    if runtime["kind"] == "image":
        there = images.find(engine, runtime["image"])
        return {
            "image": runtime["image"],
            "digest": there.digest if there is not None else None,
            "state": _READY if there is not None else f"would be pulled by {engine.kind}",
        }
    recipe = recipe_of(declared, source, taken)
    found: dict[str, Any] = {"dockerfile": recipe.dockerfile, "context": recipe.context}
    missing = [base for base in builds.bases(recipe) if images.find(engine, base) is None]
    if missing:
        return found | {"state": f"would be built: {', '.join(missing)} would be pulled first"}
    return found | _state(executor, builds.wanted(engine, recipe))


def _state(executor: Executor, wanted: kept_images.Wanted) -> dict[str, Any]:
    there = kept_images.find(engine_of(executor), wanted)
    return {
        "image": wanted.tag,
        "id": there.id if there is not None else None,
        "state": _READY if there is not None else "would be built: no image has this digest",
    }


def _unresolved(error: LockError) -> dict[str, Any]:
    return {"lock": f"would be resolved: {error.message}", "state": "would be built"}
