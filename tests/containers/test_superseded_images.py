"""The image that a Python package used before goes when nobody else uses it; nobody's image goes meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

pytestmark = pytest.mark.usefixtures("cleared")

MANIFEST = """\
name: superseded
runtime: {{kind: python, version: "3.11", requirements: false, commands: ["echo {word} > /opt/word"]}}
functions:
  f: {{handler: "words:f"}}
  waits: {{handler: "words:waits"}}
"""
CODE = """\
import sys
import time
from pathlib import Path

def f() -> str:
    return Path("/opt/word").read_text().strip()

def waits() -> str:
    print("begun", file=sys.stderr, flush=True)
    time.sleep(600)
    return f()
"""


BUILT = """\
name: built
runtime: {kind: dockerfile, dockerfile: Dockerfile}
functions:
  f: {entrypoint: [sh, -c, "echo '{}' > /workspace/out/data.json"], inputs: {}, outputs: {}}
"""


class Packages:
    """Packages of which each has an image that says a word, on one engine."""

    def __init__(self, engine: Engine, folder: Path, home: Path, kedge: Any) -> None:
        self.engine, self.folder, self.home, self.kedge = engine, folder, home, kedge

    def write(self, name: str, word: str) -> Path:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        (place / "words.py").write_text(CODE)
        (place / "kedge.yml").write_text(MANIFEST.format(word=word))
        return place

    def run(self, name: str, word: str) -> None:
        place = self.write(name, word)
        ended = self.kedge("run", place, "f", "--executor", self.engine.kind, "--json")
        assert ended.json["result"] == word

    def images(self) -> set[str]:
        own = f"label=kedge.home={self.home}"
        return set(self.asked("images", "--quiet", "--no-trunc", "--filter", own))

    def asked(self, *words: str) -> list[str]:
        done = subprocess.run(
            [self.engine.path, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def later(self) -> None:
        """As if the notes of uses had been written a while ago."""
        for note in (self.home / "image-uses").glob("*.json"):
            os.utime(note, (note.stat().st_atime, note.stat().st_mtime - 3600))


@pytest.fixture
def packages(engine: Engine, tmp_path: Path, kedge_home: Path, kedge_alone: Any) -> Packages:
    return Packages(engine, tmp_path, kedge_home, kedge_alone)


def test_the_image_of_before_goes_once_no_package_uses_it(packages: Packages) -> None:
    packages.run("one", "a")
    (first,) = packages.images()
    packages.run("two", "a")
    assert packages.images() == {first}
    packages.run("one", "b")
    assert len(packages.images()) == 2 and first in packages.images()
    packages.run("two", "b")
    (second,) = packages.images()
    assert second != first
    # And what is used stays, however often.
    packages.later()
    packages.run("one", "b")
    assert packages.images() == {second}


def test_the_image_of_a_run_that_goes_on_stays_and_goes_after_it(packages: Packages) -> None:
    place = packages.write("one", "a")
    going_on = packages.kedge.start("run", place, "waits", "--executor", packages.engine.kind)
    try:
        for line in going_on.stderr:
            if line == b"begun\n":
                break
        (first,) = packages.images()
        packages.run("one", "b")
        assert first in packages.images()
        packages.later()
        packages.run("one", "b")
        assert first in packages.images()
    finally:
        going_on.send_signal(signal.SIGINT)
        going_on.communicate(timeout=60)
    packages.later()
    packages.run("one", "b")
    (second,) = packages.images()
    assert second != first


def test_what_somebody_else_built_on_an_image_is_not_kedges(packages: Packages) -> None:
    packages.run("one", "a")
    (first,) = packages.images()
    tag = f"kedge-test-derived:{os.getpid()}"
    (packages.folder / "Dockerfile").write_text(f"FROM {own_tag(packages, first)}\nENV A=1\n")
    packages.asked("build", "--quiet", "--tag", tag, str(packages.folder))
    (derived,) = packages.asked("image", "inspect", "--format", "{{.Id}}", tag)
    try:
        packages.run("one", "b")
        packages.kedge("gc", "--max-age", "0m")
        assert packages.asked("image", "inspect", "--format", "{{.Id}}", tag) == [derived]
    finally:
        subprocess.run([packages.engine.path, "rmi", "--force", tag], capture_output=True)


def own_tag(packages: Packages, image: str) -> str:
    (tag,) = packages.asked(
        "image", "inspect", "--format", "{{range .RepoTags}}{{.}} {{end}}", image
    )
    return tag


# Goes from image to image of one source, or of two, and needs each that it was given.
WANDERS = """\
import os, subprocess, sys
from kedge.engine.look import look
from kedge.environment import image_uses, kept_images
from kedge.environment.building import build

kind, base, source, words = sys.argv[1:]
engine = look(kind).engine
for word in words:
    wanted = kept_images.Wanted(kept_images.name_of(engine, [word]), "wanders", "")
    text = f"FROM {base}\\nENV WORD={word}\\n".encode()
    image, _ = kept_images.made_once(
        engine, wanted,
        lambda: build(engine, wanted, text, os.mkdir, shown="it", timeout=120),
        lambda _: None, 120,
    )
    image_uses.note(engine, wanted.name, source)
    command = [engine.path, "run", "--rm", "--network", "none", image.id, "sh", "-c"]
    done = subprocess.run([*command, f"test $WORD = {word}"], capture_output=True, text=True)
    assert done.returncode == 0, done
"""


def test_no_run_loses_its_image_to_another(
    engine: Engine, packages: Packages, base_image: Any
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def start(source: str, words: str) -> subprocess.Popen[bytes]:
        told = (engine.kind, base_image(engine, "bookworm"), source, words)
        return subprocess.Popen(
            [sys.executable, "-c", WANDERS, *told], env=environment, stderr=subprocess.PIPE
        )

    def wait(*processes: subprocess.Popen[bytes]) -> None:
        said = [process.communicate(timeout=300)[1].decode() for process in processes]
        assert [(one.returncode, words) for one, words in zip(processes, said, strict=True)] == [
            (0, "")
        ] * len(processes)

    ways = (("one", "abcab"), ("one", "bacbc"), ("other", "cabca"), ("other", "acbac"))
    wait(*[start(*way) for way in ways])
    # Whoever comes next leaves no more than what the two sources use.
    for source in ("one", "other"):
        packages.later()
        wait(start(source, "a"))
    assert len(packages.images()) == 1


def test_a_package_with_a_dockerfile_leaves_the_images_of_others(
    packages: Packages, base_image: Any
) -> None:
    def built(name: str, word: str) -> str:
        """The image that a run of this package made."""
        place = packages.folder / name
        place.mkdir(exist_ok=True)
        (place / "Dockerfile").write_text(f"FROM {base}\nENV WORD={word}\n")
        (place / "kedge.yml").write_text(BUILT)
        before = packages.images()
        packages.kedge("run", place, "f", "--executor", packages.engine.kind)
        (made,) = packages.images() - before
        return made

    base = base_image(packages.engine, "bookworm")
    packages.run("one", "a")
    (first,) = packages.images()
    second, third = built("two", "a"), built("three", "a!")
    assert packages.images() == {first, second, third}
    newer = built("two", "b")
    assert packages.images() == {first, newer, third}
