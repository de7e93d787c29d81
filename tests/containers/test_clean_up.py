"""What engines keep for a Kedge home is listed, counted and removed by `kedge gc`, and nothing else is."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

IMAGE = "localhost/kedge-test/debian:bookworm"
SHELL = Path(__file__).parents[1] / "packages" / "shell-image"
MANIFEST = """\
name: small
runtime: {kind: dockerfile, dockerfile: Dockerfile}
functions:
  f: {entrypoint: [sh, -c, "echo '{}' > /workspace/out/data.json"], inputs: {}, outputs: {}}
  waits: {entrypoint: [sleep, "60"], inputs: {}, outputs: {}}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with an image of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "kedge.yml").write_text(MANIFEST)
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN head -c 3000000 /dev/urandom > /large\n")
    return folder


def listed(engine: Engine, *words: str) -> list[str]:
    done = subprocess.run([engine.path, *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_an_image_goes_when_nobody_used_it_for_long(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path
) -> None:
    own = f"label=kedge.home={kedge_home}"
    kedge_alone("run", package, "f", "--executor", engine.kind)
    (image,) = listed(engine, "images", "--quiet", "--no-trunc", "--filter", own)
    foreign = listed(engine, "images", "--quiet", IMAGE)  # of others, other tests remove some
    assert foreign
    found = kedge_alone("gc", "--json", "--dry-run").json
    assert "image" not in {one["kind"] for one in found["removed"]}
    assert found["before"] > 3_000_000
    shown = kedge_alone("gc", "--json", "--dry-run", "--max-age", "0m").json
    (entry,) = [one for one in shown["removed"] if one["kind"] == "image"]
    assert entry["size"] >= 3_000_000 and entry["name"].startswith(image[:20])
    assert listed(engine, "images", "--quiet", "--filter", own)
    kedge_alone("gc", "--max-age", "0m")
    assert not listed(engine, "images", "--quiet", "--filter", own)
    assert listed(engine, "images", "--quiet", IMAGE) == foreign
    # And it comes again.
    kedge_alone("run", package, "f", "--executor", engine.kind)
    kedge_alone("gc", "--max-size", "1k")
    assert not listed(engine, "images", "--quiet", "--filter", own)


def test_an_image_in_use_stays(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path
) -> None:
    own = f"label=kedge.home={kedge_home}"
    process = kedge_alone.start("run", package, "waits", "--executor", engine.kind)
    try:
        while not listed(engine, "ps", "--quiet", "--filter", own):
            assert process.poll() is None
        kedge_alone("gc", "--max-age", "0m")
        assert listed(engine, "images", "--quiet", "--filter", own)
        assert listed(engine, "ps", "--quiet", "--filter", own)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    kedge_alone("gc", "--max-age", "0m")
    assert not listed(engine, "images", "--quiet", "--filter", own)


def test_a_container_that_outlived_everything_goes(
    kedge_alone: Any, kedge_home: Path, engine: Engine
) -> None:
    """As after an engine that was away while Kedge settled the run."""
    ended = kedge_alone("run", SHELL, "probe", "--executor", engine.kind, "--json").json
    name = f"kedge-{ended['_run']['id']}"
    labels = ("--label", f"kedge.home={kedge_home}")
    foreign = f"foreign-{os.getpid()}"
    for each, more in ((name, labels), (foreign, ())):
        subprocess.run(
            [engine.path, "create", "--name", each, *more, IMAGE, "true"],
            check=True,
            capture_output=True,
        )
    try:
        found = kedge_alone("gc", "--json").json
        assert [one["name"] for one in found["removed"] if one["kind"] == "container"] == [
            f"{ended['_run']['id']}@{engine.kind}"
        ]
        names = listed(engine, "ps", "--all", "--format", "{{.Names}}")
        assert name not in names and foreign in names
    finally:
        for each in (foreign, name):  # Podman removes none where one of them is not there
            subprocess.run([engine.path, "rm", "--force", each], capture_output=True)


def test_an_image_that_a_run_used_of_late_stays(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path
) -> None:
    """Its last use is that of its last run, whenever it was made."""
    own = f"label=kedge.home={kedge_home}"
    ended = kedge_alone("run", package, "f", "--executor", engine.kind, "--json").json
    record = kedge_alone("show", ended["_run"]["id"], "--json").json
    (image,) = listed(engine, "images", "--quiet", "--no-trunc", "--filter", own)
    assert record["environment"] == (image if ":" in image else f"sha256:{image}")
    kedge_alone("gc", "--max-age", "0m")


def test_what_has_no_record_keeps_its_container(
    kedge_alone: Any, kedge_home: Path, engine: Engine, tmp_path: Path
) -> None:
    """Signatures are read in a container of no run."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "kedge.yml").write_text(
        'name: slow\nruntime: {kind: python, version: "3.11", requirements: false}\n'
        'functions: {f: {handler: "slow:f"}}\n'
    )
    (folder / "slow.py").write_text("import time\ntime.sleep(4)\ndef f() -> int:\n    return 1\n")
    process = kedge_alone.start("run", folder, "f", "--executor", engine.kind, "--json")
    for raw in process.stderr:
        if b"reading signatures" in raw:
            break
    own = ("--filter", f"label=kedge.home={kedge_home}")
    while not listed(engine, "ps", "--quiet", *own):
        assert process.poll() is None
    found = kedge_alone("gc", "--json").json
    assert "container" not in {one["kind"] for one in found["removed"]}
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert json.loads(out)["result"] == 1
    kedge_alone("gc", "--max-age", "0m")
