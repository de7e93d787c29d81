"""What a run wrote is moved out whole, judged at once, and never followed anywhere."""

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.contract.workspace import Collected, Workspace, collect, prepare
from kedge.errors import StoreError
from kedge.ports import Ports

_FILE = {"type": "string", "format": "binary", "x-type": "File"}
_PDF = _FILE | {"x-extensions": ["pdf"]}
_FILES = {"type": "array", "items": _FILE}
_FOLDER = {"type": "string", "format": "binary", "x-type": "Folder"}
_NUMBER = {"type": "number"}
_NONE = Ports({}, frozenset(), None)
_STRANGER = 54321


def _ports(**properties: dict[str, Any]) -> Ports:
    return Ports(properties, frozenset(properties), None)


class _Run:
    """A workspace that the test writes into as the code would."""

    def __init__(self, root: Path, outputs: Ports) -> None:
        self.root = root
        self.outputs = outputs
        self.workspace = prepare(str(root / "workspace"), None, _NONE, outputs, {})
        self.out = root / "workspace" / "out"
        self.kept = root / "kept"

    def data(self, value: Any) -> "_Run":
        (self.out / "data.json").write_text(json.dumps(value))
        return self

    def file(self, name: str, content: str = "x") -> "_Run":
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return self

    def collect(self) -> Collected:
        if os.geteuid() == 0:  # as the code would have left it
            for folder, folders, files in os.walk(self.out):
                for name in [".", *folders, *files]:
                    path = os.path.join(folder, name)
                    os.chown(path, _STRANGER, _STRANGER, follow_symlinks=False)
        return collect(self.workspace, self.outputs, str(self.kept))


def _words(collected: Collected) -> str:
    return "\n".join(problem.message for problem in collected.problems)


def test_everything_that_was_declared_is_collected(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER, report=_PDF, plots=_FILES, case=_FOLDER))
    run.data({"stress": 132.696})
    run.file("files/report.PDF", "the report").file("files/plots/b.png").file("files/plots/a.png")
    run.file("files/case/0/U", "velocity").file("artifacts/logs/solver.txt", "converged")
    found = run.collect()
    assert (found.problems, found.warnings) == ([], [])
    assert found.data == {"stress": 132.696}
    files = tmp_path / "kept" / "files"
    assert found.files == {
        "report": str(files / "report.PDF"),
        "plots": [str(files / "plots" / "a.png"), str(files / "plots" / "b.png")],
        "case": str(files / "case"),
    }
    assert (files / "report.PDF").read_text() == "the report"
    assert (files / "case" / "0" / "U").read_text() == "velocity"
    (artifact,) = found.artifacts.items()
    assert artifact == (
        "logs/solver.txt",
        {
            "uri": f"file://{tmp_path}/kept/artifacts/logs/solver.txt",
            "size": 9,
            "sha256": hashlib.sha256(b"converged").hexdigest(),
        },
    )
    for folder, folders, names in os.walk(tmp_path / "kept"):
        for name in [*folders, *names]:
            info = os.lstat(os.path.join(folder, name))
            assert (info.st_uid, info.st_gid) == (os.geteuid(), os.getegid())
            assert info.st_mode & 0o7022 == 0


def test_nothing_declared_and_nothing_written_is_fine(tmp_path: Path) -> None:
    assert _Run(tmp_path, _NONE).collect() == Collected()
    assert os.listdir(tmp_path / "kept") == []


