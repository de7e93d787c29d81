"""What user code does to Kedge, each with its right kind and a useful sentence; the machine stays intact."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import cgroups

HOSTILE = Path(__file__).parents[1] / "packages" / "hostile"
EXECUTORS = ("sandbox", "process", "warm")  # warm: the sandbox, in forks of what an agent keeps

# An empty folder in the place of the control groups: a machine, or a container, that gives none.
WITHOUT_GROUPS = (
    *("unshare", "--mount", "sh", "-c"),
    'mount -t tmpfs tmpfs /sys/fs/cgroup && exec "$@"',
    "sh",
)
FOR_LONG = "seconds=50"  # what holds its memory so long is looked at, however busy the machine is


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest, kedge: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "warm":
        monkeypatch.setenv("KEDGE_HOME", str(request.getfixturevalue("warm_home")))
    return request.param


@pytest.fixture
def deed(kedge: Any, executor: str) -> Any:
    """Runs a function of the package and looks at the record afterwards: (answer, record)."""
    is_warm = executor == "warm"

    def runs(function: str, *words: str, code: int | None) -> tuple[Any, Any]:
        began = time.monotonic()
        named = ("--executor", "sandbox" if is_warm else executor, "--json", "-q")
        answer = kedge("run", HOSTILE, function, *words, *named, code=code).json
        if is_warm:
            assert kedge.since_warm() < time.monotonic() - began
        run = answer["_run"]["id"] if "_run" in answer else answer["error"]["run"]
        record = kedge("show", run, "--json").json
        assert record["ended"]
        assert record["measured"]["wall_s"] is not None
        assert record["measured"]["peak_memory_mb"] is not None
        assert not os.path.exists(os.path.join(record["folder"], "workspace"))
        assert run not in cgroups.named()
        assert carriers(run) == []
        return answer, record

    return runs


@pytest.fixture
def no_groups(
    kedge: Any, executor: str, kedge_home: Path, agent_of: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Kedge finds no control groups, and has to look at the memory by itself."""
    if os.geteuid() != 0:
        pytest.skip("only root can hide the control groups of this machine")
    with subprocess.Popen([*WITHOUT_GROUPS, "cat"], stdin=subprocess.PIPE) as holder:
        hidden = Path(f"/proc/{holder.pid}/mounts")
        while " /sys/fs/cgroup tmpfs " not in hidden.read_text().splitlines()[-1]:
            time.sleep(0.01)
        # All in one: an agent serves only those who see what it sees.
        entering = ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", f"--wd={os.getcwd()}")
        kedge.words = (*entering, *kedge.words)
        if executor != "warm":
            yield
            return
        monkeypatch.setenv("KEDGE_HOME", str(kedge_home))  # whose agent finds none either
        with agent_of(kedge_home, kedge.words):
            yield


