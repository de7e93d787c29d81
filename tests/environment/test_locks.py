"""Locks: resolved once, kept beside the manifest, renewed as little as possible, never trusted blindly."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.environment import lockfile
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock, ensure_lock
from kedge.environment.requirements import Requirements, declared
from kedge.errors import EnvironmentFailed, LockError, UnknownName

MakeWheel = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("pythons")


def _lock(
    root: Path | None, *strings: str, mode: str = "auto", upgrade: bool | str = False
) -> Lock:
    beside = str(root) if root else None
    return ensure_lock(Requirements(strings, "3.12"), beside, mode, upgrade)  # type: ignore[arg-type]


def _failure(*strings: str, python: str = "3.12") -> EnvironmentFailed:
    with pytest.raises(EnvironmentFailed) as caught:
        ensure_lock(Requirements(strings, python))
    assert caught.value.hint
    return caught.value


def test_nothing_needed_writes_nothing(tmp_path: Path, kedge_home: Path) -> None:
    found = _lock(tmp_path)
    assert found.is_empty
    assert found.path is None
    assert not (tmp_path / "kedge.lock").exists()


def test_a_lock_is_written_beside_the_manifest_and_used_again(
    tmp_path: Path, index: MakeWheel
) -> None:
    index("bolts", "1.0", requires=("nuts",))
    index("nuts", "2.0")
    (tmp_path / "package").mkdir()
    manifest = tmp_path / "package" / "kedge.yml"
    first = _lock(manifest, "bolts")
    assert first.path == str(tmp_path / "package" / "kedge.lock")
    assert [(entry.name, entry.version) for entry in first.entries()] == [
        ("bolts", "1.0"), ("nuts", "2.0"),
    ]  # fmt: skip
    assert str(tmp_path) not in first.text
    index("nuts", "3.0")
    assert _lock(manifest, "bolts") == first
    assert _lock(manifest, "bolts", mode="locked") == first


def test_a_package_that_kedge_made_stays_as_it_is(kedge_home: Path, index: MakeWheel) -> None:
    index("bolts")
    folders = [kedge_home / "packages" / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir(parents=True)
    first = _lock(folders[0], "bolts")
    assert Path(first.path or "").parent == kedge_home / "locks"
    index("bolts", "2.0")
    assert _lock(folders[1], "bolts") == first
    assert not any(list(folder.iterdir()) for folder in folders)


def test_a_script_has_a_lock_of_its_own(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    found = _lock(tmp_path / "beam.py", "bolts")
    assert found.path == str(tmp_path / "beam.py.kedge.lock")


def test_a_stale_lock_changes_only_what_must_change(tmp_path: Path, index: MakeWheel) -> None:
    for version in ("1.0", "2.0"):
        index("bolts", version)
        index("nuts", version)
    _lock(tmp_path, "bolts==1.0", "nuts==1.0")
    found = _lock(tmp_path, "bolts", "nuts>=2")
    assert found.notice is not None
    assert found.notice.endswith("resolved again: nuts 1.0 → 2.0")
    assert {entry.name: entry.version for entry in found.entries()} == {
        "bolts": "1.0",
        "nuts": "2.0",
    }


def test_upgrading_one_leaves_the_others(tmp_path: Path, index: MakeWheel) -> None:
    for version in ("1.0", "2.0"):
        index("bolts", version)
        index("nuts", version)
    _lock(tmp_path, "bolts<2", "nuts<2")
    _lock(tmp_path, "bolts", "nuts")
    one = _lock(tmp_path, "bolts", "nuts", upgrade="nuts")
    assert one.notice == "kedge.lock was renewed: nuts 1.0 → 2.0"
    everything = _lock(tmp_path, "bolts", "nuts", upgrade=True)
    assert everything.notice == "kedge.lock was renewed: bolts 1.0 → 2.0"
    with pytest.raises(UnknownName) as caught:
        _lock(tmp_path, "bolts", "nuts", upgrade="boltz")
    assert caught.value.hint == "did you mean `bolts`?"


def test_locked_refuses_what_is_missing_or_stale(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    with pytest.raises(LockError, match="is missing"):
        _lock(tmp_path, "bolts", mode="locked")
    _lock(tmp_path, "bolts")
    with pytest.raises(LockError, match="is older than its declaration"):
        _lock(tmp_path, "bolts>=1", mode="locked")


def test_a_folder_that_cannot_be_written_has_its_lock_in_kedges_home(
    tmp_path: Path, index: MakeWheel, kedge_home: Path
) -> None:
    index("bolts")
    # A file in the folder's place: even root cannot write below it.
    (tmp_path / "file").write_text("")
    found = _lock(tmp_path / "file" / "kedge.yml", "bolts")
    assert found.path is not None
    assert found.path.startswith(str(kedge_home))
    assert _lock(tmp_path / "file" / "kedge.yml", "bolts", mode="locked") == found


@pytest.mark.parametrize(
    ("damage", "line", "part"),
    [
        (lambda text: "# hello\n" + text, 1, "does not begin"),
        (lambda text: text.replace("sha256:", "sha256:zz", 1), 3, "is not a pinned package"),
        (lambda text: text + "--index-url https://index.invalid/simple\n", 5, "--index-url"),
        (lambda text: text + "-e /etc\n", 5, "`-e /etc`"),
        (lambda text: text + "nuts==1.0\n", 5, "`nuts==1.0`"),
        (lambda text: text + "nuts @ file:///etc/x.whl --hash=sha256:" + "a" * 64, 5, "nuts @"),
        (lambda text: text.replace("\n", "\0\n", 3), 1, "does not begin"),
    ],
)
def test_a_damaged_lock_names_its_line(
    tmp_path: Path, index: MakeWheel, damage: Callable[[str], str], line: int, part: str
) -> None:
    index("bolts")
    path = tmp_path / "kedge.lock"
    _lock(tmp_path, "bolts")
    path.write_text(damage(path.read_text()))
    with pytest.raises(LockError) as caught:
        _lock(tmp_path, "bolts").entries()
    assert caught.value.where is not None
    assert (caught.value.where.file, caught.value.where.line) == (str(path), line)
    assert part in caught.value.message
    with pytest.raises(LockError):  # nor is it overwritten because the declaration changed
        _lock(tmp_path, "bolts>=1")
    assert _lock(tmp_path, "bolts", upgrade=True).entries()


def test_a_lock_that_is_no_text(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    (tmp_path / "kedge.lock").write_bytes(b"\xff\xfe\0")
    with pytest.raises(LockError, match="not UTF-8"):
        _lock(tmp_path, "bolts")


def test_declared_hashes_limit_the_lock(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    (known,) = _lock(None, "bolts").entries()
    found = _lock(None, f"bolts==1.0 --hash={known.hashes[0]} --hash=sha256:{'0' * 64}")
    assert found.entries()[0].hashes == known.hashes
    failure = _failure(f"bolts==1.0 --hash=sha256:{'0' * 64}")
    assert failure.evidence["reason"] == "hash-mismatch"


def test_constraints_limit_versions(index: MakeWheel) -> None:
    index("bolts", "1.0")
    index("bolts", "2.0")
    found = ensure_lock(Requirements(("bolts",), "3.12", ("bolts<2", "nuts>5")))
    assert [entry.requirement for entry in found.entries()] == ["bolts==1.0"]


def test_order_and_comments_do_not_change_what_a_lock_is(index: MakeWheel) -> None:
    index("bolts")
    index("nuts")
    one, other = _lock(None, "bolts", "nuts"), _lock(None, "nuts>0", "bolts")
    assert one.digest == other.digest
    assert one.path != other.path


def test_conditions_for_other_systems_stay_in_the_lock(index: MakeWheel) -> None:
    index("bolts")
    (entry,) = _lock(None, "bolts ; sys_platform == 'darwin'").entries()
    assert "sys_platform == 'darwin'" in entry.requirement


def test_a_package_that_does_not_exist() -> None:
    failure = _failure("kedge-no-such-package-at-all")
    assert failure.evidence["reason"] == "unknown-package"
    assert "`kedge-no-such-package-at-all`" in failure.message
    assert "we can conclude that your requirements are unsatisfiable" in failure.message


def test_a_version_that_does_not_exist() -> None:
    failure = _failure("six==99")
    assert failure.evidence["reason"] == "no-version"
    assert "six==99" in failure.message


def test_requirements_that_contradict_each_other(index: MakeWheel) -> None:
    index("bolts", "1.0", requires=("steel>=2",))
    index("steel", "1.0")
    index("steel", "2.0")
    failure = _failure("bolts", "steel<2")
    assert failure.evidence["reason"] == "conflict"
    assert "bolts" in failure.message
    assert "steel" in failure.message


def test_no_wheel_for_this_python() -> None:
    failure = _failure("numpy==1.21.0")  # the last minor it was built for is 3.9
    assert failure.evidence["reason"] == "no-wheel"
    assert "`numpy` has no wheel" in failure.message


def test_an_index_that_is_not_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    failure = _failure("six")
    assert failure.evidence["reason"] == "unreachable"
    assert "secret" not in str(failure.to_json())


def test_no_network_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.invalid/simple")
    assert _failure("six").evidence["reason"] == "offline"


def test_a_condition_that_uv_cannot_read(index: MakeWheel) -> None:
    failure = _failure("bolts ; python_version and")
    assert failure.evidence["reason"] == "syntax"


def test_a_project_with_a_uv_lock_is_exported(tmp_path: Path, python312: Interpreter) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.8"\ndependencies = ["six<2"]\n'
    )
    from kedge.environment import uv

    uv_lock = [uv.binary(), "lock", "--quiet", "--python", python312.path]
    subprocess.run(uv_lock, cwd=tmp_path, check=True, env=uv.variables())
    declaration = declared(str(tmp_path), None, "3.12")
    found = ensure_lock(declaration, str(tmp_path))
    assert [entry.name for entry in found.entries()] == ["six"]
    assert ensure_lock(declaration, str(tmp_path), "locked") == found
    assert not (tmp_path / "kedge.lock").exists()
    with pytest.raises(LockError, match=r"uv\.lock decides"):
        ensure_lock(declaration, str(tmp_path), upgrade="six")


def test_a_broken_uv_lock_is_explained(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\n')
    (tmp_path / "uv.lock").write_text("version = {")
    with pytest.raises(EnvironmentFailed, match=r"uv\.lock cannot be used"):
        ensure_lock(declared(str(tmp_path), None, "3.12"), str(tmp_path))


def test_processes_that_resolve_at_once_agree(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    program = (
        "import sys\n"
        "from kedge.environment.lock import ensure_lock\n"
        "from kedge.environment.requirements import Requirements\n"
        "print(ensure_lock(Requirements(('bolts',), '3.12'), sys.argv[1]).digest)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert sorted(path.name for path in tmp_path.glob("*lock*")) == ["kedge.lock"]


def test_a_lock_has_the_mode_that_the_umask_says(tmp_path: Path, index: MakeWheel) -> None:
    index("bolts")
    before = os.umask(0o027)
    try:
        _lock(tmp_path, "bolts")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kedge.lock").stat().st_mode) == 0o640


@given(st.text(max_size=300) | st.text(alphabet="ab=1; \\\n-#@:/hs.6'", max_size=300))
def test_any_text_is_a_lock_or_a_damaged_one(text: str) -> None:
    try:
        found = lockfile.entries(text, "kedge.lock")
    except LockError as error:
        assert error.where is not None
        assert error.where.line is not None
    else:
        assert all(entry.hashes for entry in found)


@given(st.permutations([("a", "1"), ("b", "2.0"), ("c", "3rc1")]), st.sampled_from("0f"))
def test_a_written_lock_is_read_back(order: list[tuple[str, str]], digit: str) -> None:
    entries = tuple(
        lockfile.Entry(name, version, f"{name}=={version}", (f"sha256:{digit * 64}",))
        for name, version in order
    )
    text = lockfile.written(entries, "d" * 64, "3.12")
    assert lockfile.header(text, "kedge.lock") == "d" * 64
    assert lockfile.entries(text, "kedge.lock") == entries
    in_order = lockfile.written(tuple(sorted(entries, key=str)), "e" * 64, "3.13")
    assert lockfile.digest_of(text) == lockfile.digest_of(in_order.replace("    --", "\t--"))
