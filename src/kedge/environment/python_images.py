"""Python environments in images: a base image with a Python, Debian packages, what a lock names, and commands.

The packages are chosen and installed by uv on this machine, for the platform and the Python of the base, and
laid in as a layer. Only what has no wheel for it is built in the image, by its own pip: there a build can do this
machine no harm, and finds the Debian packages. A package's own code is no part of it.
"""

import os
from collections.abc import Callable
from typing import Final

from kedge import home
from kedge.data import Data, replace
from kedge.engine.look import Engine
from kedge.environment import (
    base_python,
    bytecode,
    folders,
    image_uses,
    images,
    interpreters,
    kept_images,
    python,
    runner,
)
from kedge.environment.base_python import DECLARED, BasePython
from kedge.environment.building import build
from kedge.environment.image import Image
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock
from kedge.environment.lockfile import Entry
from kedge.environment.python_recipe import (
    COMMANDS,
    FOLDER,
    SOURCES,
    Recipe,
    dockerfile,
    in_their_terms,
    readable,
)
from kedge.errors import EnvironmentFailed, Where

RUNNER_FOLDER: Final = "/opt/kedge/runner"  # where the runner is shown to a run in an image

_LAYOUT: Final = 2
_GLIBC: Final = (17, 28, *range(31, 41))  # minor versions that uv has a platform for

Notify = Callable[[str], None]


class PythonImage(Data):
    """An image with a Python environment that is ready.

    Args:
        image: in its engine.
        python: the path of its executable, inside.
        version: exact.
        runner: the path of the runner compiled for it, on this machine.
        compiler: a Python of this machine whose compiled files are the same, None when there is none.
        created: whether it was built just now.
    """

    image: Image
    python: str
    version: str
    runner: str
    compiler: Interpreter | None
    created: bool


