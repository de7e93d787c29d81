"""What every test stands on: a Kedge home of its own, and the command line as its users call it."""

import json
import math
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

# How long an example takes on a busy machine says nothing about the code.
hypothesis.settings.register_profile(
    "kedge", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kedge")

# The first run of a package makes its environment; with numpy and scipy on a slow machine.
COMMAND_TIMEOUT = 600


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On a user's machine something may be lacking; in CI nothing may: there a skipped test has failed."""
    report = yield
    all_are_wanted = os.environ.get("KEDGE_TEST_ALL_ENGINES") == "1"
    if report.skipped and isinstance(report.longrepr, tuple) and all_are_wanted:
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason}, where KEDGE_TEST_ALL_ENGINES=1 wants all tests"
    return report


@pytest.fixture(autouse=True)
def kedge_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private, empty KEDGE_HOME; no other KEDGE_* variable of the caller reaches a test."""
    for name in list(os.environ):
        if name.startswith("KEDGE_") and not name.startswith("KEDGE_TEST_"):
            monkeypatch.delenv(name)
    home = tmp_path / "kedge-home"
    monkeypatch.setenv("KEDGE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def own_mounts() -> list[str]:
    """The words before a command that mounts something for itself: root may and, where users may, everybody."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


@pytest.fixture(scope="session")
def small_disk(own_mounts: list[str]) -> Callable[[Path, str], list[str]]:
    """The words before a command that is to find a small disk at a place."""
    begin = 'mount -t tmpfs -o size="$2" tmpfs "$1" && shift 2 && exec "$@"'

    def words(place: Path, size: str) -> list[str]:
        place.mkdir(exist_ok=True)
        return [*own_mounts, "sh", "-c", begin, "sh", str(place), size]

    return words


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One KEDGE_HOME for all tests and workers that want it, so that each environment is made once."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    return base / "shared-home"


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class CommandLine:
    """`kedge` in a process of its own."""

    words: tuple[str, ...] = (sys.executable, "-m", "kedge")

    def __call__(self, *arguments: object, code: int | None = 0, **options: Any) -> Ended:
        """Call it and wait; `code` is the exit code that is expected, None any."""
        options = {"input": b""} | options
        done = subprocess.run(
            [*self.words, *map(str, arguments)],
            capture_output=True,
            timeout=COMMAND_TIMEOUT,
            **options,
        )
        ended = Ended(
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        assert "Traceback" not in ended.err or "kedge/cli" not in ended.err, ended.err
        assert code is None or ended.code == code, (ended.code, ended.out, ended.err)
        return ended

    def runs_of(self, source: Path, *words: str) -> list[Any]:
        """What the listing says of a package's runs, the newest first; others run on the same home."""
        listed = self("runs", "--json", "-n", "500", *words).json
        return [run for run in listed if run["source"] == str(source)]

    def since_warm(self) -> float:
        """Seconds since the last run, or container, that came of what an agent keeps."""
        kept = self("agent", "status", "--json").json["kept"]
        return min((one["idle_s"] for one in kept), default=math.inf)

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """Call it and go on; it has a process group of its own, as a shell would give it."""
        return subprocess.Popen(
            [*self.words, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            **options,
        )

    def interrupt(self, *arguments: object, at: bytes = b"") -> dict[str, Any]:
        """Run something that takes hours and interrupt it; its record.

        Args:
            arguments: Those of `kedge run`.
            at: How the progress begins at which it is interrupted; the first one if empty.
        """
        process = self.start("run", *arguments, "-v")
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(b"running "):
                    run = line.decode().partition("(run ")[2].partition(",")[0]
                if line.startswith(b"progress: " + at):
                    break
            assert self("show", run, "--json").json["status"] == "running"
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=COMMAND_TIMEOUT)
        finally:
            process.kill()
        assert process.returncode == 130, said
        record: dict[str, Any] = self("show", run, "--json").json
        assert (record["status"], record["failure_kind"]) == ("cancelled", "cancelled")
        return record


@pytest.fixture
def kedge(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on the shared home."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return CommandLine()


@pytest.fixture(scope="session")
def groups() -> SimpleNamespace:
    """tests/support/groups.py, which no import path leads to."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "support" / "groups.py")))


@pytest.fixture
def kedge_alone() -> CommandLine:
    """The command line on the test's own home, where nothing was made and no other test runs."""
    return CommandLine()


@pytest.fixture(scope="session")
def agent_of() -> Callable[..., AbstractContextManager[None]]:
    """Gives a Kedge home an agent for a block, so that what commands run there is warm."""

    @contextmanager
    def has_agent(home: Path, words: tuple[str, ...] = CommandLine.words) -> Iterator[None]:
        command = CommandLine()
        command.words = words
        env = os.environ | {"KEDGE_HOME": str(home)}
        command("agent", "start", env=env)
        try:
            yield
        finally:
            command("agent", "stop", env=env)

    return has_agent


@pytest.fixture(scope="module")
def warm_home(
    tmp_path_factory: pytest.TempPathFactory,
    agent_of: Callable[..., AbstractContextManager[None]],
) -> Iterator[Path]:
    """A KEDGE_HOME with an agent, for the tests of a module."""
    home = tmp_path_factory.mktemp("warm") / "home"
    with agent_of(home):
        yield home
