"""What `kedge primer init` and `update` write into a repository, and what they leave alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uv

from kedge.errors import PrimerError
from kedge.primer.repository.init import Request, planned, write
from kedge.primer.repository.proto_file import brought, uv_lock
from kedge.version import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
HASHED = "tiny==1.0 --hash=sha256:00\n"
FINISHED_SECONDS = 120  # A build that takes longer hangs.


def init(root: Path, **asked: str) -> list[str]:
    """Write what is asked for; the paths that are new."""
    return write(planned(str(root), Request(**asked), "a test"))


def refused(root: Path, **asked: str) -> PrimerError:
    """Why nothing is written; nothing is."""
    before = tree(root)
    with pytest.raises(PrimerError) as error:
        init(root, **asked)
    assert tree(root) == before
    assert all(problem.hint for problem in error.value.problems)
    return error.value


def tree(root: Path) -> dict[str, bytes]:
    """All files by their paths."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def configured(root: Path) -> Any:
    """What primer.json says."""
    return json.loads((root / "primer.json").read_text())


def test_an_empty_folder_becomes_a_repository_that_starts(
    kedge: Any, tmp_path: Path, tools: Path
) -> None:
    made = kedge("primer", "init", "demo", "--main", "demo.cli:main", cwd=tmp_path)
    files = [
        "app",
        "app.cmd",
        "primer.json",
        "primer/proto.py",
        "primer/uv.txt",
        "requirements.lock.txt",
    ]
    assert sorted(made.out.split()) == [f"demo/{file}" for file in files]
    assert "still to do: write src/demo/cli.py" in made.err
    assert "still to do: add to .gitignore: /primer.local.json" in made.err
    assert "then try: ./demo/app" in made.err
    (tmp_path / "demo/src/demo").mkdir(parents=True)
    (tmp_path / "demo/src/demo/cli.py").write_text(
        "import sys\ndef main():\n    print(sys.argv)\n    return 7\n"
    )
    (tmp_path / "demo/.gitignore").write_text("/primer.local.json\n")
    again = kedge("primer", "init", "--main", "demo.cli:main", cwd=tmp_path / "demo")
    assert again.out == ""
    assert again.err == "everything is there already\nthen try: ./app\n"
    variables = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for _ in ("first", "second"):
        ended = subprocess.run(
            ["./demo/app", "a", "-h"], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (7, "['./demo/app', 'a', '-h']\n"), ended.stderr
    assert ended.stderr == ""


def test_defaults_are_what_stands_in_the_repository(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nrequires-python = ">=3.9,<3.15"\n'
        '[project.scripts]\ndemo-tool = "demo.cli:main"\n'
    )
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/cli.py").write_text("")
    files = ["primer/proto.py", "primer/uv.txt", "demo-tool", "demo-tool.cmd", "primer.json"]
    assert init(tmp_path) == files
    assert configured(tmp_path) == {
        "python": ">=3.9,<3.15",
        "environments": {"demo-tool": {"lock": "uv.lock", "paths": ["."]}},
        "uv": "primer/uv.txt",
    }
    assert "\nset -- start demo.cli:main demo-tool " in (tmp_path / "demo-tool").read_text()
    assert os.access(tmp_path / "demo-tool", os.X_OK)
    assert (tmp_path / "primer/proto.py").read_text().startswith(brought())


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (">=3.10", ">=3.10"),
        (">= 3.9, < 4", ">= 3.9, < 4"),
        ("~=3.11", ">=3.12"),
        ("3.11", ">=3.12"),
    ],
)
def test_a_python_that_cannot_be_said_in_the_same_way_is_told(
    tmp_path: Path, given: str, written: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[project]\nrequires-python = "{given}"\n')
    plan = planned(str(tmp_path), Request(main="demo:main"), "a test")
    assert json.loads(plan.files["primer.json"])["python"] == written
    told = f"write in primer.json which Python fits: >=3.12 for {given}"
    assert (told in plan.left) is (given != written)


@pytest.mark.parametrize(
    ("files", "lock"),
    [
        ({"pylock.toml": "", "requirements.txt": HASHED}, "pylock.toml"),
        ({"requirements.txt": HASHED, "requirements-dev.txt": "tiny\n"}, "requirements.txt"),
        ({"requirements/app.txt": HASHED}, "requirements/app.txt"),
        ({"requirements.txt": "tiny\n"}, "requirements.lock.txt"),
        ({}, "requirements.lock.txt"),
    ],
)
def test_a_lock_that_is_there_is_taken(tmp_path: Path, files: dict[str, str], lock: str) -> None:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    plan = planned(str(tmp_path), Request(main="demo:main"), "a test")
    write(plan)
    assert configured(tmp_path)["environments"]["app"]["lock"] == lock
    # Only where nothing says what the project needs is there a lock with nothing in it.
    assert (tmp_path / lock).exists() is (lock in files or not files)
    compiled = [step for step in plan.left if "uv pip compile" in step]
    assert len(compiled) == (not (tmp_path / lock).exists())


def test_of_several_locks_one_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(HASHED)
    (tmp_path / "requirements-dev.txt").write_text(HASHED)
    assert "`requirements-dev.txt`, `requirements.txt`" in str(refused(tmp_path, main="demo:main"))
    init(tmp_path, main="demo:main", lock="requirements-dev.txt")
    assert configured(tmp_path)["environments"]["app"]["lock"] == "requirements-dev.txt"


def test_further_scripts_go_beside_the_first(tmp_path: Path) -> None:
    init(tmp_path, main="demo:main")
    before = (tmp_path / "primer.json").read_text()
    assert init(tmp_path, boot="demo.states") == ["prime"]
    lock = tmp_path / "requirements.lock.txt"
    for text, locked in (("", False), (HASHED.replace("tiny", "kedge"), True)):
        lock.write_text(text)
        left = planned(str(tmp_path), Request(boot="demo.states"), "a test").left
        assert ("lock kedge too: the states import it" not in left) is locked
    assert init(tmp_path, main="demo:other", name="other") == ["other", "other.cmd"]
    assert "\nset -- boot demo.states app " in (tmp_path / "prime").read_text()
    assert "\nset -- start demo:other app " in (tmp_path / "other").read_text()
    assert (tmp_path / "primer.json").read_text() == before
    named = {"a": {"lock": "a.txt"}, "b": {"lock": "b.txt"}}
    (tmp_path / "primer.json").write_text(json.dumps({"environments": named}))
    several = refused(tmp_path, main="demo:main", name="third")
    assert "several environments: `a`, `b`" in str(several)
    assert init(tmp_path, main="demo:main", name="third", environment="b")[0] == "third"


def test_nothing_that_differs_is_written_over_and_all_of_it_is_said(tmp_path: Path) -> None:
    for path in ("primer/proto.py", "app", "app.cmd"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("mine\n")
    (tmp_path / "primer.json").write_text('{"environments": {"app": {"lock": "mine.txt"}}}')
    said = refused(tmp_path, main="demo:main", lock="other.txt")
    assert len(said.problems) == 4
    for path in ("`primer/proto.py` is", "`app` is", "`app.cmd` is", "the lock of `app` is"):
        assert path in str(said)
    assert len(refused(tmp_path, main="demo:main", environment="new").problems) == 4
    (tmp_path / "primer.json").write_text("[]")
    assert "`primer.json` cannot be read" in str(refused(tmp_path, main="demo:main"))


def test_words_that_cannot_stand_in_a_script_are_refused(tmp_path: Path) -> None:
    for asked in (
        {"main": "demo"},
        {"main": "demo:main; rm"},
        {"main": "demo/cli.py:main"},
        {"boot": "demo:main"},
        {"boot": "demo", "name": "a/b"},
        {"boot": "demo", "name": "primer"},
        {"boot": "demo", "name": "-x"},
        {"boot": "demo", "environment": "made"},
        {"boot": "demo", "environment": ".."},
        {},
    ):
        refused(tmp_path, **asked)
    assert len(refused(tmp_path, main="x", boot="1", environment="$x").problems) == 3


def test_update_refreshes_on_request_and_says_from_what_to_what(kedge: Any, tmp_path: Path) -> None:
    from kedge.primer.repository.seal import opened, sealed

    init(tmp_path, main="demo:main")
    new = tree(tmp_path)
    assert kedge("primer", "update", tmp_path).err.startswith("nothing to do")
    assert tree(tmp_path) == new
    proto, app = tmp_path / "primer/proto.py", tmp_path / "app"
    older = opened(proto.read_text()).replace("\nLAYOUT = ", "\nLAYOUT = 0")
    proto.write_text(sealed(older, "#", "kedge 0.0.1"))
    app.write_text(sealed(opened(app.read_text()).replace("# Else", "# Otherwise"), "#", "x"))
    (tmp_path / "app.cmd").write_bytes(new["app.cmd"].replace(b"rem Else", b"rem Mine"))
    (tmp_path / "primer/uv.txt").write_text(sealed("uv==0.1\n", "#", "kedge 0.0.1"))
    (tmp_path / "src").mkdir()
    done = kedge("primer", "update", cwd=tmp_path / "src")  # any folder of the repository
    number = brought().partition("\nLAYOUT = ")[2].partition(" ")[0]
    said = f"layout {int('0' + number)} of kedge 0.0.1 → layout {number} of kedge {__version__}"
    assert done.out == f"primer/proto.py: {said}\napp: as this Kedge writes it\n" + (
        "primer/uv.txt: as this Kedge writes it\n"
    )
    assert done.err == "app.cmd was edited by hand and stays as it is; --force replaces it\n"
    assert proto.read_text().startswith(brought())
    assert app.read_bytes() == new["app"]
    assert opened((tmp_path / "primer/uv.txt").read_text()) == uv_lock()
    assert os.access(app, os.X_OK)
    done = kedge("primer", "update", tmp_path)  # It does not say that there is nothing to do.
    assert done.err == "app.cmd was edited by hand and stays as it is; --force replaces it\n"
    assert kedge("primer", "update", "--force", tmp_path).out.startswith("app.cmd: ")
    assert (tmp_path / "app.cmd").read_bytes() == new["app.cmd"]


def test_an_edited_proto_file_is_replaced_by_force_alone(kedge: Any, tmp_path: Path) -> None:
    init(tmp_path, main="demo:main")
    proto = tmp_path / "primer/proto.py"
    edited = proto.read_text().replace("PROBE_SECONDS = 20", "PROBE_SECONDS = 30")
    proto.write_text(edited)
    (tmp_path / "app").write_text("".join((tmp_path / "app").read_text().splitlines(True)[:-1]))
    before = tree(tmp_path)
    said = kedge("primer", "update", tmp_path, code=2).err
    assert "`primer/proto.py` was edited by hand" in said
    assert "hint: --force" in said
    assert tree(tmp_path) == before
    kedge("primer", "update", tmp_path, "--force")
    assert proto.read_text().startswith(brought())
    assert "hint: `kedge primer init`" in kedge("primer", "update", "/", code=2).err


def test_a_proto_file_with_other_line_ends_is_no_other(kedge: Any, tmp_path: Path) -> None:
    init(tmp_path, main="demo:main")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    before = tree(tmp_path)
    assert kedge("primer", "update", tmp_path).out == ""
    assert init(tmp_path, main="demo:main") == []
    assert tree(tmp_path) == before


def test_an_installed_kedge_brings_the_proto_file(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    words = [uv.find_uv_bin(), "pip", "install", "--python", sys.executable, "--no-deps"]
    words += ["--target", str(site), str(wheel)]
    subprocess.run(words, check=True, capture_output=True, timeout=FINISHED_SECONDS)
    made = subprocess.run(
        [sys.executable, "-m", "kedge", "primer", "init", "demo", "--boot", "demo.states"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "demo/prime" in made.stdout.split()
    assert (tmp_path / "demo/primer/proto.py").read_text().startswith(brought())
    assert not (site / "primer").exists()
