"""Which files are the package."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.errors import PackageError
from kedge.package import files
from kedge.package.files import package_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pkg"
    folder.mkdir()
    (folder / "kedge.yml").write_text("name: x\n")
    return folder


def paths(root: Path) -> list[str]:
    return [file.path for file in package_files(str(root))]


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_regular_files_below_the_root_in_the_order_of_their_bytes(root: Path) -> None:
    write(root, "b.py", "a/z.py", "a.py", "a-b.py", "a/deep/er/x.txt")
    assert paths(root) == ["a-b.py", "a.py", "a/deep/er/x.txt", "a/z.py", "b.py", "kedge.yml"]


def test_odd_names_are_names(root: Path) -> None:
    odd = ["with space.txt", "été.txt", "line\nbreak", "-dash", "A.py", "a.py", "IN", "Out.txt"]
    write(root, *odd)
    (root / os.fsdecode(b"\xff\xfe.bin")).write_bytes(b"")
    assert set(paths(root)) == {*odd, "kedge.yml", os.fsdecode(b"\xff\xfe.bin")}


def test_modes_and_sizes_are_told(root: Path) -> None:
    write(root, "run.sh")
    (root / "run.sh").chmod(0o700)
    found = {file.path: file for file in package_files(str(root))}
    assert (found["run.sh"].mode, found["run.sh"].size) == (0o755, 6)
    assert found["kedge.yml"].mode == 0o644


def test_tools_folders_are_never_of_the_package(root: Path) -> None:
    write(
        root, ".git/config", "sub/.hg/x", "a/__pycache__/m.pyc", ".venv/x", "node_modules/x/y",
        "my.egg-info/PKG-INFO", "env-of-mine/pyvenv.cfg", "env-of-mine/lib/x.py", "conda/conda-meta/h",
        ".kedge/x", "sub/keep.py",
    )  # fmt: skip
    assert paths(root) == ["kedge.yml", "sub/keep.py"]


def test_a_git_file_of_a_worktree_is_left_out(root: Path) -> None:
    write(root, ".git", "sub/.git")
    assert paths(root) == ["kedge.yml"]


def test_kedges_own_home_inside_the_package_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "data/home/x", "data/y")
    monkeypatch.setenv("KEDGE_HOME", str(root / "data" / "home"))
    assert paths(root) == ["data/y", "kedge.yml"]


def test_kedgeignore_has_gitignores_syntax_and_takes_its_place(root: Path) -> None:
    write(
        root, "a.log", "b.txt", "data/drop.csv", "data/keep.csv", "build/x", "sub/build/y", "c.tmp"
    )
    (root / ".kedgeignore").write_text("*.log\n/data/*\n!/data/keep.csv\nbuild/\n# comment\n")
    (root / ".gitignore").write_text("*.tmp\nb.txt\n")
    assert paths(root) == [
        ".gitignore", ".kedgeignore", "b.txt", "c.tmp", "data/keep.csv", "kedge.yml",
    ]  # fmt: skip


def test_gitignores_count_for_their_own_folder_and_below(root: Path) -> None:
    write(root, "a.log", "sub/a.log", "sub/b.log", "sub/deep/b.log", "other/b.log", "b.log")
    (root / ".gitignore").write_text("a.log\n")
    (root / "sub/.gitignore").write_text("b.log\n!a.log\n")
    assert paths(root) == [
        ".gitignore", "b.log", "kedge.yml", "other/b.log", "sub/.gitignore", "sub/a.log",
    ]  # fmt: skip


def test_what_a_reserved_name_is_ignored_for_is_no_problem(root: Path) -> None:
    write(root, "out/result.txt")
    (root / ".gitignore").write_text("/out/\n")
    assert paths(root) == [".gitignore", "kedge.yml"]


def test_reserved_names_at_the_root_are_refused_all_at_once(root: Path) -> None:
    write(root, "in/x", "scratch", "sub/out/fine")
    with pytest.raises(PackageError) as caught:
        package_files(str(root))
    assert [problem.message.split("`")[1] for problem in caught.value.problems] == ["in", "scratch"]
    assert all(problem.hint for problem in caught.value.problems)


def test_symlinks_that_stay_inside_are_kept(root: Path) -> None:
    write(root, "real.txt", "sub/file.txt")
    (root / "link").symlink_to("real.txt")
    (root / "sub/up").symlink_to("../real.txt")
    (root / "folder").symlink_to("sub")
    (root / "self").symlink_to(".")
    (root / "dangling").symlink_to("nothing/here")
    (root / "loop-a").symlink_to("loop-b")
    (root / "loop-b").symlink_to("loop-a")
    (root / "absolute").symlink_to(root / "sub" / "file.txt")
    (root / "sub/absolute").symlink_to(root / "real.txt")
    links = {file.path: file.target for file in package_files(str(root)) if file.kind == "symlink"}
    assert links == {
        "link": "real.txt", "sub/up": "../real.txt", "folder": "sub", "self": ".",
        "dangling": "nothing/here", "loop-a": "loop-b", "loop-b": "loop-a",
        "absolute": "sub/file.txt", "sub/absolute": "../real.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a", "/etc/passwd"),
        ("a", "../outside"),
        ("sub/a", "../../outside"),
        ("a", "sub/../../pkg/kedge.yml"),
        ("a", "hop/../../outside"),
        ("a", "/"),
    ],
)
def test_symlinks_that_lead_out_are_refused_by_path(root: Path, name: str, target: str) -> None:
    write(root, "sub/x")
    (root / "hop").symlink_to("sub")
    (root / name).symlink_to(target)
    with pytest.raises(PackageError, match=f"`{name}` is a symlink that leads out"):
        package_files(str(root))


def test_a_symlink_out_by_way_of_another_is_refused(root: Path) -> None:
    (root / "first").symlink_to("..")
    (root / "second").symlink_to("first/secret")
    with pytest.raises(PackageError) as caught:
        package_files(str(root))
    assert len(caught.value.problems) == 2


def test_an_ignored_symlink_is_no_problem(root: Path) -> None:
    (root / "data").symlink_to("/mnt/somewhere")
    (root / ".kedgeignore").write_text("data\n")
    assert paths(root) == [".kedgeignore", "kedge.yml"]


def test_what_is_neither_file_nor_folder_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # a socket's path may only be 107 bytes long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(PackageError) as caught:
            package_files(str(root))
    assert {problem.message.split(",")[0] for problem in caught.value.problems} == {
        "`pipe` is a named pipe",
        "`socket` is a socket",
    }


def test_a_script_is_a_package_of_one_file(root: Path) -> None:
    write(root, "beam.py", "other.py")
    assert [file.path for file in package_files(str(root / "beam.py"))] == ["beam.py"]


def test_a_large_package_names_its_largest_files(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "a", "b")
    with (root / "huge.bin").open("wb") as file:
        file.truncate(files.LARGE_BYTES)
    (warning,) = files.contents(str(root)).warnings
    assert "huge.bin (200.0 MB)" in warning
    monkeypatch.setattr(files, "MANY_FILES", 2)
    (root / "huge.bin").unlink()
    assert len(files.contents(str(root)).warnings) == 1


def test_an_ignore_file_without_end_is_refused(root: Path) -> None:
    (root / ".kedgeignore").write_text("pattern\n" * 100_000)
    with pytest.raises(PackageError, match="larger than"):
        package_files(str(root))


@contextlib.contextmanager
def nobody() -> Iterator[Path]:
    """A folder of an unprivileged user's, and the rights of that user, whoever runs the tests."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)


def test_unreadable_files_and_folders_are_named() -> None:
    with nobody() as folder:
        write(folder, "kedge.yml", "closed/x")
        (folder / "closed").chmod(0)
        with pytest.raises(PackageError, match="closed` cannot be read"):
            package_files(str(folder))
        (folder / "closed").chmod(0o755)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(PackageError, match="cannot be read"):
        package_files("/nonexistent/package")
