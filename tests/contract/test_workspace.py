"""What the code finds when it starts: values, places for files, folders with the right modes."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.contract import workspace
from kedge.contract.workspace import StagedFile, prepare
from kedge.errors import StoreError
from kedge.ports import Ports

_FILE = {"type": "string", "format": "binary", "x-type": "File"}
_FILES = {"type": "array", "items": _FILE}
_FOLDER = {"type": "string", "format": "binary", "x-type": "Folder"}
_TABLE = {"type": "string", "format": "binary", "x-type": "Table"}
_NUMBER = {"type": "number"}


def _ports(open: dict[str, Any] | None = None, **properties: dict[str, Any]) -> Ports:
    return Ports(properties, frozenset(properties), open)


_NONE = _ports()


def _prepared(tmp_path: Path, inputs: Ports, values: dict[str, Any]) -> workspace.Workspace:
    return prepare(str(tmp_path / "workspace"), None, inputs, _NONE, values)


def _file(path: Path, content: str = "x") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return str(path)


def test_values_and_files_are_told_apart(tmp_path: Path) -> None:
    mesh = _file(tmp_path / "wing.MED")
    inputs = _ports(load=_NUMBER, mesh=_FILE, note={"anyOf": [_FILE, {"type": "null"}]})
    values = {"load": 12.5, "mesh": mesh, "note": None}
    found = _prepared(tmp_path, inputs, values)
    root = tmp_path / "workspace"
    assert json.loads((root / "in" / "data.json").read_text()) == {"load": 12.5, "note": None}
    assert found.files == (StagedFile(mesh, "in/files/mesh.MED"),)
    assert os.listdir(root / "in" / "files") == ["mesh.MED"]
    assert (root / "in" / "files" / "mesh.MED").read_bytes() == b""
    assert sorted(os.listdir(root)) == ["in", "out", "scratch"]
    assert sorted(os.listdir(root / "out")) == ["artifacts", "files"]
    assert os.listdir(root / "scratch") == []


def test_open_inputs_are_values(tmp_path: Path) -> None:
    _prepared(tmp_path, _ports(open={}), {"anything": [1, {"é": "\ud800"}]})
    data = json.loads((tmp_path / "workspace" / "in" / "data.json").read_text())
    assert data == {"anything": [1, {"é": "\ud800"}]}


def test_the_list_of_files_says_which_are_required(tmp_path: Path) -> None:
    outputs = Ports(
        {"stress": _NUMBER, "report": _FILE, "plots": _FILES, "table": _TABLE},
        frozenset({"stress", "report"}),
        None,
    )
    prepare(str(tmp_path / "workspace"), "/snapshot", _NONE, outputs, {})
    listed = json.loads((tmp_path / "workspace" / "out" / "files" / "list.json").read_text())
    assert listed == {"required": ["report"], "optional": ["plots", "table"]}


@pytest.mark.parametrize(
    ("name", "declared", "staged"),
    [
        ("wing.med", (), "mesh.med"),
        ("wing.v2.med", (), "mesh.med"),
        ("wing.tar.gz", (), "mesh.tar.gz"),
        ("wing.v2.tar.GZ", (), "mesh.tar.GZ"),
        ("wing v1.0 final.gz", (), "mesh.gz"),
        ("wing", (), "mesh"),
        (".wing", (), "mesh"),
        ("wing.", (), "mesh"),
        ("wing.x.res.MED", ("med", "res.med"), "mesh.res.MED"),
        ("a.e\nvil", (), "mesh"),
        ("a." + "x" * 200, (), "mesh"),
        (os.fsdecode(b"a.\xff"), (), "mesh"),
        ("a.été", (), "mesh.été"),
    ],
)
def test_a_file_keeps_the_callers_extension(
    tmp_path: Path, name: str, declared: tuple[str, ...], staged: str
) -> None:
    source = _file(tmp_path / "files" / name)
    schema = _FILE | {"x-extensions": list(declared)} if declared else _FILE
    found = _prepared(tmp_path, _ports(mesh=schema), {"mesh": source})
    assert found.files == (StagedFile(source, f"in/files/{staged}"),)
    assert os.listdir(tmp_path / "workspace" / "in" / "files") == [staged]


def test_sources_are_absolute_and_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(tmp_path / "real" / "wing.med")
    (tmp_path / "link.stp").symlink_to("real/wing.med")
    monkeypatch.chdir(tmp_path)
    found = _prepared(tmp_path, _ports(mesh=_FILE), {"mesh": "link.stp"})
    assert found.files == (StagedFile(str(tmp_path / "real" / "wing.med"), "in/files/mesh.stp"),)


def test_a_folder_is_one_place(tmp_path: Path) -> None:
    _file(tmp_path / "case.v2" / "0" / "U")
    found = _prepared(tmp_path, _ports(case=_FOLDER), {"case": str(tmp_path / "case.v2")})
    assert found.files == (StagedFile(str(tmp_path / "case.v2"), "in/files/case"),)
    assert os.listdir(tmp_path / "workspace" / "in" / "files" / "case") == []


@pytest.mark.parametrize(
    ("names", "staged"),
    [
        ([], []),
        (["a.csv", "b.csv"], ["a.csv", "b.csv"]),
        (["b.csv", "a.csv"], ["0-b.csv", "1-a.csv"]),
        (["1/a.csv", "2/a.csv"], ["0-a.csv", "1-a.csv"]),
        (["A.csv", "a.csv"], ["0-A.csv", "1-a.csv"]),
        (["a\n.csv"], ["0-a_.csv"]),
        ([f"{n}.csv" for n in range(11)], [f"{n:02}-{n}.csv" for n in range(11)]),
    ],
)
def test_a_list_of_files_keeps_names_and_order(
    tmp_path: Path, names: list[str], staged: list[str]
) -> None:
    sources = [_file(tmp_path / "given" / name) for name in names]
    found = _prepared(tmp_path, _ports(tables=_FILES), {"tables": sources})
    assert [(file.source, file.name) for file in found.files] == [
        (source, f"in/files/tables/{name}") for source, name in zip(sources, staged, strict=True)
    ]
    assert sorted(os.listdir(tmp_path / "workspace" / "in" / "files" / "tables")) == staged


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.binary(min_size=1, max_size=255).filter(
            lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
        ),
        max_size=12,
    )
)
def test_any_file_names_can_stand_beside_each_other_in_order(tmp_path_factory, names) -> None:
    folder = tmp_path_factory.mktemp("list")
    sources = [os.fsdecode(b"/somewhere/" + name) for name in names]
    found = _prepared(folder, _ports(tables=_FILES), {"tables": sources})
    staged = sorted(os.listdir(folder / "workspace" / "in" / "files" / "tables"))
    assert [f"in/files/tables/{name}" for name in staged] == [file.name for file in found.files]
    assert [file.source for file in found.files] == [os.path.realpath(name) for name in sources]
    assert all(name.isprintable() and len(os.fsencode(name)) <= 255 for name in staged)


def test_others_may_read_the_inputs_and_nobody_but_the_owner_writes(tmp_path: Path) -> None:
    mesh = _file(tmp_path / "wing.med")
    before = os.umask(0o077)
    try:
        inputs = _ports(mesh=_FILE, tables=_FILES)
        _prepared(tmp_path, inputs, {"mesh": mesh, "tables": [mesh]})
    finally:
        os.umask(before)
    for folder, _, files in os.walk(tmp_path / "workspace"):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o755
        for name in files:
            mode = stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
            assert mode in (0o444, 0o644), name


def test_a_workspace_is_never_laid_over_another(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    with pytest.raises(StoreError, match="workspace"):
        _prepared(tmp_path, _NONE, {})
    with pytest.raises(StoreError, match="cannot be made"):
        prepare(str(tmp_path / "absent" / "workspace"), None, _NONE, _NONE, {})