def carriers(run: str) -> list[int]:
    """The processes that have a run's id in their variables."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"KEDGE_RUN_ID={run}".encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found


KINDS: list[tuple[str, str, str]] = [
    ("segfault", "function_error", "SIGSEGV"),
    ("exit_three", "function_error", "exit"),
    ("exit_early", "contract_error", "before the function had returned"),
    ("recurse", "function_error", "RecursionError"),
    ("recurse_in_c", "function_error", ""),
    ("not_a_number", "contract_error", "worse"),
    ("unserialisable", "contract_error", "thing"),
    ("wrong_extension", "contract_error", "report"),
    ("link_out", "contract_error", "report"),
    ("fifo", "contract_error", "report"),
    ("deletes_out", "contract_error", "report"),
    ("rewrites_list", "contract_error", "report"),
]


@pytest.mark.parametrize(("function", "kind", "words"), KINDS)
def test_each_deed_has_its_kind_and_a_sentence(
    deed: Any, function: str, kind: str, words: str
) -> None:
    answer, record = deed(function, code=1)
    assert record["failure_kind"] == answer["error"]["kind"] == kind
    told = " ".join(problem["message"] for problem in answer["error"]["problems"])
    assert words in told


def test_the_code_of_an_exit_is_told(deed: Any) -> None:
    answer, _ = deed("exit_three", code=1)
    assert "3" in answer["error"]["message"]


def test_memory_above_the_limit_is_out_of_memory_with_its_evidence(deed: Any) -> None:
    deed("eat_memory", "mb=10", code=0)
    answer, record = deed("eat_memory", "mb=300", FOR_LONG, code=1)
    error = answer["error"]
    assert error["kind"] == "out_of_memory"
    assert "128 MiB" in error["message"]
    assert error["evidence"]["limit_mb"] == 128
    assert error["evidence"]["killed_by"] in ("kernel", "kedge")
    assert error["evidence"]["peak_memory_mb"] > 60
    assert "successful run" in error["hint"]
    assert error["evidence"]["needed_before"]["memory_most_mb"] < 128
    assert record["measured"]["peak_memory_mb"] > 60


def test_a_child_killed_for_memory_is_a_warning_where_its_parent_succeeds(
    deed: Any, executor: str
) -> None:
    if "memory" not in cgroups.available().controllers:
        answer, _ = deed("child_eats_memory", code=1)  # Kedge kills them all
        assert answer["error"]["kind"] == "out_of_memory"
        return
    if cgroups.available().version == 2:  # its groups are killed as one
        answer, _ = deed("child_eats_memory", code=1)
        assert answer["error"]["kind"] == "out_of_memory"
        return
    answer, record = deed("child_eats_memory", code=0)
    assert answer["result"] == -9
    assert "1 of its processes was killed" in " ".join(record["warnings"])
    assert record["status"] == "succeeded"


@pytest.mark.usefixtures("no_groups")
@pytest.mark.parametrize("words", [("eat_memory", "mb=300", FOR_LONG), ("child_eats_memory",)])
def test_without_control_groups_kedge_kills_what_is_above_its_memory(
    deed: Any, words: tuple[str, ...]
) -> None:
    is_killed_by_kedge(*deed(*words, code=1))


@pytest.mark.usefixtures("no_groups")
@pytest.mark.parametrize("executor", ["sandbox", "warm"], indirect=True)
def test_without_control_groups_files_in_its_own_shared_memory_count_too(deed: Any) -> None:
    is_killed_by_kedge(*deed("hide_memory", "mb=90", FOR_LONG, code=1))


@pytest.mark.usefixtures("no_groups")
def test_without_control_groups_what_keeps_to_its_memory_is_left_alone(deed: Any) -> None:
    answer, record = deed("eat_memory", "mb=80", code=0)
    assert answer["result"] == 80
    assert 80 < record["measured"]["peak_memory_mb"] < 128


def is_killed_by_kedge(answer: Any, record: Any) -> None:
    error = answer["error"]
    assert error["kind"] == record["failure_kind"] == "out_of_memory"
    assert "128 MiB" in error["message"]
    assert "when Kedge killed them" in error["message"]
    assert error["evidence"]["killed_by"] == "kedge"
    assert error["evidence"]["limit_mb"] == 128
    assert error["evidence"]["signal"] == signal.SIGKILL
    assert error["evidence"]["peak_memory_mb"] > 128
    assert record["measured"]["wall_s"] < 40


def test_a_fork_bomb_ends_at_the_limit_and_is_cleared_away(deed: Any) -> None:
    answer, _ = deed("fork_bomb", code=1)
    assert answer["error"]["kind"] == "function_error"
    assert "Resource temporarily unavailable" in answer["error"]["message"]


def test_threads_are_limited_too(deed: Any) -> None:
    assert deed("thread_bomb", code=0)[0]["result"] < 64


def test_a_gigabyte_of_output_is_kept_in_its_beginning_and_end(deed: Any) -> None:
    _, record = deed("flood", code=0)
    kept = sum(
        path.stat().st_size for path in Path(record["folder"]).iterdir() if path.name[:3] == "log"
    )
    assert 63 << 20 <= kept < 90 << 20


def test_a_line_of_ten_megabytes_comes_through_whole(kedge: Any, deed: Any) -> None:
    _, record = deed("long_line", code=0)
    out = kedge("logs", record["id"]).out
    assert out.count("y") == 10 << 20


def test_what_is_not_utf8_is_kept_as_it_is(kedge: Any, deed: Any) -> None:
    _, record = deed("not_utf8", code=0)
    assert record["status"] == "succeeded"
    log = (Path(record["folder"]) / "log").read_bytes()
    assert b"\xff\xfe\x80 out" in log
    assert b"\xc3\x28 err" in log
    assert b"1 progress lines were no events" in log


@pytest.mark.parametrize("executor", EXECUTORS[:2], indirect=True)  # which are looked at afterwards
def test_a_folder_of_a_hundred_thousand_files_is_an_output(deed: Any) -> None:
    _, record = deed("many_files", "count=100000", code=0)
    folder = Path(record["output_files"]["parts"]["path"])
    assert len(os.listdir(folder)) == 100_000


def test_of_very_many_artifacts_the_first_are_listed_and_all_are_kept(deed: Any) -> None:
    _, record = deed("many_artifacts", "count=12000", code=0)
    assert len(record["artifacts"]) == 10_000
    assert "2000" in " ".join(record["warnings"])
    assert len(os.listdir(Path(record["folder"]) / "artifacts")) == 12_000


def test_files_without_content_use_the_disk_too(deed: Any) -> None:
    answer, _ = deed("files_without_end", code=1)  # 4 KiB of its 200 MB each
    assert answer["error"]["kind"] == "out_of_disk"


@pytest.mark.parametrize("where", ["scratch", "tmp", "out"])
def test_filling_what_is_on_disk_is_out_of_disk(deed: Any, where: str) -> None:
    answer, _ = deed("fill", f"where={where}", code=1)
    assert answer["error"]["kind"] == "out_of_disk"
    assert "200 MB" in answer["error"]["message"]


def test_shared_memory_counts_as_memory(deed: Any, executor: str) -> None:
    if executor == "process" and "memory" not in cgroups.available().controllers:
        return  # it is the machine's own there, and bounded by that alone
    answer, _ = deed("fill", "where=/dev/shm", code=1)
    assert answer["error"]["kind"] in ("out_of_memory", "function_error")
    if answer["error"]["kind"] == "function_error":
        assert "No space left" in answer["error"]["message"]


def test_closing_every_descriptor_keeps_the_result(deed: Any) -> None:
    assert deed("closes_all", code=0)[0]["result"] == 7


@pytest.mark.parametrize("function", ["stops_itself", "masks_signals"])
def test_a_deaf_or_stopped_run_ends_at_its_timeout(deed: Any, function: str) -> None:
    began = time.monotonic()
    answer, record = deed(function, code=124)
    assert answer["error"]["kind"] == "timeout"
    assert record["measured"]["wall_s"] < 10
    assert time.monotonic() - began < 60


def test_after_all_that_kedge_still_works(deed: Any) -> None:
    assert deed("fine", code=0)[0]["result"] == 1
