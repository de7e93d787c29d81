"""What hostile code does to Kedge, from containers: the deeds that the sandbox is tried with, and an image's."""

import json
import os
import runpy
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

TESTS = Path(__file__).parents[1]
PACKAGES = TESTS / "packages"
IN_AN_IMAGE = PACKAGES / "hostile-image"
SANDBOXED = runpy.run_path(str(TESTS / "acceptance" / "test_hostile_code.py"))
FOR_LONG = SANDBOXED["FOR_LONG"]
SECONDS = "4242"  # that a process sleeps which a deed leaves behind
# What a run has left in files is looked at in the same way, whichever engine it ran on, and cold or warm.
ONE_ENGINE = pytest.mark.parametrize("engine", ["docker"], indirect=True)
COLD = pytest.mark.parametrize("is_warm", [False], indirect=True, ids=["cold"])
GONE_S = 30.0  # for a machine that is busy with other tests


@pytest.fixture(scope="module")
def home(home_of_all: Any) -> Path:
    """A Kedge home for all workers, so that each image is built once."""
    place: Path = home_of_all("hostile")
    return place


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
def is_warm(request: pytest.FixtureRequest) -> bool:
    """Whether runs are in containers that an agent keeps."""
    if request.param and os.geteuid() != 0:
        pytest.skip("only root can clean a container")
    return request.param


