"""What a run costs when its package was seen before, and what makes it be compiled again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

BOLTS = Path(__file__).parents[1] / "packages" / "seed-short"
HEAVY = ("pydantic", "yaml", "pint", "asyncio", "rich", "uv", "pathspec", "docstring_parser")

# The command line as it is, and then which modules it has imported.
LISTING = """
import json, sys
from kedge.cli.app import _exit_code
code = _exit_code(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*words: object) -> list[str]:
    """The modules that a command imports."""
    ended = subprocess.run(
        [sys.executable, "-c", LISTING, *map(str, words)], capture_output=True, text=True
    )
    code, names = json.loads(ended.stderr.rpartition("\n")[2])
    assert code == 0, ended.stderr
    assert isinstance(names, list)
    return names


def test_a_run_of_a_package_seen_before_imports_nothing_heavy(kedge: Any) -> None:
    given = ["run", BOLTS, "sizing", "diameter_mm=12", "load_n=15000", "--json"]
    kedge(*given)
    assert not set(HEAVY) & set(imported(*given))


def test_looking_at_runs_imports_nothing_heavy(kedge: Any) -> None:
    run = kedge("run", BOLTS, "sizing", "diameter_mm=1", "load_n=1", "--json").json["_run"]["id"]
    for words in (["runs"], ["show", run], ["logs", run], ["config"]):
        assert not set(HEAVY) & set(imported(*words)), words


def test_a_changed_file_is_compiled_again_and_an_unchanged_one_is_not(
    kedge_alone: Any, kedge_home: Path, tmp_path: Path
) -> None:
    package = tmp_path / "p"
    shutil.copytree(BOLTS, package)
    given = ["inspect", package, "sizing", "--json"]

    def ports() -> list[str]:
        return list(kedge_alone(*given).json["functions"]["sizing"]["inputs"]["properties"])

    def known() -> dict[str, int]:
        found = (kedge_home / "descriptions").iterdir()
        return {path.name: path.stat().st_mtime_ns for path in found}

    assert ports() == ["diameter_mm", "load_n"]
    before = known()
    assert ports() == ["diameter_mm", "load_n"]
    assert known() == before
    code = (package / "bolts.py").read_text()
    (package / "bolts.py").write_text(code.replace("load_n", "force_n"))
    assert ports() == ["diameter_mm", "force_n"]
    assert known().keys() > before.keys()


def test_a_damaged_cache_is_made_again(kedge_alone: Any, kedge_home: Path) -> None:
    given = ["run", BOLTS, "sizing", "diameter_mm=12", "load_n=15000", "--json"]
    first = kedge_alone(*given).json
    for path in (kedge_home / "descriptions").iterdir():
        for damage in (b"", b"{", b"\xff"):
            path.write_bytes(damage)
            assert kedge_alone(*given).json["stress_mpa"] == first["stress_mpa"]
        if not path.name.startswith("alike-"):  # asked only for files that are new
            assert path.stat().st_size > 3
    assert not [name for name in os.listdir(kedge_home / "descriptions") if "-" not in name]
