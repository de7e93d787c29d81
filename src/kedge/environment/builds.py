"""Images built from a Dockerfile, once for what they are made from, and found again by that digest."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kedge.data import Data
from kedge.engine.look import Engine
from kedge.environment import build_context, building, images, kept_images
from kedge.environment.image import Image
from kedge.errors import PackageError, Where
from kedge.package import dockerfile
from kedge.package.dockerignore import Pattern, leaves_out, parse

Notify = Callable[[str], None]

_OWN_FOLDERS: Final = ("in", "out", "scratch")  # a snapshot's mount points
_IGNORE_FILE: Final = ".dockerignore"


class Recipe(Data):
    """What an image is built from.

    Args:
        package: the package's name.
        source: where the package is, for messages and labels.
        folder: the package's snapshot.
        dockerfile, context: paths below it.
        arguments: values of the Dockerfile's ARGs.
        platform: None for the engine's own.
    """

    package: str
    source: str
    folder: str
    dockerfile: str
    context: str
    arguments: Mapping[str, str]
    platform: str | None = None


def built(
    engine: Engine,
    recipe: Recipe,
    notify: Notify = lambda _: None,
    detail: Notify = lambda _: None,
    timeout: float = 3600.0,
) -> tuple[Image, bool]:
    """The image of a recipe, and whether it was built just now.

    Two who want the same at once build it once. What was stopped in the middle is no image: it gets its
    name when it is whole.

    Args:
        engine: where.
        recipe: what from.
        notify: told in words what is being done; `detail` each line that the engine says.
        timeout: seconds, for everything.

    Raises:
        PackageError: there is no such Dockerfile or context.
        EnvironmentFailed: a base cannot be had, or an instruction failed.
    """
    found = _Found(recipe)
    wanted = _wanted(engine, found, notify, timeout)

    def make() -> None:
        notify(f"building the image of {recipe.package}")
        building.build(
            engine,
            wanted,
            found.content,
            lambda place: build_context.copy(found.root, found.files(), place),
            shown=os.path.normpath(os.path.join(recipe.source, recipe.dockerfile)),
            arguments=recipe.arguments,
            platform=recipe.platform,
            notify=notify,
            detail=detail,
            timeout=timeout,
        )

    image, created = kept_images.made_once(engine, wanted, make, notify, timeout)
    if created:
        kept_images.remove_superseded(engine, image, wanted.source)
    return image, created


def bases(recipe: Recipe) -> list[str]:
    """The images that it is built from, by their references.

    Raises:
        PackageError: there is no such Dockerfile or context.
    """
    return dockerfile.bases(_Found(recipe).instructions, recipe.arguments)


def wanted(engine: Engine, recipe: Recipe) -> kept_images.Wanted:
    """The image that a recipe makes; what it is built on is pulled if it is not there."""
    return _wanted(engine, _Found(recipe), lambda _: None, 3600.0)


def _wanted(engine: Engine, found: "_Found", notify: Notify, timeout: float) -> kept_images.Wanted:
    recipe = found.recipe
    below = {
        base: images.pulled(engine, base, recipe.platform, notify, timeout).id
        for base in dockerfile.bases(found.instructions, recipe.arguments)
    }
    made_from = (
        build_context.digest_of(found.root, found.files()),
        found.dockerfile_digest,
        sorted(recipe.arguments.items()),
        tuple(below.values()),
        recipe.platform or engine.platform,
    )
    name = kept_images.name_of(engine, made_from)
    return kept_images.Wanted(name, recipe.package, _source(recipe), below)


class _Found:
    """The files of a recipe: those that go into the build, and its Dockerfile."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.root = os.path.normpath(os.path.join(recipe.folder, recipe.context))
        path = os.path.normpath(os.path.join(recipe.folder, recipe.dockerfile))
        for place, what in ((path, "dockerfile"), (self.root, "context")):
            if not os.path.exists(place):
                raise PackageError(
                    f"the package has no `{getattr(recipe, what)}`",
                    where=Where(path=f"runtime.{what}"),
                    hint="check its path, and that no ignore file leaves it out",
                )
        with open(path, "rb") as file:
            self.content = file.read()
        self.instructions = dockerfile.instructions(self.content.decode(errors="replace"))
        self.dockerfile_digest = hashlib.sha256(self.content).hexdigest()
        self._ignore_file = self._find_ignore_file(path)
        self._patterns = self._read_ignore_file()

    def files(self) -> Iterator[str]:
        """Paths relative to the context of the files and links that go in.

        A snapshot has no empty folders. Docker would apply the context's ignore file after the Dockerfile's
        own one, so then it stays out.
        """
        for inside, names, plain in os.walk(self.root):
            names.sort()
            if inside == self.recipe.folder:
                names[:] = [name for name in names if name not in _OWN_FOLDERS]
            links = [name for name in names if os.path.islink(os.path.join(inside, name))]
            for name in sorted((*plain, *links)):
                path = os.path.relpath(os.path.join(inside, name), self.root)
                if path == _IGNORE_FILE and os.path.join(self.root, path) != self._ignore_file:
                    continue
                if not leaves_out(self._patterns, path):
                    yield path

    def _find_ignore_file(self, path: str) -> str | None:
        """The Dockerfile's own one, or else the context's."""
        both = (f"{path}.dockerignore", os.path.join(self.root, _IGNORE_FILE))
        return next((place for place in both if os.path.isfile(place)), None)

    def _read_ignore_file(self) -> list[Pattern]:
        if self._ignore_file is None:
            return []
        inside = os.path.relpath(self._ignore_file, self.recipe.folder)
        with open(self._ignore_file, "rb") as file:
            return parse(os.fsdecode(file.read()), os.path.join(self.recipe.source, inside))


def _source(recipe: Recipe) -> str:
    return f"{recipe.source}#{recipe.dockerfile}#{recipe.context}"