def test_a_missing_data_json_names_what_it_should_hold(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER, load=_NUMBER, report=_PDF)).file("files/report.pdf")
    found = run.collect()
    (problem,) = found.problems
    assert problem.message == "`out/data.json` is missing; it should hold `load`, `stress`"
    assert problem.hint
    assert "report" in found.files


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER, report=_PDF, mesh=_FILE, plots=_FILES))
    run.out.joinpath("data.json").write_text('{"stress": NaN}')
    os.symlink("/etc/shadow", run.out / "files" / "report.pdf")
    run.file("files/mesh.med").file("files/mesh.stp").file("files/plots").file("files/stress.txt")
    found = run.collect()
    told = _words(found)
    assert "holds NaN" in told
    assert "`out/files/report.pdf` is a symbolic link, where a file is expected" in told
    assert "mesh" in told
    assert "`out/files/plots` is a file, where a folder is expected" in told
    assert "`out/files/stress.txt` is a file, but the output `stress` is not" in told
    assert len(found.problems) == 5
    assert all(problem.hint for problem in found.problems)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "is a list"),
        (b'{"stress": 1, "stress": 2}', "twice"),
        (b'{"stress": Infinity}', "Infinity"),
        (b'{"stress": "\xff"}', "not UTF-8"),
        (b'{"stress": ' + b"[" * 100_000, "nested"),
    ],
)
def test_a_data_json_that_cannot_be_used_is_told_and_kept(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER))
    (run.out / "data.json").write_bytes(content)
    found = run.collect()
    assert reason in _words(found)
    assert len(found.problems) == 1
    assert found.data == {}
    assert (tmp_path / "kept" / "data.json").read_bytes() == content


def test_a_data_json_of_a_terabyte_of_nothing_is_not_read(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER))
    (run.out / "data.json").touch()
    os.truncate(run.out / "data.json", 1 << 40)
    assert "has 1099511627776 bytes" in _words(run.collect())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_data_json_that_is_no_file_is_told(tmp_path: Path, kind: str) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER))
    path = run.out / "data.json"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    found = run.collect()
    assert f"{kind.replace('link', 'symbolic link').replace('pipe', 'named pipe')}" in _words(found)
    assert len(found.problems) == 1


@pytest.mark.parametrize("kind", ["gone", "link", "file", "pipe"])
def test_an_out_that_was_removed_or_replaced_is_told(tmp_path: Path, kind: str) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER))
    shutil.rmtree(run.out)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "data.json").write_text('{"stress": 1}')
    if kind == "link":
        run.out.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        run.out.touch()
    elif kind == "pipe":
        os.mkfifo(run.out)
    found = collect(run.workspace, run.outputs, str(run.kept))
    assert _words(found).startswith("the folder `out` is ")
    assert (found.data, found.files) == ({}, {})
    assert os.listdir(tmp_path / "elsewhere") == ["data.json"]


@pytest.mark.parametrize("name", ["files", "artifacts"])
def test_a_folder_of_out_that_leads_elsewhere_is_not_entered(tmp_path: Path, name: str) -> None:
    run = _Run(tmp_path, _ports(report=_PDF))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "report.pdf").touch()
    shutil.rmtree(run.out / name)
    (run.out / name).symlink_to(tmp_path / "elsewhere")
    found = run.collect()
    assert f"`out/{name}` is a symbolic link" in _words(found) + "".join(found.warnings)
    assert (found.files, found.artifacts) == ({}, {})
    assert os.listdir(tmp_path / "elsewhere") == ["report.pdf"]


def test_artifacts_that_lead_elsewhere_are_left_out_with_a_warning(tmp_path: Path) -> None:
    run = _Run(tmp_path, _NONE).file("artifacts/fine.txt")
    os.symlink("/etc/shadow", run.out / "artifacts" / "shadow")
    os.symlink("/etc", run.out / "artifacts" / "etc")
    os.mkfifo(run.out / "artifacts" / "pipe")
    found = run.collect()
    assert list(found.artifacts) == ["fine.txt"]
    assert found.problems == []
    (warning,) = found.warnings
    for name in ("shadow", "etc", "pipe"):
        assert f"`artifacts/{name}`" in warning
    assert os.listdir(tmp_path / "kept" / "artifacts") == ["fine.txt"]


def test_links_inside_a_folder_output_are_left_out(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(case=_FOLDER)).file("files/case/file")
    os.symlink("/etc/passwd", run.out / "files" / "case" / "passwd")
    found = run.collect()
    assert found.problems == []
    assert "files/case" not in found.warnings
    assert "`case/passwd` (a symbolic link)" in found.warnings[0]
    assert os.listdir(found.files["case"]) == ["file"]  # type: ignore[arg-type]


