"""The container engines of this machine, each with the base image that the tests run on."""

import fcntl
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kedge.engine import KINDS
from kedge.engine.look import Engine, look
from kedge.environment import images

IMAGE = "localhost/kedge-test/debian:bookworm"
SUPPORT = Path(__file__).parents[1] / "support"


def there(kind: str) -> Engine:
    """An engine that works and has the base image; without one the test is skipped."""
    found = look(kind)
    if found.engine is None:
        pytest.skip(f"{kind}: {found.reason}")
    require(found.engine, IMAGE)
    return found.engine


def require(engine: Engine, image: str) -> None:
    """The engine must have an image that `./prime` makes."""
    if images.find(engine, image) is None:
        pytest.skip(f"{engine.kind} does not have {image}: `./prime` makes it")


_ALONE: list[str] = []  # the engines that this process has for itself


@contextmanager
def alone(kind: str) -> Iterator[None]:
    """Podman is one test's at a time: its list fails while somebody removes an image. Docker is everybody's."""
    if kind != "podman" or kind in _ALONE:
        yield
        return
    with open(f"/tmp/kedge-test-{kind}-{os.geteuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _ALONE.append(kind)
        try:
            yield
        finally:
            _ALONE.remove(kind)


def remove_images(kind: str, home: Path) -> None:
    """Remove the images that an engine has of a Kedge home, and what stands on them."""
    if look(kind).engine is None:
        return
    with alone(kind):
        own = ("--quiet", "--filter", f"label=kedge.home={home}")
        found = subprocess.run([kind, "images", *own], capture_output=True, text=True, check=False)
        if ids := found.stdout.split():
            subprocess.run([kind, "rmi", "--force", *ids], capture_output=True, check=False)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Docker, then Podman."""
    with alone(request.param):
        yield there(request.param)


@pytest.fixture
def containers(engine: Engine, kedge_home: Path) -> Callable[[], list[str]]:
    """Tells the names of this Kedge home's containers, in whatever state."""

    def names() -> list[str]:
        filtered = ("--filter", f"label=kedge.home={kedge_home}")
        done = subprocess.run(
            [engine.path, "ps", "--all", "--format", "{{.Names}}", *filtered],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    return names


@pytest.fixture
def cleared(kedge_home: Path) -> Iterator[None]:
    """No image of the test's home stays, on either engine."""
    yield
    for kind in KINDS:
        remove_images(kind, kedge_home)


# Cleared, since what stands on a base goes first.
@pytest.fixture
def built_base(kedge_home: Path, tmp_path: Path, cleared: None) -> Iterator[Callable[..., str]]:
    """Builds a base image in an engine, from instructions on top of an image, under a name no registry has."""
    made: list[tuple[Engine, str]] = []

    def build(engine: Engine, base: str, instructions: str) -> str:
        folder = tmp_path / f"base-{len(made)}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM {base}\n{instructions}\n")
        name = f"kedge-test-base:{kedge_home.parent.name.lower()[:60]}-{os.getpid()}-{len(made)}"
        subprocess.run(
            [engine.path, "build", "--tag", name, folder], check=True, capture_output=True
        )
        made.append((engine, name))
        return name

    yield build
    for engine, name in made:
        subprocess.run([engine.path, "rmi", "--force", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def home_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Makes a Kedge home that all workers share, by its name; the last one to leave removes its agent and images."""
    base, worker = tmp_path_factory.getbasetemp(), os.environ.get("PYTEST_XDIST_WORKER", "")
    marks: list[tuple[Path, Path]] = []

    def home(name: str) -> Path:
        place = (base.parent if worker else base) / f"{name}-home"
        mark = place.with_name(f"{name}-users") / f"worker-{worker}"
        for folder in (place, mark.parent):
            folder.mkdir(exist_ok=True)
        mark.touch()
        marks.append((place, mark))
        return place

    yield home
    for place, mark in marks:
        mark.unlink(missing_ok=True)  # one of this module may have asked for it more than once
        if any(mark.parent.iterdir()):
            continue
        words = [sys.executable, "-m", "kedge", "agent", "stop"]  # its containers go with it
        env = os.environ | {"KEDGE_HOME": str(place)}
        subprocess.run(words, env=env, capture_output=True, check=True)
        for kind in KINDS:
            remove_images(kind, place)


@pytest.fixture(scope="session")
def killing() -> SimpleNamespace:
    """tests/support/killing.py, which no import path leads to."""
    return SimpleNamespace(**runpy.run_path(str(SUPPORT / "killing.py")))


@pytest.fixture
def registry(engine: Engine) -> Iterator[Any]:
    """A repository of the test's own in the registry that everybody may pull from."""
    yield from _repository("open", engine)


@pytest.fixture
def private_registry(engine: Engine) -> Iterator[Any]:
    """A repository of the test's own in the registry that wants a login."""
    yield from _repository("private", engine)


def _repository(kind: str, engine: Engine) -> Iterator[Any]:
    support = runpy.run_path(str(SUPPORT / "image_registry.py"))
    if reason := support["missing"](kind):
        pytest.skip(reason)
    made = support["Registry"](kind)
    try:
        yield made
    finally:
        subprocess.run([engine.path, "rmi", "--force", *made.ids], capture_output=True)
        made.clear()


@pytest.fixture
def any_engine() -> Engine:
    """The first engine that works, for what does not depend on which it is."""
    return there(next((kind for kind in KINDS if look(kind).engine is not None), KINDS[0]))


@pytest.fixture
def base_image() -> Callable[[Engine, str], str]:
    """Tells the base image of a Debian release, which the engine must have."""

    def name(engine: Engine, suite: str) -> str:
        image = f"localhost/kedge-test/debian:{suite}"
        require(engine, image)
        return image

    return name
