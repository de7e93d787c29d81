"""Snapshots: the same bytes under the digest, made once, never half made, every change noticed."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import PackageError
from kedge.package import copying, index, snapshot, staging
from kedge.package.snapshot import Entry, digest_of, is_whole

OLD = 1_700_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pkg"
    (folder / "sub").mkdir(parents=True)
    (folder / "kedge.yml").write_text("name: x\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "sub" / "data.csv").write_text("1,2\n")
    (folder / "link").symlink_to("sub/data.csv")
    return folder


def take(root: Path) -> snapshot.Snapshot:
    return snapshot.snapshot(str(root))


def settle(root: Path) -> snapshot.Snapshot:
    """A snapshot whose index answers alone: taken once the stamps of the files are no longer recent."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        taken = take(root)
        known = index.read(os.path.realpath(root))
        if known is not None and known.settled:
            return taken
    raise AssertionError("the stamps never grew old")


def test_a_snapshot_holds_the_package_read_only(root: Path) -> None:
    taken = take(root)
    folder = Path(taken.folder)
    assert folder.name == taken.digest
    assert (folder / "sub/data.csv").read_text() == "1,2\n"
    assert (folder / "link").readlink() == Path("sub/data.csv")
    modes = {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
        if not path.is_symlink()
    }
    assert modes == {
        "in": 0o555, "out": 0o555, "scratch": 0o555, "sub": 0o555,
        "kedge.yml": 0o444, "run.sh": 0o555, "sub/data.csv": 0o444,
    }  # fmt: skip
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert is_whole(taken.folder, taken.digest)