def test_what_no_port_declares_is_kept_aside_with_a_warning(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(report=_PDF)).file("files/report.pdf").file("files/extra.csv", "e")
    run.file("files/folder/in").file("result.csv", "r").file("progress.jsonl").file("_error.json")
    found = run.collect()
    assert found.problems == []
    (warning,) = found.warnings
    for name in ("`out/files/extra.csv`", "`out/files/folder`", "`out/result.csv`"):
        assert name in warning
    kept = tmp_path / "kept" / "undeclared"
    assert (kept / "files" / "extra.csv").read_text() == "e"
    assert (kept / "result.csv").read_text() == "r"
    assert sorted(os.listdir(kept)) == ["files", "result.csv"]
    assert (run.out / "progress.jsonl").exists()
    assert (run.out / "_error.json").exists()


def test_what_a_killed_runner_had_not_finished_is_not_the_codes(tmp_path: Path) -> None:
    run = _Run(tmp_path, _NONE).file("data.json.2.partial").file("_runner_error.json.17.partial")
    assert run.file("data.json.mine.partial").collect().problems == []
    assert os.listdir(run.kept / "undeclared") == ["data.json.mine.partial"]


def test_open_outputs_take_files_of_any_good_name(tmp_path: Path) -> None:
    run = _Run(tmp_path, Ports({"stress": _NUMBER}, frozenset({"stress"}), {}))
    run.data({"stress": 1.0, "more": [1]}).file("files/plot.png").file("files/_hidden.txt")
    found = run.collect()
    assert found.problems == []
    assert found.data == {"stress": 1.0, "more": [1]}
    assert found.files == {"plot": str(tmp_path / "kept" / "files" / "plot.png")}
    assert "_hidden" in found.warnings[0]


def test_the_list_that_the_code_rewrote_is_not_believed(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(report=_PDF))
    (run.out / "files" / "list.json").unlink()
    run.file("files/list.json", '{"required": [], "optional": []}')
    assert "report" in _words(run.collect())
    (tmp_path / "other").mkdir()
    other = _Run(tmp_path / "other", _ports(report=_PDF))
    (other.out / "files" / "list.json").unlink()
    os.symlink("/etc/shadow", other.out / "files" / "list.json")
    found = other.file("files/report.pdf").collect()
    assert (found.problems, found.warnings) == ([], [])


def test_a_port_that_came_both_ways_is_told(tmp_path: Path) -> None:
    run = (
        _Run(tmp_path, _ports(report=_PDF)).data({"report": "report.pdf"}).file("files/report.pdf")
    )
    assert "`report` stands in out/data.json" in _words(run.collect())


def test_values_that_no_port_declares_are_kept_aside_with_a_warning(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER)).data({"stress": 1.0, "_run": {}, "extra": 2})
    found = run.collect()
    assert found.problems == []
    assert found.data == {"stress": 1.0}
    (warning,) = found.warnings
    assert "`out/data.json: _run`" in warning
    assert "`out/data.json: extra`" in warning
    kept = json.loads((tmp_path / "kept" / "undeclared" / "data.json").read_text())
    assert kept == {"stress": 1.0, "_run": {}, "extra": 2}


def test_of_very_many_problems_the_first_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    listed = {"type": "array", "items": _PDF}
    run = _Run(tmp_path, _ports(plots=listed, mesh=_FILE))
    for number in range(500):
        run.file(f"files/plots/{number}.png").file(f"files/mesh.{number}")
    found = run.collect()
    assert len(found.problems) == 102
    assert "`mesh` is one file, and 500 were written: `mesh.0`" in found.problems[0].message
    assert len(found.problems[0].message) < 300
    assert found.problems[-1].message == "400 more outputs are wrong"


def test_a_wrong_extension_is_told_whatever_its_case(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(report=_PDF, other=_PDF)).file("files/report.Pdf")
    found = run.file("files/other.TXT").collect()
    (problem,) = found.problems
    assert ".TXT" in problem.message
    assert problem.where is not None
    assert problem.where.path == "other"


