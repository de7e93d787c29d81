"""What a package can be named by, and archives that cannot reach outside."""

import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.errors import KedgeError, PackageError, UnknownName
from kedge.package import archive
from kedge.package.manifest import load
from kedge.package.snapshot import snapshot
from kedge.package.source import open_package

MANIFEST = 'name: x\nruntime: {kind: python, version: "3.12"}\nfunctions: {f: {handler: "m:f"}}\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg/kedge.yml").write_text(MANIFEST)
    (folder / "pkg/m.py").write_text("def f(): ...\n")
    (folder / "beam.py").write_text("def f(): ...\n")
    monkeypatch.chdir(folder)
    return folder


def test_folders_manifests_and_scripts_are_packages(here: Path) -> None:
    for argument in ("pkg", "./pkg/", "pkg/kedge.yml", str(here / "pkg")):
        source = open_package(argument)
        assert (source.root, source.function, source.script) == (str(here / "pkg"), None, False)
    source = open_package("beam.py")
    assert (source.root, source.function, source.script) == (str(here / "beam.py"), None, True)
    source = open_package("beam.py:deflection")
    assert (source.root, source.function, source.script) == (
        str(here / "beam.py"),
        "deflection",
        True,
    )


@pytest.mark.parametrize(
    ("argument", "error", "hint"),
    [
        ("pgk", UnknownName, "`pkg`"),
        ("bean.py", UnknownName, "`beam.py`"),
        ("bean.py:f", UnknownName, "`beam.py`"),
        ("pkg:f", UnknownName, "pkg f"),
        ("no/such/place", UnknownName, "not there either"),
        ("", UnknownName, "name a folder"),
        ("a\0b", UnknownName, "name a folder"),
        ("beam.py:", UnknownName, "file.py:function"),
        ("beam.py:a.b", UnknownName, "file.py:function"),
        (".", PackageError, "kedge init"),
        ("pkg/m.txt", PackageError, "kedge.yml"),
        ("pipe", PackageError, "name a folder"),
        ("dangling", PackageError, "name a folder"),
        ("x" * 5000, UnknownName, ""),
    ],
)
def test_what_is_no_package_is_refused_with_a_hint(
    here: Path, argument: str, error: type[KedgeError], hint: str
) -> None:
    (here / "pkg/m.txt").write_text("")
    os.mkfifo(here / "pipe")
    (here / "dangling").symlink_to("nothing")
    with pytest.raises(error) as caught:
        open_package(argument)
    assert hint in (caught.value.hint or "")


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    info.filename = name  # as it is: the constructor would clean it
    return info


def packed(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes | str]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, data in members:
            writer.writestr(name, data)
    return str(path)


def test_an_archive_is_the_package_it_holds(here: Path) -> None:
    whole = packed(
        here / "a.zip",
        ("kedge.yml", MANIFEST),
        ("m.py", "def f(): ...\n"),
        (entry("run.sh", stat.S_IFREG | 0o755), "#!/bin/sh\n"),
        (entry("data/link", stat.S_IFLNK | 0o777), "../m.py"),
        (entry("empty/", stat.S_IFDIR | 0o755), ""),
    )
    root = Path(open_package(whole).root)
    assert load(str(root)).name == "x"
    assert (root / "data/link").readlink() == Path("../m.py")
    assert os.access(root / "run.sh", os.X_OK)
    assert open_package(whole).root == str(root)
    assert snapshot(str(root)).digest


def test_a_single_folder_at_the_top_is_left_away(here: Path) -> None:
    bare = packed(here / "a.zip", ("kedge.yml", MANIFEST), ("m.py", ""))
    topped = packed(
        here / "b.zip",
        ("x-1.0/kedge.yml", MANIFEST),
        ("x-1.0/m.py", ""),
        ("__MACOSX/x-1.0/._m.py", "junk"),
    )
    assert snapshot(open_package(bare).root).digest == snapshot(open_package(topped).root).digest


def test_an_archive_that_changes_is_unpacked_anew(here: Path) -> None:
    first = open_package(packed(here / "a.zip", ("kedge.yml", MANIFEST))).root
    second = open_package(packed(here / "a.zip", ("kedge.yml", MANIFEST), ("m.py", "x"))).root
    assert first != second


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([(entry("/etc/passwd"), "x")], "absolute"),
        ([(entry("../x"), "x")], "climbs out"),
        ([(entry("a/../../x"), "x")], "climbs out"),
        ([(entry("a/.."), "x")], "climbs out"),
        ([("a", "1"), (entry("a"), "2")], "twice"),
        ([("a", "1"), (entry("./a"), "2")], "twice"),
        ([("a", "1"), ("a/b", "2")], "not a folder"),
        ([(entry("link", stat.S_IFLNK), "/etc"), ("link/passwd", "x")], "not a folder"),
        ([(entry("link", stat.S_IFLNK), "../x")], "leads out"),
        ([(entry("link", stat.S_IFLNK), "/etc/passwd")], "leads out"),
        ([(entry("a/link", stat.S_IFLNK), "../../x")], "leads out"),
        ([(entry("link", stat.S_IFLNK), "")], "leads out"),
        ([(entry("link", stat.S_IFLNK), "x" * 10_000)], "leads out"),
        ([(entry("dev", stat.S_IFCHR | 0o666), "")], "neither a file"),
        ([(entry("pipe", stat.S_IFIFO | 0o666), "")], "neither a file"),
        ([(entry("d/" * 80 + "x"), "")], "too deep"),
        ([(entry("n" * 300), "")], "too long"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_reaches_outside_is_refused(here: Path, members: list, words: str) -> None:
    path = packed(here / "a.zip", ("kedge.yml", MANIFEST), *members)
    with pytest.raises(PackageError, match=words):
        open_package(path)
    packages = Path(os.environ["KEDGE_HOME"]) / "packages"
    assert list(packages.iterdir()) == []
    assert not (here.parent / "x").exists()


def test_an_archive_is_bounded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(here / "a.zip", ("kedge.yml", MANIFEST), ("zeros", b"\0" * 100_000))
    monkeypatch.setattr(archive, "MAX_BYTES", 50_000)
    with pytest.raises(PackageError, match="at most"):
        open_package(path)
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "MAX_FILES", 1)
    with pytest.raises(PackageError, match="at most"):
        open_package(path)


def test_an_archive_that_lies_about_its_size_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(packed(here / "a.zip", ("kedge.yml", MANIFEST), ("zeros", b"\0" * 100_000)))
    data = path.read_bytes()
    path.write_bytes(data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(PackageError):
        open_package(str(path))


def test_an_archive_without_a_manifest_says_so_by_its_own_name(here: Path) -> None:
    with pytest.raises(PackageError, match=r"a.zip` has no manifest"):
        open_package(packed(here / "a.zip", ("m.py", "")))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 400), data=st.binary(max_size=6))
def test_any_damage_to_an_archive_is_refused_or_harmless(here: Path, at: int, data: bytes) -> None:
    path = Path(packed(here / "fuzz.zip", ("kedge.yml", MANIFEST), ("d/m.py", "x" * 50)))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + data + whole[at + len(data) :])
    try:
        root = open_package(str(path)).root
    except PackageError as error:
        assert all(problem.hint for problem in error.problems)
    else:
        packages = os.path.join(os.environ["KEDGE_HOME"], "packages")
        assert os.path.dirname(root) == packages
        shutil.rmtree(packages)
