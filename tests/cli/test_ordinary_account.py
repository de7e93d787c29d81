"""The command line as an ordinary user has it: an account without rights, in a home of its own.

Root plays one, with a number that nobody else has; whoever else runs the tests is one.
"""

import json
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kedge as kedge_package
from kedge.executor import processes

TESTS = Path(__file__).parents[1]
FATIGUE = TESTS.parent / "examples" / "fatigue"
PACKAGES = TESTS / "packages"

EXECUTORS = ("sandbox", "process")
LIMIT_S = 60.0  # of waiting for something that has to come
IS_ROOT = os.geteuid() == 0
NUMBER = 70_000_000 + os.getpid() if IS_ROOT else os.geteuid()  # of this test process alone
_opening = runpy.run_path(str(TESTS / "support" / "opening.py"))["lines"]
SHARED = ("/tmp", "/var/tmp", "/dev/shm")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Account:
    """Who calls `kedge`, in a folder where everything of theirs is."""

    def __init__(self, kedge: Any, base: Path) -> None:
        self.base = base
        self.kedge = kedge
        self.kedge.words = (*_becoming(base), sys.executable, "-m", "kedge")

    def copy(self, package: Path) -> Path:
        """A package in this account's own hands, for the one Python that it has in any case."""
        copied = self.base / os.urandom(4).hex()
        shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = copied / "kedge.yml"
        manifest.write_text(manifest.read_text().replace('"3.12"', f'"{VERSION}"'))
        for path in (copied, *copied.rglob("*")):
            os.chown(path, NUMBER, NUMBER if IS_ROOT else -1)
        return copied

    def processes(self) -> list[int]:
        """All of an account that is played: nobody else has its number. Those of a real one are not told."""
        if not IS_ROOT:
            return []
        return [int(name) for name in filter(str.isdigit, os.listdir("/proc")) if _runs_as(name)]

    def left_about(self) -> list[str]:
        """What an account that is played has in the folders that everybody shares."""
        if not IS_ROOT:
            return []
        paths = [os.path.join(folder, name) for folder in SHARED for name in os.listdir(folder)]
        return [path for path in paths if _belongs(path)]


def _runs_as(process: str) -> bool:
    # Not the owner of the folder in /proc: root's, for a process that may not be looked at.
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    return f"\nUid:\t{NUMBER}\t" in status and "\nState:\tZ" not in status


