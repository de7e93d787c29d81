"""examples/primer, as a git repository of its own: committed, cloned, started."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.repository.entry import batch_file, entries, shell_script

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples/primer"
USERS_CACHE = os.environ.get("UV_CACHE_DIR") or os.path.expanduser("~/.cache/uv")  # 40 MB of wheels
FINISHED_SECONDS = 120  # A start that takes longer hangs.


class Clone:
    """A fresh clone, and what is called in it."""

    def __init__(self, root: Path, variables: dict[str, str]) -> None:
        self.root = root
        self.variables = variables

    def __call__(self, *command: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        ended = subprocess.run(
            command,
            cwd=self.root,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=FINISHED_SECONDS,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended


@pytest.fixture(params=["as it stands", "with Kedge in its lock"])
def clone(request: Any, kedge: Any, checkout: Any, tmp_path: Path) -> Clone:
    """The example, made a repository as its README says, and cloned."""
    origin, root = tmp_path / "origin", tmp_path / "kedge/examples/primer"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "."],
        cwd=EXAMPLE, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    for name in listed.stdout.decode().strip("\0").split("\0"):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(EXAMPLE / name, origin / name)
    words = ("--main", "tides.main:main", "--boot", "tides.states")
    made = kedge("primer", "init", origin, *words)
    assert made.out == f"{origin}/primer/proto.py\n{origin}/primer/uv.txt\n"
    if request.param == "as it stands":
        root.parent.mkdir(parents=True)
        (tmp_path / "kedge/src").symlink_to(REPOSITORY / "src")
    else:
        wheel = request.getfixturevalue("wheel")
        (origin / "vendor").mkdir()
        shutil.copy(wheel, origin / "vendor")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock = (REPOSITORY / "requirements/kedge.txt").read_text()  # what Kedge needs, click too
        lock += f"./vendor/{wheel.name} --hash=sha256:{digest}\n"
        (origin / "requirements.lock.txt").write_text(lock)
        checkout.variables["UV_CACHE_DIR"] = USERS_CACHE
        configuration = (origin / "primer.json").read_text().replace(', "../../src"', "")
        (origin / "primer.json").write_text(configuration)
    who = {
        f"GIT_{one}_{what}": "test" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    git = Clone(origin, checkout.variables | who)
    git("git", "init", "--quiet", "--initial-branch=main")
    git("git", "add", ".")
    git("git", "commit", "--quiet", "--message=All of it")
    git("git", "clone", "--quiet", str(origin), str(root))
    return Clone(root, checkout.variables)


def test_a_fresh_clone_starts_and_starts_again(clone: Clone, kedge: Any) -> None:
    # The goal is known to the project's own states alone, and there is nothing yet to import them with.
    first = clone("./prime", "stations")
    assert first.stdout == ""
    assert "installing requirements.lock.txt" in first.stderr
    assert json.loads((clone.root / "build/stations.json").read_text())["Brest"] == 290
    assert not (clone.root / "build/ABOUT.txt").exists()
    again = clone("./prime", "stations")
    assert (again.stdout, again.stderr) == ("", "")

    app = clone("./app", "Brest")
    assert (app.stdout, app.stderr) == ("Brest: 04:50\n", "")
    assert "Nowhere is none of Brest" in clone("./app", "Nowhere", code=1).stderr
    assert "Usage: app [OPTIONS] STATION" in clone("./app", "--help").stdout

    rest = clone("./prime").stderr
    assert "about" in rest and "stations: reached" not in rest
    assert (clone.root / "build/ABOUT.txt").read_text() == "3 stations\n"
    assert clone("./prime").stderr == ""
    assert "there is no state `station`" in clone("./prime", "station", code=2).stderr

    assert clone("git", "status", "--porcelain").stdout == ""
    with (clone.root / "data/stations.csv").open("a") as table:
        table.write("Lerwick,09:25\n")
    shown = kedge("primer", "graph", cwd=clone.root, env=os.environ | clone.variables)
    assert shown.out.splitlines()[-1] == "└── stations  stale"
    clone("./prime")
    assert clone("./app", "Lerwick", "--day", "1").stdout == "Lerwick: 10:15\n"
    assert (clone.root / "build/ABOUT.txt").read_text() == "4 stations\n"
    assert clone("git", "status", "--porcelain").stdout == " M data/stations.csv\n"


def test_its_entry_scripts_are_what_the_template_gives() -> None:
    found = entries(str(EXAMPLE))
    assert sorted(found) == ["app", "app.cmd", "prime"]
    for name, entry in found.items():
        text = batch_file(entry) if name.endswith(".cmd") else shell_script(entry)
        remedy = "`kedge primer update examples/primer` writes it anew"
        assert (EXAMPLE / name).read_bytes() == text.encode(), remedy
