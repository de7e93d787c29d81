"""Who a program of an image is, and whose its files are: `user: image`, `writable: true`, as whoever tests."""

import json
import os
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

SUPPORT = Path(__file__).parents[1] / "support"
USER = 12345
MANIFEST = """\
name: users
runtime: {{kind: image, image: "{image}"{more}}}
functions:
  who:
    entrypoint: [sh, -c, "{who}"]
    inputs: {{}}
    outputs: {{uid: Integer, home: String}}
  writes:
    entrypoint: [sh, -c, "{writes}"]
    inputs: {{given: File}}
    outputs: {{word: File}}
  fails:
    entrypoint: [sh, -c, "{writes}; exit 3"]
    inputs: {{given: File}}
    outputs: {{}}
  layer:
    entrypoint: [sh, -c, "set -e; [ ! -e /var/kept ]; echo 1 > /var/kept; {who}"]
    inputs: {{}}
    outputs: {{uid: Integer, home: String}}
"""
WHO = (
    "set -e; grep() { while read name value; do [ $name != CapEff: ] || [ $value = 0000000000000000 ];"
    " done; }; grep < /proc/self/status; : > $HOME/mark;"
    r" echo '{\"uid\": '$(id -u)', \"home\": \"'$HOME'\"}' > /workspace/out/data.json"
)
# Everything closed to others, and two names of one file.
WRITES = (
    "set -e; umask 077; cd /workspace; mkdir -p out/artifacts/closed scratch/closed /tmp/closed;"
    " cat in/files/given* > out/files/word; ln out/files/word out/artifacts/closed/other;"
    " echo x > scratch/closed/x; echo x > /tmp/closed/x; echo '{}' > out/data.json"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Engine, str], str]]:
    """Makes an image with a user and a HOME."""
    tar = tmp_path_factory.mktemp("image") / "root.tar"
    runpy.run_path(str(SUPPORT / "small_image.py"))["write"](tar)
    made: dict[tuple[str, str], str] = {}

    def make(engine: Engine, user: str) -> str:
        if (engine.path, user) not in made:
            name = f"localhost/kedge-test/users:{os.getpid()}-{len(made)}"
            changes = ("--change", f"USER {user}", "--change", "ENV HOME=/tmp")
            subprocess.run(
                [engine.path, "import", *changes, tar, name], capture_output=True, check=True
            )
            made[engine.path, user] = name
        return made[engine.path, user]

    yield make
    for (path, _), name in made.items():
        subprocess.run([path, "rmi", "--force", name], capture_output=True)


@pytest.fixture
def package(
    engine: Engine, images: Callable[[Engine, str], str], tmp_path: Path
) -> Callable[..., Path]:
    """Writes a package whose image has this user, with `more` in its runtime."""

    def write(more: str, user: str = f"{USER}:{USER}") -> Path:
        folder = tmp_path / "users"
        folder.mkdir()
        text = MANIFEST.format(image=images(engine, user), more=more, who=WHO, writes=WRITES)
        (folder / "kedge.yml").write_text(text)
        return folder

    return write


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """An input that only its owner may read."""
    path = tmp_path / "given.txt"
    path.write_text("word")
    path.chmod(0o600)
    return path


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_it_is_an_account_that_owns_nothing_whatever_the_image_says(
    kedge_alone: Any, engine: Engine, package: Callable[..., Path]
) -> None:
    found = kedge_alone("run", package(""), "who", "--json", "--executor", engine.kind).json
    assert found["uid"] not in (0, USER)
    assert found["home"] == "/workspace/scratch"


@pytest.mark.parametrize("user", [USER, 0])
def test_it_is_the_images_user_where_that_is_asked_for(
    kedge_alone: Any, engine: Engine, package: Callable[..., Path], user: int
) -> None:
    folder = package(", user: image", f"{user}:{user}")
    assert (
        kedge_alone("run", folder, "who", "--json", "--executor", engine.kind).json["uid"] == user
    )


@pytest.mark.parametrize("user", [USER, 0])
def test_closed_files_of_the_images_user_are_the_callers_afterwards(
    kedge_alone: Any,
    engine: Engine,
    package: Callable[..., Path],
    kedge_home: Path,
    given: Path,
    tmp_path: Path,
    user: int,
) -> None:
    folder = package(", user: image", f"{user}:{user}")
    words = [f"given={given}", "--executor", engine.kind, "--json"]
    out = tmp_path / "results"
    answer = kedge_alone("run", folder, "writes", *words, "--out", out).json
    assert (out / "word").read_text() == "word"
    assert (out / "artifacts" / "closed" / "other").read_text() == "word"
    assert owners(out) == {os.geteuid()}
    error = kedge_alone("run", folder, "fails", *words, code=1).json["error"]
    assert error["evidence"]["exit_code"] == 3
    for run in (answer["_run"]["id"], error["run"]):
        place = kedge_home / "runs" / run
        assert not (place / "workspace").exists()
        assert owners(place) == {os.geteuid()}


def test_the_caller_can_look_at_a_workspace_that_is_kept(
    kedge_alone: Any,
    engine: Engine,
    package: Callable[..., Path],
    kedge_home: Path,
    given: Path,
) -> None:
    words = [f"given={given}", "--executor", engine.kind, "--json", "--keep"]
    answer = kedge_alone("run", package(", user: image"), "writes", *words).json
    place = kedge_home / "runs" / answer["_run"]["id"] / "workspace"
    assert (place / "scratch" / "closed" / "x").read_text() == "x\n"
    assert owners(place) == {os.geteuid()}


@pytest.mark.parametrize("user", ["", ", user: image"])
def test_a_writable_root_is_a_layer_of_the_runs_own(
    kedge_alone: Any,
    engine: Engine,
    package: Callable[..., Path],
    containers: Callable[[], list[str]],
    user: str,
) -> None:
    folder = package(f", writable: true{user}", "0:0")
    for _ in range(2):  # the second finds nothing of the first
        ended = kedge_alone(
            "run", folder, "layer", "--json", "--executor", engine.kind, code=0 if user else 1
        )
        found = json.loads(ended.out)
        if user:
            assert found["home"] == "/tmp"
        else:  # the folder belongs to the image's root
            assert found["error"]["kind"] == "function_error"
    assert not containers()
