"""Images built from a Dockerfile, once for what they are made from, and found again by that digest."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kedge import digest, home
from kedge.data import Data
from kedge.engine.look import Engine
from kedge.engine.programs import call
from kedge.environment import folders, images
from kedge.environment.image import Image
from kedge.errors import EnvironmentFailed, PackageError, Where
from kedge.package.dockerfile import Instruction, bases, instructions
from kedge.package.dockerignore import leaves_out, parse

Notify = Callable[[str], None]

LABEL_DIGEST: Final = "kedge.digest"
LABEL_HOME: Final = "kedge.home"
LABEL_SOURCE: Final = "kedge.source"

_LAYOUT: Final = 1  # of how images are made; another number builds all of them anew
_OWN_FOLDERS: Final = ("in", "out", "scratch")  # a snapshot's mount points
_STEP: Final = re.compile(r"^(?:\[\d+/\d+\] )?STEP (\d+)/(\d+)\s*: (.+)$", re.IGNORECASE)
_BUILDKIT: Final = re.compile(r"^#\d+ \[(?:[^\]]* )?(\d+)/(\d+)\] (.+)$")
_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o644, 0o755, 0o755


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
    ground = [
        images.pulled(engine, base, recipe.platform, notify, timeout).id
        for base in bases(found.instructions, recipe.arguments)
    ]
    name = digest.of_json(
        [
            _LAYOUT,
            home.home(),  # another home's image is not this one's to count on, nor to remove
            found.context_digest(),
            found.dockerfile_digest,
            sorted(recipe.arguments.items()),
            ground,
            recipe.platform or engine.platform,
        ]
    )
    tag = f"kedge/{_repository(recipe.package)}:{name[:16]}"
    known = _known(engine, tag, name)
    if known is not None:
        return known, False
    guard = os.path.join(home.home(), "images", ".held", f"{engine.kind}-{name}")
    waiting = "waiting for another process that builds this image"
    with folders.held(guard, timeout, lambda: notify(waiting)) as owned:
        if not owned:
            raise EnvironmentFailed(
                f"another process has been building the image of `{recipe.package}` for {timeout:g} s",
                hint="wait for it, or end it",
            )
        known = _known(engine, tag, name)
        if known is not None:
            return known, False
        notify(f"building the image of {recipe.package}")
        _build(engine, recipe, found, tag, name, notify, detail, timeout)
    made = _known(engine, tag, name)
    if made is None:
        raise EnvironmentFailed(
            f"{engine.kind} built `{tag}` and does not have it",
            hint=f"see what `{engine.kind} images` says",
        )
    return made, True


def remove_superseded(engine: Engine, recipe: Recipe, current: Image) -> None:
    """Remove the images of the same package that `current` takes the place of and nobody uses."""
    done = call(
        engine.path, "images", "--quiet", "--no-trunc",
        "--filter", f"label={LABEL_HOME}={home.home()}",
        "--filter", f"label={LABEL_SOURCE}={_source(recipe)}",
    )  # fmt: skip
    for one in {line.strip() for line in done.out.splitlines()} - {"", current.id}:
        name = one if one.startswith("sha256:") else f"sha256:{one}"
        if name != current.id:
            call(engine.path, "rmi", name)  # refused while a container uses it


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
        with open(path, encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.instructions = instructions(self.text)
        self.dockerfile_digest = hashlib.sha256(self.text.encode()).hexdigest()
        self._patterns = parse(self._ignored(path))

    def files(self) -> Iterator[str]:
        """Paths relative to the context of the files and links that go in, and of empty folders."""
        for inside, names, plain in os.walk(self.root):
            names.sort()
            if inside == self.recipe.folder:
                names[:] = [name for name in names if name not in _OWN_FOLDERS]
            links = [name for name in names if os.path.islink(os.path.join(inside, name))]
            for name in sorted((*plain, *links)):
                path = os.path.relpath(os.path.join(inside, name), self.root)
                if not leaves_out(self._patterns, path):
                    yield path

    def context_digest(self) -> str:
        """Names what goes into the build: paths, contents, and which files can be executed."""
        found = []
        for path in self.files():
            full = os.path.join(self.root, path)
            if os.path.islink(full):
                found.append([path, "link", os.readlink(full)])
            else:
                kind = "program" if os.access(full, os.X_OK) else "file"
                found.append([path, kind, digest.of_file(full)])
        return digest.of_json(found)

    def copy(self, place: str) -> None:
        """Lay the context out in a new folder, with the modes that files commonly have."""
        os.mkdir(place, _FOLDER_MODE)
        for path in self.files():
            source, target = os.path.join(self.root, path), os.path.join(place, path)
            os.makedirs(os.path.dirname(target), mode=_FOLDER_MODE, exist_ok=True)
            if os.path.islink(source):
                os.symlink(os.readlink(source), target)
                continue
            shutil.copyfile(source, target)
            os.chmod(target, _PROGRAM_MODE if os.access(source, os.X_OK) else _FILE_MODE)

    def _ignored(self, dockerfile: str) -> str:
        for place in (f"{dockerfile}.dockerignore", os.path.join(self.root, ".dockerignore")):
            try:
                with open(place, encoding="utf-8", errors="replace") as file:
                    return file.read()
            except OSError:
                continue
        return ""


def _build(
    engine: Engine,
    recipe: Recipe,
    found: _Found,
    tag: str,
    name: str,
    notify: Notify,
    detail: Notify,
    timeout: float,
) -> None:
    watch = _Steps(found.instructions, recipe.package, notify, detail)
    with folders.temporary(os.path.join(home.home(), "building")) as place:
        context, dockerfile = os.path.join(place, "context"), os.path.join(place, "Dockerfile")
        found.copy(context)
        folders.write_file(dockerfile, found.text)
        command = [
            *(engine.path, "build", "--file", dockerfile, "--tag", tag),
            *("--force-rm", "--pull=false" if engine.kind == "docker" else "--pull-never"),
            *(f"--label={key}={value}" for key, value in _labels(recipe, name).items()),
            *(f"--build-arg={key}={value}" for key, value in recipe.arguments.items()),
            *(() if recipe.platform is None else ("--platform", recipe.platform)),
            context,
        ]
        said, code = images.spoken(
            command, watch.line, timeout, f"building the image of `{recipe.package}`"
        )
    if code != 0:
        raise watch.failure(said, os.path.join(recipe.source, recipe.dockerfile))


class _Steps:
    """Follows a build in what the engine says of it."""

    def __init__(
        self, found: list[Instruction], package: str, notify: Notify, detail: Notify
    ) -> None:
        self._instructions = found
        self._package = package
        self._notify = notify
        self._detail = detail
        self._at: Instruction | None = None
        self._next = 0

    def line(self, text: str) -> None:
        """Take note of one line."""
        self._detail(text)
        match = _STEP.match(text) or _BUILDKIT.match(text)
        if match is None:
            return
        self._at = self._instruction(match[3])
        self._notify(f"building {self._package}: step {match[1]} of {match[2]}: {match[3][:60]}")

    def failure(self, said: list[str], dockerfile: str) -> EnvironmentFailed:
        """The error of a build that ended at the last instruction seen."""
        why = said[-1].strip() if said else "no reason given"
        at = self._at
        return EnvironmentFailed(
            f"the image of `{self._package}` could not be built"
            + (f": `{at.word} {at.text[:100]}` failed" if at is not None else "")
            + f": {why}",
            where=Where(os.path.normpath(dockerfile), at.line if at is not None else None),
            hint="the last lines that the build wrote: "
            + " | ".join(line.strip() for line in said[-8:]),
            evidence={"said": said},
        )

    def _instruction(self, text: str) -> Instruction | None:
        """The instruction that a step stands for: the next one with its words."""
        wanted = " ".join(text.split())
        for start in (self._next, 0):
            for position in range(start, len(self._instructions)):
                one = self._instructions[position]
                if " ".join(f"{one.word} {one.text}".split()) == wanted:
                    self._next = position + 1
                    return one
        return None


def _known(engine: Engine, tag: str, name: str) -> Image | None:
    found = images.find(engine, tag)
    return found if found is not None and found.labels.get(LABEL_DIGEST) == name else None


def _labels(recipe: Recipe, name: str) -> dict[str, str]:
    return {
        LABEL_DIGEST: name,
        LABEL_HOME: home.home(),
        LABEL_SOURCE: _source(recipe),
        "kedge.package": recipe.package,
    }


def _source(recipe: Recipe) -> str:
    return f"{recipe.source}#{recipe.dockerfile}#{recipe.context}"


def _repository(package: str) -> str:
    """A package's name as a repository may be called."""
    name = re.sub(r"[^a-z0-9]+", "-", package.lower()).strip("-")
    return name or "package"
