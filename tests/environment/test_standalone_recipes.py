"""Images that stand alone: what makes another one of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.data import replace
from kedge.engine.look import Engine
from kedge.environment import standalone
from kedge.environment.image import Image
from kedge.environment.standalone import Recipe

ENGINE = Engine("docker", "/usr/bin/docker", "28", "linux/amd64", False, True, ())
PYTHON = Image(
    "kedge/python:1", "sha256:1", "sha256:1", "linux/amd64", labels={"kedge.digest": "a" * 64}
)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = tmp_path / "files"
    (folder / "data").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    (folder / "data" / "link").symlink_to("../main.py")
    return Recipe("f", PYTHON, str(folder), ("python", "main.py"), 8000, {"A": "b"})


def linked(folder: Path) -> None:
    (folder / "data" / "link").unlink()
    (folder / "data" / "link").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "main.py").write_text("print(2)\n"),
        lambda folder: (folder / "main.py").chmod(0o755),
        lambda folder: (folder / "main.py").rename(folder / "other.py"),
        lambda folder: (folder / "more").touch(),
        linked,
    ],
    ids=["byte", "mode", "name", "file", "link"],
)
def test_another_file_is_another_image(recipe: Recipe, change: Callable[[Path], object]) -> None:
    before = standalone.wanted(ENGINE, recipe)
    change(Path(recipe.folder))
    assert standalone.wanted(ENGINE, recipe).name != before.name


@pytest.mark.parametrize(
    "other",
    [
        {"name": "g"},
        {"entrypoint": ("python", "main.py", "")},
        {"entrypoint": ("pythonmain.py",)},
        {"port": None},
        {"variables": {"A": "c"}},
        {"python": replace(PYTHON, labels={"kedge.digest": "b" * 64})},
    ],
    ids=str,
)
def test_whatever_differs_is_another_image(recipe: Recipe, other: dict[str, object]) -> None:
    assert (
        standalone.wanted(ENGINE, replace(recipe, **other)).name
        != standalone.wanted(ENGINE, recipe).name
    )


def test_what_has_no_meaning_makes_no_other(recipe: Recipe, tmp_path: Path) -> None:
    before = standalone.wanted(ENGINE, recipe)
    assert before.tag == f"kedge/f:deploy-{before.name[:16]}"
    # Times, and the permissions of others; a folder elsewhere; an environment that was made anew.
    os.utime(Path(recipe.folder, "main.py"), (0, 0))
    Path(recipe.folder, "main.py").chmod(0o600)
    elsewhere = tmp_path / "elsewhere"
    Path(recipe.folder).rename(elsewhere)
    same = replace(recipe, folder=str(elsewhere), python=replace(PYTHON, id="sha256:2"))
    assert standalone.wanted(ENGINE, same).name == before.name