def test_the_same_content_elsewhere_has_the_same_digest(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    assert take(tmp_path / "copy") == take(root)


def test_the_copy_shares_nothing_with_the_original(root: Path) -> None:
    taken = take(root)
    (root / "sub/data.csv").write_text("changed")
    assert (Path(taken.folder) / "sub/data.csv").read_text() == "1,2\n"


def same_size(root: Path) -> None:
    before = (root / "sub/data.csv").stat()
    (root / "sub/data.csv").write_text("1,3\n")
    os.utime(root / "sub/data.csv", ns=(before.st_atime_ns, before.st_mtime_ns))


def new_file(root: Path) -> None:
    (root / "sub/new.py").write_text("")


def new_folder(root: Path) -> None:
    (root / "sub/inner").mkdir()
    (root / "sub/inner/x").write_text("")


def removed(root: Path) -> None:
    (root / "sub/data.csv").unlink()


def renamed(root: Path) -> None:
    (root / "run.sh").rename(root / "walk.sh")


def mode(root: Path) -> None:
    (root / "run.sh").chmod(0o644)


def link(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("kedge.yml")


def became_link(root: Path) -> None:
    (root / "sub").rename(root / "real")
    (root / "sub").symlink_to("real")


def ignore_file(root: Path) -> None:
    (root / ".kedgeignore").write_text("*.csv\n")


@pytest.mark.parametrize(
    "change",
    [same_size, new_file, new_folder, removed, renamed, mode, link, became_link, ignore_file],
)
@pytest.mark.parametrize("settled", [True, False])
def test_every_change_is_noticed(root: Path, change, settled: bool) -> None:
    first = settle(root) if settled else take(root)
    assert take(root) == first
    change(root)
    second = take(root)
    assert second.digest != first.digest
    assert is_whole(second.folder, second.digest)
    assert is_whole(first.folder, first.digest)


def test_an_ignored_ignore_file_that_changes_is_noticed(root: Path) -> None:
    (root / ".gitignore").write_text(".gitignore\n*.csv\n")
    first = settle(root)
    (root / ".gitignore").write_text(".gitignore\n*.sh\n")
    assert take(root).digest != first.digest


def test_going_back_gives_the_first_snapshot_again(root: Path) -> None:
    first = take(root)
    (root / "sub/data.csv").write_text("9")
    take(root)
    (root / "sub/data.csv").write_text("1,2\n")
    assert take(root) == first


def test_an_unchanged_package_is_answered_without_reading_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settle(root)
    monkeypatch.setattr(snapshot, "_Taking", None)
    assert take(root) == first


def test_an_unchanged_package_imports_nothing_heavy(root: Path) -> None:
    settle(root)
    code = (
        "import sys; from kedge.package.source import open_package\n"
        "from kedge.package.snapshot import snapshot\n"
        "snapshot(open_package(sys.argv[1]).root)\n"
        "heavy = {'yaml', 'pathspec', 'pydantic', 'pint', 'asyncio', 'rich', 'uv', 'shutil', 'tomllib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_a_recent_change_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root)
    known = index.read(os.path.realpath(root))
    assert known is not None
    stamps = [tuple(row) for row in known.stamps]
    recent = {row[0] for row in stamps if row[2] > time.time_ns() - 10**9}
    assert not known.settled or not recent


def test_whole_second_stamps_are_believed_late() -> None:
    from kedge.package.stamps import Stamp, is_racy

    second = 10**9
    now = OLD * second
    assert is_racy(Stamp(1, now - second, now - second, 1), now)
    assert not is_racy(Stamp(1, now - 3 * second, now - 3 * second, 1), now)
    assert not is_racy(Stamp(1, now - second + 1, now - second + 1, 1), now)
    assert is_racy(Stamp(1, now - 5, now - second + 1, 1), now)
    assert is_racy(Stamp(1, now + 5 * second, 1, 1), now)  # a clock that went back


def test_a_broken_index_is_as_none(root: Path) -> None:
    first = take(root)
    path = Path(index.path_of(os.path.realpath(root)))
    for text in ("", "{", "[]", '{"layout": 1}', path.read_text()[:-40], "null",
                 path.read_text().replace('"stamps":[', '"stamps":[["a"],')):  # fmt: skip
        path.write_text(text)
        assert take(root) == first


def test_a_damaged_snapshot_is_made_anew(root: Path) -> None:
    first = take(root)
    folder = Path(first.folder)
    (folder / "sub").chmod(0o755)
    (folder / "sub/data.csv").chmod(0o644)
    (folder / "sub/data.csv").write_text("")
    assert not is_whole(first.folder, first.digest)
    Path(index.path_of(os.path.realpath(root))).unlink()
    assert take(root) == first
    assert is_whole(first.folder, first.digest)


def test_after_a_restart_of_the_machine_a_snapshot_is_read_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settle(root)
    folder = Path(first.folder)
    (folder / "kedge.yml").chmod(0o644)
    (folder / "kedge.yml").write_text(
        ""
    )  # what a power cut leaves of a file that was not yet written
    monkeypatch.setattr(snapshot, "boot", lambda: "another")
    assert take(root) == first
    assert is_whole(first.folder, first.digest)


def test_a_removed_snapshot_is_made_anew(root: Path) -> None:
    first = settle(root)
    staging.remove(first.folder)
    assert take(root) == first
    assert is_whole(first.folder, first.digest)


def test_compiled_files_beside_the_code_change_nothing(root: Path) -> None:
    first = take(root)
    cache = Path(first.folder) / "sub" / "__pycache__"
    cache.parent.chmod(0o755)
    cache.mkdir()
    (cache / "x.cpython-312.pyc").write_bytes(b"x")
    assert is_whole(first.folder, first.digest)


def test_a_file_that_changes_while_it_is_copied_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = copying.copy, []

    def copy(source: str, destination: str, mode: int):
        if source.endswith("data.csv") and not seen:
            seen.append(source)
            Path(source).write_text("changed meanwhile")
        return real(source, destination, mode)

    monkeypatch.setattr(copying, "copy", copy)
    taken = take(root)
    assert (Path(taken.folder) / "sub/data.csv").read_text() == "changed meanwhile"
    assert is_whole(taken.folder, taken.digest)


def test_a_file_that_never_rests_is_taken_as_it_was_copied(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = copying.copy, []

    def copy(source: str, destination: str, mode: int):
        if source.endswith("data.csv"):
            count.append(source)
            Path(source).write_text("x" * len(count))
        return real(source, destination, mode)

    monkeypatch.setattr(copying, "copy", copy)
    taken = take(root)
    assert is_whole(taken.folder, taken.digest)
    assert (Path(taken.folder) / "sub/data.csv").read_text() == "x" * len(count)


def test_a_file_that_vanishes_while_it_is_read_is_no_longer_of_the_package(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = copying.hashed, []

    def hashed(source: str):
        if source.endswith("data.csv") and not seen:
            seen.append(source)
            Path(source).unlink()
        return real(source)

    monkeypatch.setattr(copying, "hashed", hashed)
    assert not (Path(take(root).folder) / "sub/data.csv").exists()


def test_an_interrupted_copy_is_never_used_and_is_cleaned_up(root: Path) -> None:
    parent = Path(os.environ["KEDGE_HOME"]) / "snapshots"
    code = (
        "import os, sys; from kedge.package import copying, snapshot\n"
        "real = copying.copy\n"
        "def copy(source, destination, mode):\n"
        "    real(source, destination, mode)\n"
        "    os.kill(os.getpid(), 9)\n"
        "copying.copy = copy\n"
        "snapshot.snapshot(sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(root)], check=False)
    assert ended.returncode == -9
    (left,) = parent.iterdir()
    assert left.name.startswith(".new-")
    taken = take(root)
    assert [path.name for path in parent.iterdir()] == [taken.digest]


def test_a_copy_being_made_by_another_is_left_alone(root: Path) -> None:
    parent = os.path.join(os.environ["KEDGE_HOME"], "snapshots")
    os.makedirs(parent)
    with staging.new_folder(parent) as other:
        Path(other, "half").write_text("")
        take(root)
        assert Path(other, "half").exists()
    assert not os.path.exists(other)


def test_many_processes_at_once_agree(root: Path, kedge_home: Path) -> None:
    code = (
        "import sys; from kedge.package import snapshot, copying, files, staging\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "taken = snapshot.snapshot(sys.argv[1])\n"
        "print(taken.digest, snapshot.is_whole(taken.folder, taken.digest))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all are waiting: now they go
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate()[0].strip() for process in processes}
    assert answers == {f"{take(root).digest} True"}
    assert len(list((kedge_home / "snapshots").iterdir())) == 1


def test_a_script_snapshot_holds_the_script_alone(root: Path) -> None:
    script = root / "beam.py"
    script.write_text("x = 1\n")
    taken = settle(script)
    assert sorted(path.name for path in Path(taken.folder).iterdir()) == [
        "beam.py",
        "in",
        "out",
        "scratch",
    ]
    (root / "other.py").write_text("")
    assert take(script) == taken
    script.write_text("x = 2\n")
    assert take(script).digest != taken.digest


def test_an_unprivileged_user_makes_and_remakes_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o777)
        as_root = os.geteuid() == 0
        if as_root:
            os.seteuid(65534)
        try:
            monkeypatch.setenv("KEDGE_HOME", f"{name}/home")
            package = Path(name, "pkg")
            (package / "sub").mkdir(parents=True)
            (package / "sub/x.py").write_text("x = 1\n")
            first = take(package)
            with snapshot.writable(first.folder):
                Path(first.folder, "sub/__pycache__").mkdir()
            assert stat.S_IMODE(os.stat(f"{first.folder}/sub/__pycache__").st_mode) == 0o555
            assert stat.S_IMODE(os.stat(f"{first.folder}/sub").st_mode) == 0o555
            staging.withdraw(first.folder)
            assert not os.path.exists(first.folder)
            assert take(package) == first
            assert is_whole(first.folder, first.digest)
            (package / "sub/x.py").chmod(0)
            with pytest.raises(PackageError, match="cannot be read"):
                take(package)
            staging.remove(f"{name}/home")
            assert not os.path.exists(f"{name}/home")
        finally:
            if as_root:
                os.seteuid(0)


def test_files_on_a_disk_that_shares_blocks_are_copied_by_them(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(os.urandom(3 << 20))
    content, stamp = copying.copy(str(source), str(tmp_path / "b"), 0o444)
    assert (tmp_path / "b").read_bytes() == source.read_bytes()
    assert (content, stamp) == copying.hashed(str(source))
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o444


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
entries = st.builds(Entry, names, st.sampled_from(["file", "program", "symlink"]), names)
packages = st.lists(entries, max_size=5, unique_by=lambda entry: entry.path)


@given(packages, packages)
def test_digests_are_equal_exactly_when_the_entries_are(
    one: list[Entry], other: list[Entry]
) -> None:
    assert (digest_of(one) == digest_of(other)) == (sorted(one) == sorted(other))


@given(packages, st.randoms())
def test_the_order_of_entries_does_not_matter(package: list[Entry], random) -> None:
    shuffled = list(package)
    random.shuffle(shuffled)
    assert digest_of(shuffled) == digest_of(package)
