"""The small parts: identities, staging, cancelling, variables, probing, choosing."""

import os
import select
import socket
import stat
from pathlib import Path

import pytest

from kedge.contract.variables import contract_variables
from kedge.errors import InputError, TaskError, Unavailable
from kedge.executor import Cancel, Job, cgroups, choose, executors
from kedge.executor import probe as probing
from kedge.executor.identity import claimed, needed
from kedge.executor.ownership import hand_over
from kedge.executor.staging import stage
from kedge.middleware import drive
from kedge.registry import UnknownKindError
from kedge.task import Resources


def readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def test_a_request_to_stop_stays_visible() -> None:
    cancel = Cancel()
    assert not readable(cancel.fileno())
    cancel.request()
    cancel.request()
    assert readable(cancel.fileno())
    assert not readable(cancel.forced_fileno())
    cancel.request(force=True)
    assert readable(cancel.forced_fileno())
    assert cancel.requested
    assert cancel.forced


def test_force_alone_is_a_request_too() -> None:
    cancel = Cancel()
    cancel.request(force=True)
    assert cancel.requested
    assert readable(cancel.fileno())


def test_a_cancel_that_is_gone_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        Cancel()
    assert len(os.listdir("/proc/self/fd")) == before


def test_every_run_that_goes_on_has_a_number_of_its_own() -> None:
    if not needed():
        return
    with claimed() as one, claimed() as other:
        assert one.uid != other.uid
        assert one.uid >= 1_900_000_000
    with claimed() as again:
        assert again == one


def test_what_is_somebody_elses_does_not_change_hands(tmp_path: Path) -> None:
    me = os.geteuid()
    (tmp_path / "mine").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "file").touch()
    hand_over(str(tmp_path), me, os.getegid(), owned_by=me + 1)
    assert os.stat("/etc/passwd").st_uid == 0
    if me == 0:
        os.chown(inner / "file", 4321, 4321)
        hand_over(str(tmp_path), 1234, 1234, owned_by=0)
        owners = {path.name: path.lstat().st_uid for path in tmp_path.rglob("*")}
        assert owners == {"mine": 1234, "link": 1234, "inner": 1234, "file": 4321}


