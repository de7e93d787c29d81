"""The plug-in under examples/plugin: installed as any distribution, and used."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uv

SAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed plug-in."""
    place = tmp_path_factory.mktemp("plugin")
    made = place / "site"
    shutil.copytree(SAMPLE, place / "plugin")
    options = ("--quiet", "--offline", "--no-deps", "--target", made, "--python", sys.executable)
    words = [uv.find_uv_bin(), "pip", "install", *options, place / "plugin"]
    subprocess.run(words, check=True, env=os.environ | {"UV_CACHE_DIR": str(place / "cache")})
    return made


@pytest.fixture
def kedge(site: Path, tmp_path: Path) -> Callable[..., Any]:
    paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])

    def call(*words: object, **variables: str) -> Any:
        ours = {"PYTHONPATH": paths, "KEDGE_HOME": str(tmp_path / "home"), "LANGUAGE": "en"}
        return subprocess.run(
            [sys.executable, "-m", "kedge", *map(str, words)],
            env=os.environ | ours | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_its_kinds_are_listed(kedge: Callable[..., Any]) -> None:
    found = {
        (one["sort"], one["kind"]): one for one in json.loads(kedge("plugins", "--json").stdout)
    }
    for sort, kind in (("runtime", "words"), ("executor", "nice"), ("port", "seed")):
        assert found[sort, kind]["state"] == "ready"
        assert "kedge-sample 0.1.0" in found[sort, kind]["origin"]
    # What the plug-in imports of Kedge is Kedge's all the same.
    assert "kedge-sample" not in found["executor", "process"]["origin"]
    assert "kedge-sample" not in found["runtime", "command"]["origin"]


def test_its_texts_are_shown_in_the_language_of_the_reader(kedge: Callable[..., Any]) -> None:
    assert "Counts the words of a text." in kedge("plugins").stdout
    french = kedge("plugins", LANGUAGE="fr")
    assert french.returncode == 0, french.stderr
    assert "Compte les mots d’un texte." in french.stdout
    assert "Une commande de cette machine" in french.stdout
    schema = json.loads(kedge("schema", "task", LANGUAGE="fr").stdout)["$defs"]["port_type_seed"]
    assert schema["title"] == "Graine"
    assert schema["description"] == "Le point de départ d’une suite de nombres aléatoires."


def test_a_task_of_its_kinds_runs(kedge: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("count.yml", "text.txt"):
        shutil.copy(SAMPLE / name, tmp_path)
    ended = kedge("task", "run", "count.yml", "--json")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "count.txt").read_text().strip() == "11"
    run = json.loads(kedge("show", "last", "--json").stdout)
    assert (run["runtime"], run["executor"]) == ("words", "nice")
    assert run["inputs"]["seed"] == 4


def test_its_fields_are_checked_and_in_the_schema(
    kedge: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copy(SAMPLE / "text.txt", tmp_path)
    text = (SAMPLE / "count.yml").read_text()
    (tmp_path / "count.yml").write_text(
        text.replace("level: 15", "level: high").replace("value: 4", "value: -4")
    )
    assert "`level` is `high`" in kedge("task", "run", "count.yml").stderr
    (tmp_path / "count.yml").write_text(text.replace("value: 4", "value: -4"))
    assert "seed" in kedge("task", "run", "count.yml").stderr
    found = json.loads(kedge("schema", "task").stdout)["$defs"]
    assert found["executor_nice"]["properties"]["level"]["type"] == "integer"
    assert found["runtime_words"]["required"] == ["kind", "source"]
