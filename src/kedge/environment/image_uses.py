"""Which Python image each source used last, so that what all have left is removed and nothing else.

Packages with the same needs share an image: it belongs to none of them, and no label could say who uses it. So
each source has a small file that does. A source is a text that stays the same while what it needs changes: a
package's folder, a function's place.
"""

import json
import os
import time
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from typing import Final

from kedge import digest, home
from kedge.data import Data, asdict, field, replace
from kedge.engine.look import Engine
from kedge.environment import folders, kept_images
from kedge.errors import Unavailable
from kedge.package import holding

FOLDER: Final = "image-uses"

# An engine refuses while a container stands on an image, and one that is kept warm outlives its runs by minutes;
# so does another image, for years. What is not gone then is left to `kedge gc`.
_AGAIN_S: Final = 60.0
_TRIES: Final = 10
_WAIT_S: Final = 10.0  # for another process that writes the same small file


class Use(Data):
    """What a source uses in one engine.

    Args:
        engine: its kind.
        source: who uses it.
        image: the name (`kept_images.Wanted`) of the image that it used last.
        left: of those that it used before and that may still be there, how often their removal was tried.
    """

    engine: str
    source: str
    image: str
    left: dict[str, int] = field(default_factory=dict)


def note(engine: Engine, image: str, source: str) -> None:
    """Take note that `source` uses an image, and remove those that it used before and nobody uses.

    Not removed is what any process holds (a run of the same source that goes on, say), and what another source
    used last. Where nothing changed this costs the reading of a small file.

    Args:
        engine: where the image is.
        image: its name, from `kept_images.Wanted`; the caller holds it.
        source: who uses it, a text that stays the same when its needs change.

    Raises:
        StoreError: the note cannot be written.
    """
    place = os.path.join(home.home(), FOLDER, f"{digest.of_json([engine.kind, source])}.json")
    known = _read(place)
    if known is None or known.image != image:
        known = _changed(place, lambda now: _moved(now, Use(engine.kind, source, image)))
    elif time.time() - _written(place) < _AGAIN_S:
        return
    tried = [one for one in known.left if not holding.is_held(kept_images.held_by(one))]
    if tried:
        gone = {one for one in tried if _is_done(engine, one)}
        _changed(place, lambda now: _without(now or known, tried, gone))


def _moved(before: Use | None, now: Use) -> Use:
    """The use `now` of a source that used another image before."""
    if before is None:
        return now
    left = {**before.left, before.image: 0}
    left.pop(now.image, None)
    return replace(now, left=left)


def _without(use: Use, tried: Container[str], gone: Container[str]) -> Use:
    """The same, once the removal of some images was tried."""
    left = {one: tries + (one in tried) for one, tries in use.left.items() if one not in gone}
    return replace(use, left={one: tries for one, tries in left.items() if tries < _TRIES})


def _is_done(engine: Engine, image: str) -> bool:
    """Whether an image is gone now, or is another source's to remove."""

    def needed() -> bool:
        return any(use.engine == engine.kind and use.image == image for use in _all())

    try:
        return needed() or all(
            kept_images.remove(engine, made, needed)
            for made in kept_images.listed(engine, name=image)
        )
    except Unavailable:  # the engine is slow or busy: that is no reason for a run to fail
        return False


def _changed(place: str, change: Callable[[Use | None], Use]) -> Use:
    """What `change` makes of what is written there, written unless another process is slow to do the same."""
    name, folder = os.path.basename(place), home.folder(FOLDER)
    lock = os.path.join(home.home(), kept_images.FOLDER, ".held", name)
    with folders.writing("the use of an image"), folders.held(lock, _WAIT_S) as owned:
        use = change(_read(place))
        if owned:
            folders.write_file(os.path.join(folder, name), json.dumps(asdict(use)))
    return use


def _all() -> Iterator[Use]:
    folder = os.path.join(home.home(), FOLDER)
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if (use := _read(os.path.join(folder, name))) is not None:
                yield use


def _read(place: str) -> Use | None:
    try:
        with open(place, encoding="utf-8") as file:
            return Use(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def _written(place: str) -> float:
    try:
        return os.stat(place).st_mtime
    except OSError:
        return 0.0