def test_a_staged_file_is_a_likeness_and_not_the_same(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "in" / "copy"
    source.write_bytes(b"mesh" * 1000)
    stage(str(source), str(copy))
    assert copy.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o444
    source.write_bytes(b"changed")
    assert copy.read_bytes() == b"mesh" * 1000


def test_holes_are_not_copied(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    with open(source, "wb") as file:
        file.truncate(10 << 30)
        file.seek(3 << 30)
        file.write(b"x" * 5000)
    copied = stage(str(source), str(copy))
    assert copied < 1 << 20
    assert copy.stat().st_size == 10 << 30
    assert copy.stat().st_blocks * 512 < 1 << 20
    with open(copy, "rb") as file:
        file.seek((3 << 30) - 1)
        assert file.read(5002) == b"\0" + b"x" * 5000 + b"\0"


def test_a_folder_is_staged_with_all_that_is_in_it(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "file").write_text("x")
    stage(str(source), str(copy))
    assert (copy / "deep" / "er" / "file").read_text() == "x"
    for path in (copy, copy / "deep", copy / "deep" / "er"):
        path.chmod(0o755)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
    for name in ("pipe", "socket", "nothing"):
        with pytest.raises(InputError, match=name):
            stage(str(tmp_path / name), str(tmp_path / "copy"))


def test_contract_variables_follow_the_limits() -> None:
    said = contract_variables("/workspace", "r1", "bolts", "sizing", Resources(2.5, 512))
    assert said == {
        "KEDGE_WORKSPACE": "/workspace",
        "KEDGE_SCRATCH": "/workspace/scratch",
        "KEDGE_CPU_LIMIT": "2.5",
        "KEDGE_MEM_LIMIT_MB": "512",
        "KEDGE_RUN_ID": "r1",
        "KEDGE_FUNCTION": "sizing",
        "KEDGE_PACKAGE": "bolts",
        "MECAPY_CPU_LIMIT": "3",
        "MECAPY_MEM_LIMIT_MB": "512",
        "MECAPY_SCRATCH": "/workspace/scratch",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }


@pytest.mark.parametrize(
    ("cpu", "text", "whole"), [(1, "1", "1"), (0.5, "0.5", "1"), (4.0, "4", "4")]
)
def test_cpus_are_written_shortest(cpu: float, text: str, whole: str) -> None:
    said = contract_variables("/w", "r", "p", "f", Resources(cpu, 1))
    assert (said["KEDGE_CPU_LIMIT"], said["MECAPY_CPU_LIMIT"]) == (text, whole)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bubblewrap first on PATH that notes each of its starts in a file; gives that file."""
    real = probing._find()
    assert real
    notes, folder = tmp_path / "starts", tmp_path / "bin"
    folder.mkdir()
    notes.touch()
    (folder / "bwrap").write_text(f'#!/bin/sh\necho x >> {notes}\nexec {real} "$@"\n')
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return notes


def test_a_machine_is_tried_once(counted: Path) -> None:
    sandbox = executors.get("sandbox")()
    assert sandbox.usable().ok
    tried = counted.read_text()
    assert tried
    assert sandbox.usable().ok
    assert counted.read_text() == tried
    assert sandbox.usable(fresh=True).ok
    assert len(counted.read_text()) == 2 * len(tried)


def test_a_machine_is_tried_again_when_bubblewrap_changed(counted: Path) -> None:
    program = counted.parent / "bin" / "bwrap"
    working = program.read_text()
    program.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    state = executors.get("sandbox")().usable()
    assert not state.ok
    assert "No permissions to create new namespace" in state.reason
    assert "user" in state.hint
    program.write_text(working)
    assert executors.get("sandbox")().usable().ok


def test_what_was_remembered_and_makes_no_sense_is_forgotten(kedge_home: Path) -> None:
    (kedge_home / "sandbox").mkdir(parents=True)
    for text in ("", "[]", "{}", '{"key": 1, "until": "x"}', "\0"):
        (kedge_home / "sandbox" / f"{os.geteuid()}.json").write_text(text)
        assert executors.get("sandbox")().usable().ok


def test_without_a_sandbox_auto_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(probing, "_SYSTEM_FOLDERS", ())
    choice = choose()
    assert choice.executor.kind == "process"
    assert choice.notice
    assert "bubblewrap is not installed" in choice.notice
    with pytest.raises(Unavailable, match="bubblewrap is not installed"):
        choose("sandbox")


def test_auto_prefers_the_sandbox() -> None:
    choice = choose()
    assert (choice.executor.kind, choice.notice) == ("sandbox", None)


def test_an_unknown_executor_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownKindError, match="'sandbax'") as caught:
        choose("sandbax")
    assert "did you mean 'sandbox'?" in str(caught.value.hint)


def test_a_payload_that_does_not_fit_is_refused() -> None:
    executor = choose("process").executor
    with pytest.raises(TaskError, match="does not take a str payload"):
        drive(executor.execute("ls", Job("r", "p", "f", None, Resources(1, 1))))  # type: ignore[arg-type]


def test_what_the_kernel_does_not_hold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    none = cgroups.Available(None, frozenset(), "there are no control groups", "mount them")
    monkeypatch.setattr(cgroups, "available", lambda: none)
    asked = Resources(1.5, 1024, pids=7)
    for kind in ("sandbox", "process"):
        said = " ".join(executors.get(kind)().missing(asked))
        assert "1024 MB" in said
        assert "2 in place of 1.5" in said
        assert "there are no control groups" in said


def test_what_control_groups_hold_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    every = cgroups.Available(2, frozenset(("memory", "cpu", "pids")), "", "")
    monkeypatch.setattr(cgroups, "available", lambda: every)
    assert executors.get("sandbox")().missing(Resources(1.5, 1024, pids=7)) == []
