"""Finding interpreters: candidates are run, known ones are not run again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.environment import candidates, interpreters, versions
from kedge.environment.interpreters import Interpreter
from kedge.errors import EnvironmentFailed, ManifestError

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_shim_that_fails_is_not_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(tmp_path / "bin" / f"python{OWN}", "#!/bin/sh\necho not here >&2\nexit 127\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = interpreters.find(OWN)
    assert found.minor == OWN
    assert not found.path.startswith(str(tmp_path))


def test_a_shim_that_works_is_seen_through(tmp_path: Path) -> None:
    own = os.path.realpath(sys.executable)
    shim = _script(tmp_path / "shims" / "python", f'#!/bin/sh\nexec "{own}" "$@"\n')
    assert interpreters.find(OWN, paths=[str(shim)]).path == own


def test_the_first_that_fits_is_the_only_one_that_is_run(tmp_path: Path) -> None:
    own = os.path.realpath(sys.executable)
    shims = []
    for name in ("fails", "works", "waits"):
        ends = f'exec "{own}" "$@"' if name == "works" else "exit 1"
        text = f"#!/bin/sh\ntouch {tmp_path}/{name}.run\n{ends}\n"
        shims.append(str(_script(tmp_path / name, text)))
    assert interpreters.find(OWN, paths=shims[1:]).path == own
    assert sorted(path.stem for path in tmp_path.glob("*.run")) == ["works"]
    assert interpreters.find(OWN, paths=shims).path == own
    assert sorted(path.stem for path in tmp_path.glob("*.run")) == ["fails", "waits", "works"]


def test_an_environment_of_another_tool_leads_to_its_base_interpreter(
    tmp_path: Path, python312: Interpreter
) -> None:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(python312.path)}\n")
    (folder / "bin" / "python").symlink_to(python312.path)
    found = interpreters.find(python312.minor, paths=[str(folder)])
    assert found.path == python312.path


def test_a_known_interpreter_is_found_without_looking_anywhere(
    pythons: dict[str, Interpreter], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for minor, one in pythons.items():
        assert interpreters.find(minor) == one


def test_an_interpreter_that_changed_is_run_again(python312: Interpreter, kedge_home: Path) -> None:
    file = kedge_home / "interpreters.json"
    kept = json.loads(file.read_text())
    kept["found"][python312.path]["identity"][1] += 1
    kept["found"][python312.path]["version"] = "3.12.99"
    file.write_text(json.dumps(kept))
    assert interpreters.find(python312.minor) == python312


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"layout": 1, "found": {"/x": 1}, "chosen": 3}']
)
def test_a_damaged_list_of_interpreters_counts_as_empty(kedge_home: Path, text: str) -> None:
    kedge_home.mkdir()
    (kedge_home / "interpreters.json").write_text(text)
    assert interpreters.known("/usr/bin/python3") is None
    assert interpreters.find(OWN, paths=[sys.executable]).minor == OWN


def test_a_version_that_is_not_there_is_one_error_that_lists_what_is(
    pythons: dict[str, Interpreter],
) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        interpreters.find("3.7")  # older than any function may ask for: never considered
    assert "Python 3.7 was asked for; found " in caught.value.message
    for one in pythons.values():
        assert f"{one.version} ({one.path})" in caught.value.message
    assert caught.value.hint


def test_a_download_that_fails_gives_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentFailed) as caught:
        interpreters.find("3.8.99", download=True)
    assert "Downloading it failed: No download found" in caught.value.message


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        ("3.12", "3.12.1", True),
        ("3.1", "3.12.1", False),
        ("3.12.1", "3.12.1", True),
        ("3.12.1", "3.12.10", False),
        (">=3.10,<3.13", "3.12.9", True),
        (">=3.10,<3.13", "3.13.0", False),
        ("<3.13", "3.13.0rc1", False),
        ("~=3.10", "3.13.0", True),
        ("~=3.10.2", "3.10.1", False),
        ("~=3.10.2", "3.11.0", False),
        ("==3.11.*", "3.11.7", True),
        ("!=3.11.*,>3.8", "3.11.7", False),
        (">=3.14", "3.14.0a2", False),
        (">3.12", "3.12.1", True),
    ],
)
def test_versions_are_compared_as_python_packages_do(wanted: str, version: str, fits: bool) -> None:
    accepts = versions.accepts(wanted)
    assert accepts is not None
    assert accepts(version) is fits


@pytest.mark.parametrize("version", ["", "python3", "3", "3.x", ">=", "3.12 or 3.13", "~=3", "\0"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ManifestError):
        interpreters.find(version)


@given(st.text(max_size=40) | st.from_regex(r"[<>=!~]{1,2}3[.0-9*rcab, ]{0,12}", fullmatch=True))
def test_any_text_is_a_specifier_or_is_none(text: str) -> None:
    accepts = versions.accepts(text)
    if accepts is not None:
        assert accepts("3.12.1") in (True, False)
        assert accepts("3.15.0a1") in (True, False)


def test_a_specifier_takes_the_newest_that_fits(pythons: dict[str, Interpreter]) -> None:
    newest = max(pythons, key=lambda minor: int(minor.split(".")[1]))
    assert interpreters.find(">=3.8,<4").minor == newest
    assert interpreters.find(f"<={newest}.999,>=3.8").minor == newest


def test_what_a_candidate_prints_is_not_believed_blindly(tmp_path: Path) -> None:
    liar = _script(tmp_path / "python3", "#!/bin/sh\necho 'kedge:{\"executable\": 3}'\n")
    assert candidates.probe(str(liar)) is None
    assert candidates.probe(str(tmp_path / "absent")) is None
    assert candidates.probe("with\0zero") is None


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_an_interpreter_works_where_only_the_system_and_its_visible_paths_are(
    pythons: dict[str, Interpreter],
) -> None:
    for one in pythons.values():
        shown = [
            "--ro-bind",
            "/usr",
            "/usr",
            "--ro-bind-try",
            "/etc/ld.so.cache",
            "/etc/ld.so.cache",
        ]
        for name in ("lib", "lib64", "bin"):
            shown += ["--symlink", f"usr/{name}", f"/{name}"]
        for path in one.visible:
            shown += ["--ro-bind", path, path]
        program = "import ssl, ctypes, sqlite3, zlib, json; print('fine')"
        ended = subprocess.run(
            [
                "bwrap",
                *shown,
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                one.path,
                "-I",
                "-B",
                "-c",
                program,
            ],
            capture_output=True,
            text=True,
            env={},
            check=False,
        )
        assert ended.stdout == "fine\n", (one.path, ended.stderr)