def test_files_that_nobody_may_read_or_move_come_all_the_same(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(case=_FOLDER, report=_PDF)).file("files/report.pdf", "r")
    run.file("files/case/deep/file", "d")
    (run.out / "files" / "report.pdf").chmod(0)
    (run.out / "files" / "case" / "deep" / "file").chmod(0)
    (run.out / "files" / "case" / "deep").chmod(0)
    (run.out / "files" / "case").chmod(0o500)
    found = run.collect()
    assert found.problems == []
    assert Path(str(found.files["report"])).read_text() == "r"
    assert (Path(str(found.files["case"])) / "deep" / "file").read_text() == "d"
    assert stat.S_IMODE(os.stat(str(found.files["report"])).st_mode) == 0o600


_NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.lists(_NAMES, max_size=6, unique=True),
    artifacts=st.lists(_NAMES, max_size=6, unique=True),
)
def test_any_names_are_collected_and_told(tmp_path_factory, files, artifacts) -> None:
    run = _Run(tmp_path_factory.mktemp("run"), Ports({"mesh": _FILE}, frozenset(), None))
    for folder, names in (("files", files), ("artifacts", artifacts)):
        for name in names:
            if name != b"list.json":
                Path(os.fsdecode(os.fsencode(run.out / folder) + b"/" + name)).write_bytes(name)
    found = run.collect()
    assert len(found.artifacts) == len(artifacts)
    for artifact in found.artifacts.values():
        path = unquote_to_bytes(urlsplit(artifact["uri"]).path)
        with open(path, "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == artifact["sha256"]
    json.dumps([found.artifacts, found.warnings], ensure_ascii=False).encode()
    assert _words(found).isprintable()


def test_of_very_many_files_all_are_kept_and_the_words_stay_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kedge.contract.artifacts.LISTED", 1_000)
    run = _Run(tmp_path, _ports(case=_FOLDER))
    (run.out / "files" / "case").mkdir()
    for number in range(3_000):
        for folder in ("files", "files/case", "artifacts"):
            os.close(os.open(run.out / folder / f"f{number}", os.O_CREAT | os.O_WRONLY))
    found = run.collect()
    assert found.problems == []
    assert len(os.listdir(str(found.files["case"]))) == 3_000
    assert len(found.artifacts) == 1_000
    assert len(os.listdir(tmp_path / "kept" / "artifacts")) == 3_000
    assert any("2000 artifacts are kept but not listed" in warning for warning in found.warnings)
    assert sum(len(warning) for warning in found.warnings) < 2_000


def test_a_great_hole_is_kept_but_not_hashed(tmp_path: Path) -> None:
    run = _Run(tmp_path, _NONE).file("artifacts/hole").file("artifacts/fine")
    os.truncate(run.out / "artifacts" / "hole", 1 << 42)
    found = run.collect()
    assert list(found.artifacts) == ["fine"]
    assert "1 artifacts are kept but not listed" in found.warnings[0]


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    run = _Run(tmp_path, _NONE)
    (tmp_path / "kept").write_text("in the way")
    with pytest.raises(StoreError, match="kept") as told:
        run.collect()
    assert told.value.hint


def test_a_workspace_without_the_package_is_enough(tmp_path: Path) -> None:
    run = _Run(tmp_path, _ports(stress=_NUMBER)).data({"stress": 1.0})
    again = Workspace(run.workspace.folder, "/a/snapshot")
    assert collect(again, run.outputs, str(run.kept)).data == {"stress": 1.0}


@pytest.mark.parametrize("outputs", [_NONE, Ports(open={}), _ports(report=_PDF)])
def test_without_an_answer_a_function_that_gives_one_did_not_return(
    tmp_path: Path, outputs: Ports
) -> None:
    run = _Run(tmp_path, outputs).file("files/report.pdf" if outputs.properties else "artifacts/x")
    found = collect(run.workspace, run.outputs, str(run.kept), answers=True)
    assert [problem.message for problem in found.problems] == [
        "`out/data.json` is missing: the program ended before the function had returned"
    ]
