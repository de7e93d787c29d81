"""`kedge plugins`, with distributions that are really found on the path."""

import json
import os
import subprocess
import sys
from pathlib import Path

MODULE = """
from kedge.target import Target

class Moon(Target):
    kind = "moon"
    kind_name = "The Moon"
    kind_description = "Far away."

    async def _place(self, executor, payload, job):
        return await executor.execute(payload, job)
"""


def install(site: Path, name: str, kind: str, source: str) -> None:
    """A distribution with one target, as an installer would leave it in `site`."""
    (site / f"{name}.py").write_text(source)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kedge.target]\n{kind} = {name}:Moon\n")


def plugins(site: Path, language: str = "en") -> tuple[int, list[dict[str, str]], str]:
    ended = command(site, language, "--json")
    return ended.returncode, json.loads(ended.stdout), ended.stderr


def command(site: Path, language: str = "en", *options: str) -> "subprocess.CompletedProcess[str]":
    paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "kedge", "plugins", *options],
        env={**os.environ, "PYTHONPATH": paths, "LANGUAGE": language},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_built_in_kinds_are_listed(tmp_path: Path) -> None:
    code, found, said = plugins(tmp_path)
    assert code == 0, said
    kinds = {(one["sort"], one["kind"], one["state"]) for one in found}
    assert {
        ("runtime", "python", "ready"),
        ("executor", "sandbox", "ready"),
        ("executor", "process", "ready"),
        ("target", "local", "ready"),
    } <= kinds


def test_kinds_are_named_and_described_in_the_language_of_the_reader(tmp_path: Path) -> None:
    found = {}
    for language in ("en", "fr"):
        code, kinds, said = plugins(tmp_path, language)
        assert code == 0, said
        assert all(one["name"] and one["description"] for one in kinds)
        found[language] = {(one["sort"], one["kind"]): one["name"] for one in kinds}
    assert found["en"].keys() == found["fr"].keys()
    assert found["en"]["executor", "sandbox"] == "Sandbox"
    assert found["fr"]["executor", "sandbox"] == "Bac à sable"


def test_a_plug_in_is_listed_with_its_distribution(tmp_path: Path) -> None:
    install(tmp_path, "kedge_moon", "moon", MODULE)
    code, found, said = plugins(tmp_path)
    assert code == 0, said
    moon = next(one for one in found if one["kind"] == "moon")
    assert (moon["sort"], moon["state"]) == ("target", "ready")
    assert (moon["name"], moon["description"]) == ("The Moon", "Far away.")
    assert "kedge_moon" in moon["origin"]


def test_a_broken_plug_in_is_told_and_harms_no_other(tmp_path: Path) -> None:
    install(tmp_path, "kedge_moon", "moon", MODULE)
    install(tmp_path, "kedge_wreck", "wreck", "import a_module_that_is_not_there\n")
    code, found, _ = plugins(tmp_path)
    states = {one["kind"]: one["state"] for one in found}
    assert code == 1
    assert states["wreck"] == "broken"
    assert states["moon"] == states["local"] == "ready"


def test_who_claims_a_kind_that_is_taken_hides_nobody(tmp_path: Path) -> None:
    """A built-in one goes on working; of two distributions with one kind neither does, and both are told."""
    install(tmp_path, "kedge_thief", "local", MODULE)
    install(tmp_path, "kedge_left", "mars", MODULE.replace("moon", "mars"))
    install(tmp_path, "kedge_right", "mars", MODULE.replace("moon", "mars"))
    code, found, _ = plugins(tmp_path)
    assert code == 1
    rows = [(one["kind"], one["state"]) for one in found if one["sort"] == "target"]
    assert rows == [("local", "ready"), ("local", "broken"), ("mars", "broken"), ("mars", "broken")]
    origins = [one["origin"] for one in found if one["sort"] == "target"]
    assert "kedge.target.local" in origins[0] and "kedge_thief 1.0" in origins[1]
    assert "kedge_left 1.0" in origins[2] and "kedge_right 1.0" in origins[3]
    said = command(tmp_path).stderr
    assert "which comes with Kedge" in said
    assert said.count("'mars' is claimed twice") == 1