def ensure(
    engine: Engine,
    recipe: Recipe,
    lock: Lock,
    source: str,
    notify: Notify = lambda _: None,
    detail: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> PythonImage:
    """The image that a recipe and a lock describe, built if it is not there.

    The one that `source` used before is removed, unless anybody else uses it.

    Args:
        engine: where.
        recipe: the base image, Debian packages and commands.
        lock: from `lock.ensure_lock`.
        source: who wants it, a text that stays the same when the needs change.
        notify: told in words what is being done; `detail` each line that the engine says.
        timeout: seconds, for everything.

    Raises:
        EnvironmentFailed: the base cannot be had or has another Python, a package cannot be installed, or a
            command failed.
    """
    ground = _ground(engine, recipe, notify, timeout)
    base = base_python.find(engine, ground, recipe.minor, recipe.named, notify)
    inside = base.interpreter
    compiled = runner.runner_for(
        inside, ground.id, lambda source: base_python.compiled(engine, ground, inside, source)
    )
    wanted = _wanted(engine, ground, inside, recipe, lock)
    helper = _same_python(inside)

    def make() -> None:
        missing = lock if recipe.is_declared else _without(base, lock)
        notify(f"building an image with Python {inside.version} and {_packages(missing)}")
        with folders.temporary(home.folder(folders.BUILDING)) as place:
            context = os.path.join(place, "context")
            sources = _fill(
                context,
                base,
                missing,
                helper,
                notify,
                timeout,
                sees_base=missing is not lock,
            )
            _write_commands(context, recipe)
            text = dockerfile(recipe, inside, sources=sources, compiled_before=helper is not None)
            try:
                build(
                    engine,
                    wanted,
                    text.encode(),
                    lambda path: os.rename(context, path),
                    shown="Dockerfile that Kedge wrote",
                    notify=lambda said: notify(readable(said, recipe)),
                    detail=detail,
                    timeout=timeout,
                )
            except EnvironmentFailed as error:
                raise in_their_terms(error, recipe, sources) from error

    image, created = kept_images.made_once(engine, wanted, make, notify, timeout)
    image_uses.note(engine, wanted.name, source)
    return PythonImage(image, f"{FOLDER}/bin/python", inside.version, compiled, helper, created)


def wanted(engine: Engine, recipe: Recipe, lock: Lock) -> kept_images.Wanted | None:
    """The image that `ensure` would make, None where the base is not known well enough to tell."""
    ground = images.find(engine, recipe.base)
    if ground is None or not base_python.is_known(ground, recipe.minor):
        return None
    base = base_python.find(engine, ground, recipe.minor, recipe.named)
    return _wanted(engine, ground, base.interpreter, recipe, lock)


def _ground(engine: Engine, recipe: Recipe, notify: Notify, timeout: float) -> Image:
    try:
        return images.pulled(engine, recipe.base, None, notify, timeout)
    except EnvironmentFailed as error:
        if not recipe.is_declared:
            raise
        raise EnvironmentFailed(
            error.message, where=Where(path=DECLARED), hint=error.hint, evidence=error.evidence
        ) from error


def _wanted(
    engine: Engine, ground: Image, inside: Interpreter, recipe: Recipe, lock: Lock
) -> kept_images.Wanted:
    made_from = (
        *("python", _LAYOUT, ground.id, ground.platform, inside.version),
        *(lock.digest, *recipe.decides()),
    )
    name = kept_images.name_of(engine, made_from)
    return kept_images.Wanted(name, f"python-{inside.minor}", "", {recipe.base: ground.id})


def _without(base: BasePython, lock: Lock) -> Lock:
    """The lock without what the base has in just the locked version; the lock itself where that is nothing."""
    entries = lock.entries()
    missing = tuple(one for one in entries if base.distributions.get(one.name) != one.version)
    return lock if missing == entries else replace(lock, text=_lines(missing))


def _packages(lock: Lock) -> str:
    number = len(lock.entries())
    return f"{number} package{'' if number == 1 else 's'}"


def _write_commands(context: str, recipe: Recipe) -> None:
    place = os.path.join(context, COMMANDS)
    if recipe.commands:
        folders.make_folder(place)
    for number, command in enumerate(recipe.commands, 1):
        folders.write_file(os.path.join(place, str(number)), f"{command}\n", 0o644)


def _fill(
    place: str,
    base: BasePython,
    lock: Lock,
    helper: Interpreter | None,
    notify: Notify,
    timeout: float,
    *,
    sees_base: bool,
) -> tuple[str, ...]:
    """Lay out the environment as it is to be in the image; the packages that must be built there."""
    inside = base.interpreter
    made = os.path.join(place, "environment")
    site = os.path.join(made, inside.purelib)
    folders.make_folder(site)
    sources: tuple[Entry, ...] = ()
    if not lock.is_empty:
        options = ["--target", site, "--python", (helper or _own()).path]
        options += ["--python-version", inside.version]
        options += ["--python-platform", _platform(base)]
        sources = _install(lock, place, options, inside.version, notify, timeout)
    scripts = os.path.join(made, "bin")
    if os.path.isdir(os.path.join(site, "bin")):
        os.rename(os.path.join(site, "bin"), scripts)
    else:
        folders.make_folder(scripts)
    python.frame(inside, lock, made, installed_by=(helper or _own()).path, sees_base=sees_base)
    python.open_to_all(made)
    if helper is not None and not bytecode.link_known(helper, made):
        bytecode.finish(helper, made, "wait", notify)
    for name in ("requirements.txt", "uv.toml"):
        if os.path.exists(os.path.join(place, name)):
            os.unlink(os.path.join(place, name))
    if sources:
        folders.write_file(os.path.join(place, SOURCES), _lines(sources))
    return tuple(entry.name for entry in sources)


def _install(
    lock: Lock, place: str, options: list[str], version: str, notify: Notify, timeout: float
) -> tuple[Entry, ...]:
    """Install what has a wheel; the rest."""
    wheels, sources = lock.entries(), tuple[Entry, ...]()
    while wheels:
        rest = replace(lock, text=_lines(wheels)) if sources else lock
        try:
            python.install(rest, place, options, version, notify, timeout)
        except EnvironmentFailed as error:
            evidence = error.evidence or {}
            without = [one for one in wheels if one.name == evidence.get("package")]
            if evidence.get("reason") != "no-wheel" or not without:
                raise
            sources += tuple(without)
            wheels = tuple(one for one in wheels if one not in without)
        else:
            break
    return sources


def _lines(entries: tuple[Entry, ...]) -> str:
    """Entries as a requirements file has them."""
    return "".join(
        " \\\n    ".join([entry.requirement, *(f"--hash={one}" for one in entry.hashes)]) + "\n"
        for entry in entries
    )


def _own() -> Interpreter:
    import sys

    return interpreters.find(f"{sys.version_info.major}.{sys.version_info.minor}")


def _same_python(inside: Interpreter) -> Interpreter | None:
    """A Python of this machine whose compiled files are the same, None when there is none."""
    try:
        found = interpreters.find(inside.minor)
    except EnvironmentFailed:
        return None
    same = (found.magic, found.cache_tag, found.purelib)
    return found if same == (inside.magic, inside.cache_tag, inside.purelib) else None


def _platform(base: BasePython) -> str:
    """What uv calls the platform of a Python in an image."""
    machine = base.interpreter.platform.removeprefix("linux-")
    name, version = base.libc
    numbers = version.split(".")
    if name != "glibc" or len(numbers) < 2 or not numbers[1].isdigit():
        return f"{machine}-unknown-linux-musl"
    fitting = [one for one in _GLIBC if one <= int(numbers[1])]
    return f"{machine}-manylinux_2_{fitting[-1] if fitting else _GLIBC[0]}"
