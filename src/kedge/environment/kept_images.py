"""Images that Kedge made: named by what they are made from, made once, removed when nobody needs them.

The engine keeps them, and its own list says which there are. A folder of the same name in Kedge's home is
what their users hold, so that no clean-up takes an image from a run that is about to start.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from kedge import home
from kedge.data import Data, field
from kedge.engine.look import Engine
from kedge.engine.programs import call
from kedge.environment import folders, images
from kedge.environment.image import Image
from kedge.errors import EnvironmentFailed, Unavailable
from kedge.package import holding

FOLDER: Final = "images"
LABEL_BASE: Final = "kedge.base"
LABEL_DIGEST: Final = "kedge.digest"
LABEL_HOME: Final = "kedge.home"
LABEL_PACKAGE: Final = "kedge.package"
LABEL_SOURCE: Final = "kedge.source"

_LAYOUT: Final = 1  # of how images are made; another number makes all of them anew
_SHOWN: Final = 16  # hex digits of a digest in a tag; the label has all
_STANDALONE: Final = "deploy-"  # before them, in the tag of an image that no clean-up removes
_PODMANS: Final = "localhost/"  # what Podman puts before a tag without a registry
Notify = Callable[[str], None]


class Wanted(Data):
    """An image that is to be there.

    Args:
        name: the digest of all that decides what is in it, from `name_of`.
        package: what its repository is called after.
        source: what it belongs to: of one source only the last image is kept.
        bases: the ids of what it is built on, by the references that its Dockerfile has for them.
        standalone: whether it is made to be taken elsewhere; no clean-up removes it then.
    """

    name: str
    package: str
    source: str
    bases: Mapping[str, str] = field(default_factory=dict)
    standalone: bool = False

    @property
    def tag(self) -> str:
        """What the engine knows it by."""
        front = _STANDALONE if self.standalone else ""
        return _tag(self.package, f"{front}{self.name[:_SHOWN]}")

    def labels(self) -> Mapping[str, str]:
        """What is written on it."""
        return {
            LABEL_BASE: " ".join(self.bases.values()),
            LABEL_DIGEST: self.name,
            # One that stands alone is nobody's, nor has it the label of what it is built on.
            LABEL_HOME: "" if self.standalone else home.home(),
            LABEL_PACKAGE: self.package,
            LABEL_SOURCE: self.source,
        }


class Made(Data):
    """One of the images that Kedge made, as its engine lists it.

    Args:
        engine: its kind.
        id: the engine's name for it.
        name, source: as in `Wanted`.
        size: bytes that it takes besides what it is built on.
        created: when, as engines write it.
    """

    engine: str
    id: str
    name: str
    source: str
    size: int
    created: str


def name_of(engine: Engine, made_from: Iterable[object]) -> str:
    """The digest that names what is made from `made_from`, for this engine and this home.

    Another home's image is not this one's to count on, nor to remove.
    """
    from kedge import digest

    return digest.of_json([_LAYOUT, engine.kind, home.home(), *made_from])


def held_by(name: str) -> str:
    """The folder that those hold who use the image of that digest."""
    return os.path.join(home.home(), FOLDER, name)


def find(engine: Engine, wanted: Wanted) -> Image | None:
    """The image if it is there, kept from clean-ups from now on if they would remove it."""
    folder = held_by(wanted.name)
    while (found := images.find(engine, wanted.tag)) is not None:
        if found.labels.get(LABEL_DIGEST) != wanted.name:
            return None
        if wanted.standalone or holding.hold(folder):
            return found
        os.makedirs(folder, mode=0o700, exist_ok=True)  # held, it is looked for again
    return None


def made_once(
    engine: Engine,
    wanted: Wanted,
    make: Callable[[], None],
    notify: Notify,
    timeout: float,
) -> tuple[Image, bool]:
    """The image, and whether it was made just now.

    Two who want the same at once make it once. What was stopped in the middle is no image: it gets its name
    when it is whole.

    Args:
        engine: where.
        wanted: which.
        make: makes it under its tag and labels.
        notify: told in words what is being waited for.
        timeout: seconds to wait for another process.

    Raises:
        EnvironmentFailed: it is not there after it was made, or another process takes too long.
    """
    if (known := find(engine, wanted)) is not None:
        return known, False
    guard = os.path.join(home.home(), FOLDER, ".held", wanted.name)
    waiting = "waiting for another process that builds this image"
    with folders.held(guard, timeout, lambda: notify(waiting)) as owned:
        if not owned:
            raise EnvironmentFailed(
                f"another process has been building the image of `{wanted.package}` for {timeout:g} s",
                hint="wait for it, or end it",
            )
        if (known := find(engine, wanted)) is not None:
            return known, False
        make()
        if (made := find(engine, wanted)) is not None:
            return made, True
    raise EnvironmentFailed(
        f"{engine.kind} built `{wanted.tag}` and does not have it",
        hint=f"see what `{engine.kind} images` says",
    )


def listed(engine: Engine, *, source: str | None = None, name: str | None = None) -> list[Made]:
    """The images that this home made, all or those of one source or name; none that stands alone.

    What somebody else built on one of them inherits its labels, but not its tag, and is none.

    Raises:
        Unavailable: the engine does not list them.
    """
    wanted = {LABEL_HOME: home.home(), LABEL_SOURCE: source, LABEL_DIGEST: name}
    wanted = {label: value for label, value in wanted.items() if value is not None}
    # Podman lists what has one of several labels, Docker what has all: so each is looked at again below.
    filters = [
        word for key, value in wanted.items() for word in ("--filter", f"label={key}={value}")
    ]
    entries = _told(engine, filters)
    sizes = {_id(one["Id"]): int(one.get("Size") or 0) for one in entries}
    found = []
    for one in entries:
        labels = (one.get("Config") or {}).get("Labels") or {}
        tags = _own_tags(one.get("RepoTags") or (), labels)
        if not tags or any(labels.get(label) != value for label, value in wanted.items()):
            continue
        below = [_size(engine, base, sizes) for base in labels.get(LABEL_BASE, "").split()]
        found.append(
            Made(
                engine=engine.kind,
                id=_id(one["Id"]),
                name=labels.get(LABEL_DIGEST, ""),
                source=labels.get(LABEL_SOURCE, ""),
                size=max(0, sizes[_id(one["Id"])] - max(below, default=0)),
                created=str(one.get("Created", "")),
            )
        )
    return found


def remove_superseded(engine: Engine, current: Image, source: str) -> None:
    """Remove the images that `current` takes the place of and nobody uses, as far as the engine can now."""
    with suppress(Unavailable):
        for one in listed(engine, source=source):
            if one.id != current.id:
                remove(engine, one)


def remove(engine: Engine, made: Made, needed: Callable[[], bool] = lambda: False) -> bool:
    """Remove an image unless somebody holds it; whether it was removed.

    Args:
        engine: where it is.
        made: from `listed`.
        needed: asked when nobody can come to hold it any more; True leaves it where it is.
    """
    folder = held_by(made.name)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with holding.alone(folder) as free:
        # An engine refuses while a container uses it, or another image stands on it.
        if not free or needed() or call(engine.path, "rmi", made.id).code != 0:
            return False
        folders.remove(folder)
    return True


def _told(engine: Engine, filters: Iterable[str]) -> list[Any]:
    """What an engine tells of each image that it lists."""
    for wait_s in images.AGAIN_S:
        time.sleep(wait_s)
        done = call(engine.path, "images", "--quiet", "--no-trunc", *filters)
        ids = sorted(set(done.out.split()))
        if done.code == 0 and ids:
            done = call(engine.path, "image", "inspect", *ids)
        if done.code == 0:
            with suppress(ValueError):
                return list(json.loads(done.out)) if ids else []
    raise Unavailable(
        f"{engine.kind} does not list its images: {done.said}",
        hint=f"see what `{engine.kind} images` says",
    )


def _tag(package: str, version: str) -> str:
    repository = re.sub(r"[^a-z0-9]+", "-", package.lower()).strip("-") or "package"
    return f"kedge/{repository}:{version}"


def _own_tags(tags: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """Those of an image's tags that its labels say it was made under."""
    name, package = labels.get(LABEL_DIGEST, ""), labels.get(LABEL_PACKAGE, "")
    own = _tag(package, name[:_SHOWN])
    return [tag for tag in tags if name and tag.removeprefix(_PODMANS) == own]


def _size(engine: Engine, base: str, known: dict[str, int]) -> int:
    if base not in known:
        found = images.find(engine, base)
        known[base] = found.size if found is not None else 0
    return known[base]


def _id(text: str) -> str:
    return text if text.startswith("sha256:") else f"sha256:{text}"
