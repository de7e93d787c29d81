"""Kedge killed in the middle of a build, a run and a cancel: the next command finds nothing left.

What is killed while it pulls is in test_registry.py.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

IMAGE = "localhost/kedge-test/debian:bookworm"
KILLS = 10
MANIFEST = """\
name: slow
runtime: {kind: dockerfile, dockerfile: Dockerfile}
functions:
  f:
    entrypoint: [sh, -c, "cat /word > /workspace/out/data.json"]
    inputs: {}
    outputs: {word: String}
  waits:
    entrypoint: [sh, -c, "trap '' TERM; sleep 61.7 & echo waiting now >&2; wait; wait"]
    inputs: {}
    outputs: {}
    resources: {grace: 2}
"""
DOCKERFILE = """\
FROM {image} AS made
COPY number /number
RUN sleep 0.3; echo '{{"word": "whole"}}' > /word
RUN sleep 0.35 && cat /number
FROM {image}
COPY --from=made /word /word
RUN sleep 0.31 && cat /word
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose image takes a second to build."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "kedge.yml").write_text(MANIFEST)
    (folder / "Dockerfile").write_text(DOCKERFILE.format(image=IMAGE))
    (folder / ".dockerignore").write_text("kedge.yml\n")
    return folder


@pytest.fixture(autouse=True)
def nothing_left(engine: Engine, kedge_home: Path) -> Iterator[None]:
    """Afterwards there is no container of this home, no process of its programs, no unfinished folder."""
    yield
    own = ("--filter", f"label=kedge.home={kedge_home}")
    assert not said(engine, "ps", "--all", "--quiet", *own)
    subprocess.run(["pkill", "-f", "sleep 61.7"], check=False)
    images = said(engine, "images", "--quiet", *own)
    subprocess.run([engine.path, "rmi", "--force", *images], capture_output=True, check=False)
    assert not list((kedge_home / "building").glob("*"))


def said(engine: Engine, *words: str) -> list[str]:
    done = subprocess.run([engine.path, *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


def begun(process: "subprocess.Popen[bytes]", word: bytes) -> None:
    """Wait until it says so."""
    assert process.stderr is not None
    before = b""
    for raw in process.stderr:
        if word in raw:
            return
        before += raw
    pytest.fail(f"it never came to {word!r}: {before.decode()}")


def built(kedge_alone: Any, engine: Engine, package: Path, home: Path) -> tuple[str, str]:
    """Have the image ready; the option that lists what is this home's."""
    (package / "number").write_text("1")
    kedge_alone("build", package, "--executor", engine.kind)
    return ("--filter", f"label=kedge.home={home}")


def test_a_build_that_is_killed_leaves_no_half_image(
    kedge_alone: Any, killing: Any, engine: Engine, package: Path, kedge_home: Path
) -> None:
    cut_off = 0
    for number in range(KILLS):
        (package / "number").write_text(str(number))
        process = kedge_alone.start("build", package, "--executor", engine.kind)
        begun(process, b"step 2 of")
        time.sleep(0.1 * number)
        killing.kill(process, supervisor=number % 2 == 1)
        kedge_alone("gc")  # any command clears up what was killed
        images = said(engine, "images", "--quiet", "--filter", f"label=kedge.home={kedge_home}")
        cut_off += not images
        subprocess.run([engine.path, "rmi", "--force", *images], capture_output=True, check=False)
    assert cut_off > 1
    began = time.monotonic()
    ended = kedge_alone("run", package, "f", "--executor", engine.kind, "--json")
    assert ended.json["word"] == "whole"
    assert time.monotonic() - began < 60  # a lock that is left would be waited for much longer
    if engine.kind == "podman":
        marked = Path("/var/lib/containers/storage").glob("*-containers/*/userdata/buildah.json")
        assert not [one for one in marked if str(kedge_home) in one.read_text()]


def test_a_run_that_is_killed_leaves_no_container(
    kedge_alone: Any, killing: Any, engine: Engine, package: Path, kedge_home: Path
) -> None:
    own = built(kedge_alone, engine, package, kedge_home)
    for number in range(KILLS):
        process = kedge_alone.start("run", package, "waits", "--executor", engine.kind)
        until = time.monotonic() + 60
        while not list((kedge_home / "runs").glob("*/workspace")) and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(0.07 * number)
        killing.kill(process, supervisor=number % 2 == 1)
        while any(one["status"] == "running" for one in kedge_alone("runs", "--json").json):
            assert time.monotonic() < until
        while said(engine, "ps", "--all", "--quiet", *own):  # an engine removes in its own time
            assert time.monotonic() < until
            time.sleep(0.1)
        assert not list((kedge_home / "runs").glob("*/workspace"))
    runs = kedge_alone("runs", "--json").json
    assert len(runs) == KILLS and {one["failure_kind"] for one in runs} == {"lost"}


def test_a_cancel_that_is_killed_cancels_or_leaves_the_run_alone(
    kedge_alone: Any, killing: Any, engine: Engine, package: Path, kedge_home: Path
) -> None:
    own = built(kedge_alone, engine, package, kedge_home)
    for number in range(KILLS):
        process = kedge_alone.start("run", package, "waits", "--executor", engine.kind)
        begun(process, b"waiting now")
        run = next(
            one["id"] for one in kedge_alone("runs", "--json").json if one["status"] == "running"
        )
        stopping = kedge_alone.start("cancel", run)
        time.sleep(0.05 * number)
        stopping.kill()
        stopping.communicate(timeout=60)
        if number % 3 == 2:  # the one that is being cancelled as well
            killing.kill(process, supervisor=True)
        else:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        record = kedge_alone("show", run, "--json").json
        assert record["failure_kind"] == ("lost" if number % 3 == 2 else "cancelled")
        until = time.monotonic() + 120
        while said(engine, "ps", "--all", "--quiet", *own):
            assert time.monotonic() < until
            time.sleep(0.1)
            if record["failure_kind"] == "lost":
                kedge_alone("gc")  # any command looks again for what an engine was too busy for