def _belongs(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == NUMBER
    except OSError:
        return False


def _becoming(base: Path) -> list[str]:
    """What turns a command into one of the account, in an environment made from nothing."""
    source = str(Path(kedge_package.__file__).parents[1])
    variables = {
        "HOME": str(base),
        "KEDGE_HOME": str(base / "kedge-home"),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": source,
    }
    bare = ["env", "-i", "-C", str(base), *(f"{name}={text}" for name, text in variables.items())]
    if not IS_ROOT:
        return bare
    opening = " && ".join(_opening(source, sys.prefix, sys.base_prefix))
    return [
        *("unshare", "--mount", "sh", "-c", f'{opening} && exec "$@"'),
        *("sh", "setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--", *bare),
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The account's folder; what its first run prepares serves all."""
    if not IS_ROOT:
        yield tmp_path_factory.mktemp("account")
        return
    above = Path(tempfile.mkdtemp(prefix="kedge-test-", dir="/tmp"))
    above.chmod(0o755)  # pytest's own folders are closed to others
    (above / "base").mkdir()
    os.chown(above / "base", NUMBER, NUMBER)
    yield above / "base"
    shutil.rmtree(above)


@pytest.fixture
def account(kedge_alone: Any, base: Path) -> Iterator[Account]:
    account = Account(kedge_alone, base)
    yield account
    for process in account.processes():
        processes.send(process, signal.SIGKILL)


class Running:
    """A run of `vanishes`: deaf, with a process that shows nothing of where it comes from."""

    def __init__(self, account: Account, executor: str) -> None:
        self.account = account
        # A number of seconds that nobody else sleeps.
        self.marker = f"4242.{os.getpid()}{int.from_bytes(os.urandom(3))}"
        words = ["run", account.copy(PACKAGES / "stubborn"), "vanishes", "-v"]
        given = ["--executor", executor, f"seconds={json.dumps(self.marker)}"]
        self.face = account.kedge.start(*words, *given)
        self.id = ""
        for raw in self.face.stderr:
            line = raw.decode(errors="replace")
            if line.startswith("running "):
                self.id = line.partition("(run ")[2].partition(",")[0]
                assert f", {executor})" in line
            if line.startswith("progress: 1/1 ready"):
                break
        else:
            raise AssertionError("it ended before it was ready")
        self.folder = account.base / "kedge-home" / "runs" / self.id
        assert (self.folder / "workspace").is_dir()
        assert self.processes()

    def processes(self) -> list[int]:
        """Those that have its marker as an argument, and all others of an account that is played."""
        found = self.account.processes()
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if self.marker.encode() in words:
                found.append(int(name))
        return found

    def end(self) -> tuple[int, str]:
        """Wait for the face's end: its exit code and the rest of standard error."""
        _, err = self.face.communicate(timeout=LIMIT_S)
        return self.face.returncode, err.decode(errors="replace")

    def leaves_nothing(self) -> None:
        """Once it has ended, whoever tidied up."""
        assert within(LIMIT_S, lambda: not self.processes())
        assert self.account.left_about() == []
        assert sorted(os.listdir(self.folder)) == ["log"]

    def record(self) -> Any:
        return self.account.kedge("show", self.id, "--json").json


def chosen(executor: str) -> list[str]:
    return ["--executor", executor, "--json", "-q"]


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether something becomes true within so many seconds."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_example_takes_a_file_and_leaves_files(account: Account, executor: str) -> None:
    package = account.copy(FATIGUE)
    given = [f"history={package}/tests/astm-e1049.csv", "partial_factor=1", "detail_category=71"]
    out = package / "results"
    answer = account.kedge("run", package, *given, *chosen(executor), "--out", out).json
    assert 0 < answer["damage"] < 1
    assert (out / "cycles.csv").read_text().count("\n") == 8  # a header and its seven
    assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {NUMBER}
    record = account.kedge("show", answer["_run"]["id"], "--json").json
    assert (record["status"], record["executor"]) == ("succeeded", executor)
    assert account.left_about() == []


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_failure_is_told_and_recorded(account: Account, executor: str) -> None:
    package = account.copy(PACKAGES / "raises")
    ended = account.kedge("run", package, "raises", "load=7", *chosen(executor), code=1)
    error = ended.json["error"]
    assert error["kind"] == "function_error"
    assert error["message"] == "Overloaded: the screw cannot carry 7 N"
    assert "in divide" in error["traceback"]
    record = account.kedge("show", error["run"], "--json").json
    assert (record["status"], record["failure_kind"]) == ("failed", "function_error")
    assert not (Path(record["folder"]) / "workspace").exists()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_more_memory_than_its_limit_is_out_of_memory(account: Account, executor: str) -> None:
    package = account.copy(PACKAGES / "hostile")
    ended = account.kedge("run", package, "child_eats_memory", *chosen(executor), code=1)
    error = ended.json["error"]
    assert error["kind"] == "out_of_memory"
    assert error["evidence"]["peak_memory_mb"] > 60


@pytest.mark.parametrize("executor", EXECUTORS)
def test_ctrl_c_ends_the_run_and_all_it_started(account: Account, executor: str) -> None:
    run = Running(account, executor)
    os.killpg(run.face.pid, signal.SIGINT)
    code, said = run.end()
    assert code == 130
    assert "error[cancelled]" in said
    run.leaves_nothing()
    assert run.record()["status"] == "cancelled"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_is_cancelled_from_elsewhere(account: Account, executor: str) -> None:
    run = Running(account, executor)
    assert f"run {run.id}: cancelled" in account.kedge("cancel", run.id).err
    run.leaves_nothing()
    assert run.end()[0] == 130
    assert run.record()["status"] == "cancelled"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_when_both_of_kedges_processes_are_killed_the_next_command_settles_it(
    account: Account, executor: str
) -> None:
    run = Running(account, executor)
    (supervisor,) = children(run.face.pid)
    os.kill(supervisor, signal.SIGSTOP)  # else it may tidy up first
    os.kill(run.face.pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    run.end()
    is_settled_by_the_next(run)


def test_what_lost_its_guard_too_is_found_by_the_next_command(account: Account) -> None:
    run = Running(account, "process")
    (supervisor,) = children(run.face.pid)
    (guard,) = children(supervisor)
    for process in (supervisor, guard):
        os.kill(process, signal.SIGSTOP)
    for process in (run.face.pid, guard, supervisor):
        os.kill(process, signal.SIGKILL)
    run.end()
    assert run.processes()
    is_settled_by_the_next(run)


def is_settled_by_the_next(run: Running) -> None:
    run.account.kedge("runs")
    run.leaves_nothing()
    record = run.record()
    assert (record["status"], record["failure_kind"]) == ("failed", "lost")
    assert "went away" in record["failure"]["message"]


def children(process: int) -> list[int]:
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


LOADED = """
import kedge, os
with kedge.load({package!r}) as package:
    once, again = [package.sizing(diameter_mm=12, load_n=15000) for _ in range(2)]
    assert once == again, (once, again)
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    print("keeper", any("keeper.py" in open(f"/proc/{{name}}/cmdline").read() for name in names))
    print(list(package.sizing.map({{"diameter_mm": [8, 12], "load_n": [1, 1]}}))[0]["stress_mpa"])
    print(package.sizing.submit(12, 15000).result(timeout=60)["stress_mpa"])
    try:
        package.sizing(diameter_mm=0, load_n=1)
    except kedge.FunctionError as error:
        print(error)
"""


def test_a_loaded_package_is_called_warm(account: Account) -> None:
    package = account.copy(TESTS.parent / "examples" / "bolt-sizing")
    account.kedge.words = (*account.kedge.words[:-2], "-c")
    said = account.kedge(LOADED.format(package=str(package))).out.splitlines()
    assert said[0] == "keeper True"
    assert [float(one) for one in said[1:3]] == [
        pytest.approx(0.0199044586),
        pytest.approx(132.69639),
    ]
    assert said[3].startswith("ZeroDivisionError: ") and "division by zero" in said[3]
    assert account.processes() == []


# In one mount namespace: to an agent, a command from another one is a stranger.
KEPT = """
"$0" -m kedge agent start || exit
for _ in 1 2; do "$0" -m kedge run "$1" sizing diameter_mm=12 load_n=15000 >/dev/null || exit; done
"$0" -m kedge agent status --json
"$0" -m kedge agent stop
"""


def test_an_agent_keeps_what_its_commands_import(account: Account) -> None:
    package = account.copy(TESTS.parent / "examples" / "bolt-sizing")
    account.kedge.words = (*account.kedge.words[:-3], "sh", "-c", KEPT, sys.executable)
    told = account.kedge(package).json
    assert [one["name"] for one in told["kept"]] == ["bolt-sizing bolts"]
    assert account.processes() == []


# A call looks at everything, and then does one of these; the next one finds nothing of it.
DEEDS = (
    *("nothing", "patches_modules", "changes_its_surroundings", "changes_signals"),
    *("closes_descriptors", "fills_memory", "leaves_shared_memory", "dies_of_a_fault"),
    *("leaves_children", "forks_without_end", "leaves_files", "signals_everybody"),
    *("writes_to_what_it_inherited", "talks_to_itself", "leaves_a_listener", "leaves_system_v"),
    *("leaves_a_terminal", "asks_for_more", "nothing", "nothing"),
)
FAILING = {"fills_memory": "memory limit", "dies_of_a_fault": "SIGSEGV"}


def test_a_warm_call_finds_nothing_of_those_before_it(account: Account) -> None:
    package = account.copy(PACKAGES / "warm-state")
    cases, results = account.base / "deeds.csv", account.base / "found.jsonl"
    cases.write_text("deed\n" + "".join(f"{deed}\n" for deed in DEEDS))
    words = ["--inputs", cases, "--out", results, "--jobs", "1", "--keep-going"]
    account.kedge("map", package, "do", *words, code=None)
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["deed"] for row in found] == list(DEEDS)
    looked = [row for row in found if row["deed"] not in FAILING]
    for row in found:
        assert FAILING.get(row["deed"], "") in (row["_error"] or ""), row["deed"]
    assert not [(row["deed"], row["_error"]) for row in looked if row["_error"]]
    assert len({row["stamp"] for row in looked}) == 1  # by forks of one process
    for row in looked:
        row["state"]["status"].pop("Cpus_allowed_list")  # which differ from run to run
    for row in looked:
        assert row["state"] == looked[0]["state"], row["deed"]
