"""Packages of kind dockerfile, on each engine: built once for what they are made of."""

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

BASE = "localhost/kedge-test/debian"  # and the tag is an argument of the Dockerfile

MANIFEST = """\
name: built
runtime: {kind: dockerfile, dockerfile: ./Dockerfile}
functions:
  f:
    entrypoint: [/opt/f.sh, one]
    inputs: {}
    outputs: {said: String}
  g:
    entrypoint: [/opt/f.sh, two]
    inputs: {}
    outputs: {said: String}
"""

SCRIPT = """\
#!/bin/sh
echo "{\\"said\\": \\"$1 $(cat /opt/data.txt)\\"}" > /workspace/out/data.json
"""

DOCKERFILE = f"""\
# what is built
ARG BASE=bookworm
FROM {BASE}:${{BASE}}
RUN echo made \\
    > /opt/data.txt
COPY f.sh /opt/f.sh
ENTRYPOINT ["/bin/false"]
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose image two functions share; the image's own entry point would fail."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "kedge.yml").write_text(MANIFEST)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "f.sh").write_text(SCRIPT)
    (folder / "f.sh").chmod(0o755)
    (folder / ".dockerignore").write_text("kedge.yml\n*.log\n")
    return folder


@pytest.fixture(autouse=True)
def removed(engine: Engine, kedge_home: Path, containers: Any) -> Any:
    """What a test built is removed."""
    yield
    assert containers() == []
    subprocess.run([engine.path, "rmi", "--force", *tags(engine, kedge_home)], capture_output=True)


def tags(engine: Engine, home: Path) -> list[str]:
    """The images that a Kedge home has built."""
    filtered = ("--filter", f"label=kedge.home={home}")
    done = subprocess.run(
        [engine.path, "images", "--format", "{{.Repository}}:{{.Tag}}", *filtered],
        capture_output=True,
        text=True,
        check=True,
    )
    return [one for one in done.stdout.split() if "<none>" not in one]


def test_it_is_built_once_and_shared(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path
) -> None:
    def run(function: str) -> Any:
        return kedge_alone("run", package, function, "--executor", engine.kind, "--json")

    first = run("f")
    assert first.json["said"] == "one made"
    assert "preparing: building" in first.err
    assert run("g").json["said"] == "two made"
    (tag,) = tags(engine, kedge_home)
    # What .dockerignore leaves out is no reason to build again, nor is what only the manifest says.
    (package / "notes.log").write_text("new")
    (package / "kedge.yml").write_text(MANIFEST.replace("one]", "changed]"))
    again = run("f")
    assert again.json["said"] == "changed made" and "preparing: building" not in again.err
    assert tags(engine, kedge_home) == [tag]
    # What is in it is one, and the image before goes.
    (package / "f.sh").write_text(SCRIPT.replace("$1", "$1!"))
    assert run("f").json["said"] == "changed! made"
    (other,) = tags(engine, kedge_home)
    assert other != tag


def test_it_takes_the_place_of_no_other_packages_image(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(package, other)
    (other / "f.sh").write_text(SCRIPT.replace("$1", "$1!"))
    for folder, said in ((package, "one made"), (other, "one! made")):
        ended = kedge_alone("run", folder, "f", "--executor", engine.kind, "--json")
        assert ended.json["said"] == said
    assert len(tags(engine, kedge_home)) == 2


def test_the_instruction_that_fails_is_named_with_its_line(
    kedge_alone: Any, engine: Engine, package: Path
) -> None:
    text = DOCKERFILE.replace("COPY", "RUN echo before && cat /nowhere\nCOPY")
    (package / "Dockerfile").write_text(text)
    ended = kedge_alone("run", package, "f", "--executor", engine.kind, "--json", code=3)
    error = ended.json["error"]
    assert error["code"] == "environment_error"
    assert "`RUN echo before && cat /nowhere` failed" in error["message"]
    assert error["where"] == f"{package / 'Dockerfile'}:6"
    assert "No such file" in " ".join(error["evidence"]["said"])


def test_two_at_once_build_it_once(
    kedge_alone: Any, kedge_home: Path, engine: Engine, package: Path
) -> None:
    said: list[Any] = []

    def run() -> None:
        said.append(kedge_alone("run", package, "f", "--executor", engine.kind, "--json"))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.json["said"] for one in said] == ["one made"] * 3
    assert sum("step 1 of" in one.err for one in said) == 1
    assert len(tags(engine, kedge_home)) == 1


def test_a_new_package_runs_and_passes_its_own_test(
    kedge_alone: Any, engine: Engine, tmp_path: Path, kedge_home: Path, base_image: Any
) -> None:
    folder = tmp_path / "new one"
    kedge_alone("init", folder, "--kind", "dockerfile")
    text = (folder / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(
        text.replace("debian:bookworm-slim", base_image(engine, "bookworm"))
    )
    ended = kedge_alone("test", folder, "--executor", engine.kind)
    assert "1 passed" in ended.err + ended.out
    # Nor does a new test case build it anew.
    (folder / "tests" / "area.json").write_text('[{"inputs": {"width": 2, "height": 4}}]')
    again = kedge_alone("test", folder, "--executor", engine.kind)
    assert "building" not in again.err
    (tag,) = tags(engine, kedge_home)
    # Its image is one that a package of kind image can name.
    other = tmp_path / "other"
    kedge_alone("init", other, "--kind", "image", "--image", tag)
    manifest = (other / "kedge.yml").read_text().replace("/opt/other/", "/opt/new-one/")
    (other / "kedge.yml").write_text(manifest)
    run = kedge_alone(
        "run", other, "area", "width=2", "height=3", "--executor", engine.kind, "--json"
    )
    assert run.json["area"] == 6
