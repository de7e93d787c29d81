"""Ignore files of a build: Kedge leaves out what the engines leave out, and they leave out no more."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine
from kedge.package.dockerignore import leaves_out, parse

BASE = "localhost/kedge-test/debian:bookworm"

FILES = """\
.dockerignore .hidden #hash !bang [x] a b.log x.log keep.log ab axb axxb ax/b ax/y/b bx cx é/é.txt
d/a.md d/keep.md d/keep.log d/.log data/big.med data/keep/me data/keep/not docs/a/b/c docs/b docs.txt
src/one.c src/one.o src/lib/two.o src/lib/two.c up/x up.txt xfoo foo e/foo e/xfoo
"""

# What both engines take alike.
ALIKE = """\
# words
*.log
!keep.log
**/*.o
data
!data/keep
data/keep/not
docs/**
 /src/lib/
!src/lib/two.c
../up.txt
up/../cx
[ab]x
\\[x]
é
#hash
a?b
e/**/foo
d/*.md
!d/keep.md
"""

# What Docker has its own code for, and old Podmans another.
DOCKER = """\
**.log
a**b
**foo
**/*.md
!d
"""

MANIFEST = """\
name: ignoring
runtime: {kind: dockerfile, dockerfile: ./Dockerfile}
functions:
  f:
    entrypoint: [/bin/sh, -c, 'cp /data.json /workspace/out/data.json']
    inputs: {}
    outputs: {there: String}
"""


@pytest.mark.parametrize(
    ("engine", "patterns"),
    [("docker", ALIKE), ("podman", ALIKE), ("docker", DOCKER)],
    indirect=["engine"],
)
def test_kedge_leaves_out_what_the_engine_does(
    engine: Engine, tmp_path: Path, patterns: str
) -> None:
    context = tmp_path / "context"
    for name in FILES.split():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
    (context / ".dockerignore").write_text(patterns)
    files = [path for path in context.rglob("*") if path.is_file()]
    names = {str(path.relative_to(context)) for path in files}
    ours = {name for name in names if not leaves_out(parse(patterns), name)}
    assert ours != names
    assert listing(engine, tmp_path, context) == ours


def listing(engine: Engine, folder: Path, context: Path) -> set[str]:
    """The files of a context that an engine copies, asked without Kedge."""
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nCOPY . /context\n")
    made = folder / "id"
    build = ("build", "--file", folder / "Dockerfile", "--iidfile", made, context)
    subprocess.run([engine.path, *build], check=True, capture_output=True)
    image = made.read_text().strip()
    find = ("find", "/context", "-type", "f", "-printf", "%P\\n")
    try:
        once = ("run", "--rm", "--network", "none", image, *find)
        done = subprocess.run([engine.path, *once], check=True, capture_output=True, text=True)
    finally:
        subprocess.run([engine.path, "rmi", "--force", image], capture_output=True, check=True)
    return set(done.stdout.splitlines())


def test_the_dockerfile_s_own_ignore_file_counts_alone(
    kedge_alone: Any, kedge_home: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "ignoring"
    folder.mkdir()
    (folder / "kedge.yml").write_text(MANIFEST)
    (folder / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY . /context\n"
        'RUN echo "{\\"there\\": \\"$(ls /context | tr "\\n" " ")\\"}" > /data.json\n'
    )
    (folder / "Dockerfile.dockerignore").write_text("kedge.yml\nDockerfile*\ntwo\n")
    (folder / ".dockerignore").write_text("one\n")
    (folder / ".containerignore").write_text("three\n")
    for name in ("one", "two", "three"):
        (folder / name).write_text(name)
    try:
        ended = kedge_alone("run", folder, "f", "--executor", engine.kind, "--json")
        assert ended.json["there"] == "one three "
        (folder / "Dockerfile.dockerignore").unlink()
        ended = kedge_alone("run", folder, "f", "--executor", engine.kind, "--json")
        assert ended.json["there"] == "Dockerfile kedge.yml three two "
    finally:
        label = f"label=kedge.home={kedge_home}"
        ids = subprocess.run(
            [engine.path, "images", "--quiet", "--filter", label], capture_output=True, text=True
        )
        subprocess.run([engine.path, "rmi", "--force", *ids.stdout.split()], capture_output=True)