@pytest.fixture
def kedge(kedge_alone: Any, home: Path, is_warm: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line on that home."""
    monkeypatch.setenv("KEDGE_HOME", str(home))
    if is_warm:
        kedge_alone("agent", "start", code=None)  # where there is none yet
    monkeypatch.setenv("KEDGE_WARM", str(is_warm))
    return kedge_alone


@pytest.fixture(scope="module")
def package(home: Path) -> Path:
    """The Python package for the Python of the engines' base; one for all, so that it is read once."""
    place = home.with_name("hostile-package")
    made = home / f"package-{os.getpid()}"
    shutil.copytree(PACKAGES / "hostile", made)
    manifest = made / "kedge.yml"
    manifest.write_text(manifest.read_text().replace('version: "3.12"', 'version: "3.11"'))
    try:
        made.rename(place)
    except OSError:  # another worker was quicker
        shutil.rmtree(made)
    return place


@pytest.fixture
def seen(kedge: Any, engine: Engine) -> Any:
    """Looks at a run that has ended: its record, and that nothing of it is left."""

    def looks(answer: Any) -> Any:
        run = answer["_run"]["id"] if "_run" in answer else answer["error"]["run"]
        record = kedge("show", run, "--json").json
        assert record["ended"] and record["executor"] == engine.kind
        assert record["measured"]["wall_s"] is not None
        assert not os.path.exists(os.path.join(record["folder"], "workspace"))
        assert SANDBOXED["carriers"](run) == []
        named = ("ps", "--all", "--quiet", "--filter", f"label=kedge.run={run}")
        left = subprocess.run([engine.path, *named], capture_output=True, text=True, check=True)
        assert left.stdout == ""
        return record

    return looks


@pytest.fixture
def deed(kedge: Any, engine: Engine, seen: Any, package: Path) -> Any:
    """Runs a function of the Python package: (answer, record)."""

    def runs(function: str, *words: str, code: int) -> tuple[Any, Any]:
        named = ("--executor", engine.kind, "--json", "-q")
        answer = kedge("run", package, function, *words, *named, code=code).json
        return answer, seen(answer)

    return runs


@pytest.fixture
def image_deed(kedge: Any, engine: Engine, seen: Any, code: Path) -> Any:
    """Runs a deed of the program in an image: (answer, record)."""

    def runs(name: str, exit_code: int = 0) -> tuple[Any, Any]:
        words = (f"deed={name}", f"code={code}", "--executor", engine.kind, "--json")
        answer = kedge("run", IN_AN_IMAGE, "deed", *words, code=exit_code).json
        return answer, seen(answer)

    return runs


@pytest.fixture
def seconds() -> str:
    """A number of seconds to sleep that no other process sleeps."""
    return f"{SECONDS}.{os.getpid()}{time.monotonic_ns() % 10**6}"


@pytest.fixture
def code(tmp_path: Path, seconds: str) -> Path:
    """The program, whose processes can be told from those of other tests."""
    path = tmp_path / "deeds.py"
    text = (IN_AN_IMAGE / "deeds.py").read_text()
    assert f'"{SECONDS}"' in text
    path.write_text(text.replace(f'"{SECONDS}"', f'"{seconds}"'))
    return path


def asleep(seconds: str) -> list[str]:
    """The processes of this machine that sleep so long."""
    found = subprocess.run(["pgrep", "-f", f"sleep {seconds}"], capture_output=True, text=True)
    return found.stdout.split()


@ONE_ENGINE
@pytest.mark.parametrize(("function", "kind", "words"), SANDBOXED["KINDS"])
def test_each_deed_has_its_kind_and_a_sentence(
    deed: Any, function: str, kind: str, words: str
) -> None:
    answer, record = deed(function, code=1)
    assert record["failure_kind"] == answer["error"]["kind"] == kind
    assert words in " ".join(problem["message"] for problem in answer["error"]["problems"])


@pytest.mark.parametrize(
    "words", [("eat_memory", "mb=300", FOR_LONG), ("hide_memory", "mb=90", FOR_LONG)]
)
def test_memory_above_the_limit_is_out_of_memory(deed: Any, words: tuple[str, ...]) -> None:
    answer, record = deed(*words, code=1)
    error = answer["error"]
    assert error["kind"] == record["failure_kind"] == "out_of_memory"
    assert "128 MiB" in error["message"]
    assert error["evidence"]["limit_mb"] == 128
    assert error["evidence"]["killed_by"] == "kernel"


def test_files_in_shared_memory_are_memory(deed: Any) -> None:
    assert deed("fill", "where=/dev/shm", code=1)[0]["error"]["kind"] == "out_of_memory"


@pytest.mark.parametrize("where", ["scratch", "tmp", "out"])
def test_files_everywhere_else_are_disk(deed: Any, where: str) -> None:
    error = deed("fill", f"where={where}", code=1)[0]["error"]
    assert error["kind"] == "out_of_disk" and "200 MB" in error["message"]


@ONE_ENGINE
@COLD
def test_files_without_content_use_the_disk_too(deed: Any) -> None:
    assert deed("files_without_end", code=1)[0]["error"]["kind"] == "out_of_disk"


def test_a_fork_bomb_ends_at_the_limit_and_is_cleared_away(deed: Any) -> None:
    error = deed("fork_bomb", code=1)[0]["error"]
    assert error["kind"] == "function_error"
    assert "Resource temporarily unavailable" in error["message"]
    assert "64 processes" in error["hint"]


def test_threads_are_limited_too(deed: Any) -> None:
    assert deed("thread_bomb", code=0)[0]["result"] < 64


def test_a_flood_of_output_is_kept_in_its_beginning_and_end(deed: Any) -> None:
    _, record = deed("flood", "mb=100", code=0)
    folder = Path(record["folder"])
    kept = sum(path.stat().st_size for path in folder.iterdir() if path.name[:3] == "log")
    assert 63 << 20 <= kept < 90 << 20


def test_a_line_of_ten_megabytes_comes_through_whole(kedge: Any, deed: Any) -> None:
    _, record = deed("long_line", code=0)
    assert kedge("logs", record["id"]).out.count("y") == 10 << 20


def test_what_is_not_utf8_is_kept_as_it_is(deed: Any) -> None:
    _, record = deed("not_utf8", code=0)
    log = (Path(record["folder"]) / "log").read_bytes()
    assert b"\xff\xfe\x80 out" in log and b"\xc3\x28 err" in log
    assert b"1 progress lines were no events" in log


@ONE_ENGINE
@COLD
def test_a_folder_of_very_many_files_is_an_output(deed: Any) -> None:
    _, record = deed("many_files", "count=20000", code=0)
    assert len(os.listdir(record["output_files"]["parts"]["path"])) == 20_000


def test_closing_every_descriptor_keeps_the_result(deed: Any) -> None:
    assert deed("closes_all", code=0)[0]["result"] == 7


@pytest.mark.parametrize("function", ["stops_itself", "masks_signals"])
def test_a_deaf_or_stopped_run_ends_at_its_timeout(deed: Any, function: str) -> None:
    answer, record = deed(function, code=124)
    assert answer["error"]["kind"] == "timeout"
    assert record["measured"]["wall_s"] < 10


@ONE_ENGINE
@COLD
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("not_json", "is not valid JSON"),
        ("no_object", "is a list"),
        ("not_a_number", "holds NaN"),
        ("twice", "the key `y` twice"),
        ("deep", "is nested more than 100 deep"),
        ("huge", "157286409 bytes"),
        ("many_digits", "more digits than can be read"),
        ("data_link", "is a symbolic link"),
        ("data_fifo", "is a named pipe"),
        ("data_folder", "is a folder"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_its_reason(
    image_deed: Any, name: str, words: str
) -> None:
    answer, record = image_deed(name, 1)
    assert answer["error"]["kind"] == "contract_error"
    assert words in answer["error"]["message"]
    assert "root:" not in json.dumps(record)


def test_links_in_the_places_of_kedges_own_folders_are_not_followed(image_deed: Any) -> None:
    answer, _ = image_deed("replaces", 1)
    assert answer["error"]["kind"] == "contract_error"
    assert "`out/files` is a symbolic link" in answer["error"]["message"]


def test_an_answer_that_only_its_owner_may_read_is_read(image_deed: Any) -> None:
    assert image_deed("data_closed")[0]["y"] == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("error_link", "exit code 1"),
        ("error_huge", "exit code 1"),
        ("pretends", "exit code 125"),
    ],
)
def test_a_failure_is_the_functions_whatever_it_says_of_it(
    image_deed: Any, name: str, words: str
) -> None:
    answer, record = image_deed(name, 1)
    assert answer["error"]["kind"] == "function_error"
    assert words in answer["error"]["message"]
    assert "root:" not in json.dumps(record)


