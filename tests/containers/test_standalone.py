"""Images that stand alone: run by an engine without Kedge, found again by their content, removed by nobody."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.data import replace
from kedge.engine.look import Engine
from kedge.environment import standalone
from kedge.environment.image import Image
from kedge.environment.standalone import Recipe
from kedge.errors import PackageError
from kedge.package.source import open_package
from kedge.run.prepare import prepare

pytestmark = pytest.mark.usefixtures("cleared")

MANIFEST = """\
name: alone
runtime: {{kind: python, version: "3.11", requirements: [{requirement}], commands: [{command}]}}
functions: {{f: {{handler: "alone:f"}}}}
"""
PROGRAM = """\
import json, os, sys
from pathlib import Path

import six

for name in ("out/data.json", "out/files/a", "out/artifacts/b", "scratch/c"):
    Path(os.environ["KEDGE_WORKSPACE"], name).write_text("x")
told = {
    "six": six.__version__,
    "arguments": sys.argv[1:],
    "uid": os.getuid(),
    "cwd": os.getcwd(),
    "home": os.environ["HOME"],
    "odd": os.environ["ODD"],
    "data": Path("in/data.json").read_text(),
    "link": os.readlink("link"),
    "own": os.access(".", os.W_OK),
}
print(json.dumps(told))
"""
ODD = """ "a" 'b' $HOME ${HOME:-x} \\ \\n é \\\\$ # """


@pytest.fixture
def environment(engine: Engine, tmp_path: Path) -> Callable[..., Image]:
    """Makes the image of a Python environment."""

    def make(requirement: str = "six==1.16.0", command: str = "'true'") -> Image:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        (folder / "alone.py").write_text("def f() -> int:\n    return 1\n")
        (folder / "kedge.yml").write_text(MANIFEST.format(requirement=requirement, command=command))
        found = prepare(open_package(str(folder)), executor=engine.kind)
        assert found.image is not None
        return found.image.image

    return make


@pytest.fixture
def recipe(environment: Any, tmp_path: Path) -> Recipe:
    folder = tmp_path / "made" / "files"
    (folder / "in").mkdir(parents=True)
    (folder / "main.py").write_text(PROGRAM)
    (folder / "main.py").chmod(0o600)
    (folder / "in" / "data.json").write_text("{}")
    (folder / "link").symlink_to("main.py")
    (folder / ".dockerignore").write_text("*")
    return Recipe(
        "My function",
        environment(),
        str(folder),
        ("python", "main.py", 'an "argument"', "$HOME", "é"),
    )


@pytest.fixture
def built(engine: Engine) -> Iterator[Callable[[Recipe], tuple[Image, bool]]]:
    """Builds images, which go at the end: nothing of Kedge's would remove them."""
    tags = set()

    def build(recipe: Recipe) -> tuple[Image, bool]:
        image, created = standalone.built(engine, recipe)
        tags.add(image.reference)
        return image, created

    yield build
    subprocess.run([engine.path, "rmi", "--force", *tags], capture_output=True, check=False)


def run(engine: Engine, tag: str, *words: str) -> Any:
    command = (engine.path, "run", "--rm", "--network", "none", *words, tag)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_runs_where_nothing_of_kedge_is(
    engine: Engine, recipe: Recipe, built: Any, kedge_home: Path
) -> None:
    old = os.umask(0o077)
    try:
        image, created = built(replace(recipe, variables={"ODD": ODD}))
    finally:
        os.umask(old)
    assert created and image.reference.startswith("kedge/my-function:deploy-")
    assert len(image.reference.partition("deploy-")[2]) == 16
    assert image.labels["kedge.digest"].startswith(image.reference.partition("deploy-")[2])
    assert str(kedge_home) not in str(image.labels)
    kedge_home.rename(kedge_home.with_name("elsewhere"))
    told = run(engine, image.reference)
    kedge_home.with_name("elsewhere").rename(kedge_home)
    assert told == {
        "six": "1.16.0",
        "arguments": ['an "argument"', "$HOME", "é"],
        "uid": 65534,
        "cwd": "/workspace",
        "home": "/workspace/scratch",
        "odd": ODD,
        "data": "{}",
        "link": "main.py",
        "own": False,
    }
    assert run(engine, image.reference, "--user", "1234:1234")["uid"] == 1234


def test_it_is_found_again_and_what_differs_is_another(
    engine: Engine, recipe: Recipe, built: Any, environment: Any
) -> None:
    recipe = replace(recipe, port=8000, variables={"ODD": ""})
    first, created = built(recipe)
    assert created
    assert built(recipe) == (first, False)
    shown = subprocess.run(
        [engine.path, "image", "inspect", first.reference], capture_output=True, check=True
    )
    assert json.loads(shown.stdout)[0]["Config"]["ExposedPorts"] == {"8000/tcp": {}}
    Path(recipe.folder, "main.py").write_text(PROGRAM + "\n")
    second, _ = built(recipe)
    other, _ = built(replace(recipe, python=environment("six==1.15.0")))
    assert len({first.reference, second.reference, other.reference}) == 3
    assert run(engine, other.reference)["six"] == "1.15.0"


def test_no_clean_up_removes_it(
    engine: Engine, recipe: Recipe, built: Any, environment: Any, kedge_alone: Any
) -> None:
    image, _ = built(replace(recipe, variables={"ODD": ""}))
    environment(command="'echo other'")  # the package needs another one now
    for words in (("--max-age", "0m"), ("--max-size", "1")):
        removed = kedge_alone("gc", "--json", *words).json["removed"]
        assert image.id not in str(removed)
    assert run(engine, image.reference)["odd"] == ""


def test_a_variable_that_no_image_can_have_is_refused(any_engine: Engine, tmp_path: Path) -> None:
    python = Image("kedge/python:1", "sha256:1", "sha256:1", any_engine.platform)
    for name, value in (("A", "two\nlines"), ("A B", "x"), ("KEDGE_WORKSPACE", "/")):
        recipe = Recipe("f", python, str(tmp_path), ("python",), variables={name: value})
        with pytest.raises(PackageError) as refused:
            standalone.built(any_engine, recipe)
        assert name in refused.value.message and refused.value.hint