def test_of_what_lies_in_out_only_files_and_folders_are_kept(image_deed: Any) -> None:
    answer, record = image_deed("rubbish")
    assert answer["y"] == 1
    told = " ".join(record["warnings"])
    assert "a symbolic link" in told and "a named pipe" in told and "a socket" in told
    assert "passwd" not in answer["_artifacts"]
    assert {"n" * 255, "a\nb", "-rf", "true"} <= set(answer["_artifacts"])
    kept = Path(record["folder"])
    # By name as bytes: one of them is no text. What is nested too deeply for paths is not gone into.
    for place, _, names in os.walk(os.fsencode(kept)):
        for name in names:
            info = os.lstat(os.path.join(place, name))
            assert stat.S_ISREG(info.st_mode), name
            assert info.st_uid == os.geteuid()
            assert not info.st_mode & (stat.S_ISUID | stat.S_ISGID), name


def test_a_flood_of_progress_and_lines_that_are_none_do_no_harm(
    kedge: Any, engine: Engine, code: Path
) -> None:
    words = ("deed=progress", f"code={code}", "--executor", engine.kind)
    ended = kedge("run", IN_AN_IMAGE, "deed", *words)
    told = [line for line in ended.err.splitlines() if line.startswith("progress: ")]
    assert told[-1] == "progress: 100000/100000"
    assert len(told) < 1000


@pytest.mark.parametrize("name", ["progress_link", "progress_fifo"])
def test_progress_is_read_from_a_file_alone(image_deed: Any, name: str) -> None:
    answer, record = image_deed(name)
    assert answer["y"] == 1
    assert "root:" not in (Path(record["folder"]) / "log").read_text()


@pytest.mark.parametrize("name", ["kills_the_first", "kills_all"])
def test_a_program_cannot_end_what_watches_it(image_deed: Any, name: str) -> None:
    assert image_deed(name)[0]["y"] == 1


def test_a_process_that_escaped_ends_with_the_program(image_deed: Any, seconds: str) -> None:
    assert image_deed("leaves")[0]["y"] == 1
    assert asleep(seconds) == []


def test_a_process_that_escaped_ends_with_a_cancel(
    kedge: Any, engine: Engine, seen: Any, code: Path, seconds: str
) -> None:
    words = ("deed=stays", f"code={code}", "--executor", engine.kind, "--json")
    process = kedge.start("run", IN_AN_IMAGE, "deed", *words)
    for line in process.stderr:
        if b"ready" in line:
            break
    assert len(asleep(seconds)) == 1
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=GONE_S)
    record = seen(json.loads(out))
    assert record["failure_kind"] == "cancelled"
    assert asleep(seconds) == []


def test_after_all_that_kedge_still_works(kedge: Any, is_warm: bool, deed: Any) -> None:
    began = time.monotonic()
    assert deed("fine", code=0)[0]["result"] == 1
    if is_warm:
        assert kedge.since_warm() < time.monotonic() - began
