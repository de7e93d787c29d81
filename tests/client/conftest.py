"""Packages loaded into the test's own process, and programs that load them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client import Package
from kedge.run import record

PACKAGES = Path(__file__).parents[1] / "packages"
PATIENCE_S = 120.0

SCRIPT = """
import os
import time
from pathlib import Path
from typing import Annotated

import kedge


def area(
    width: Annotated[float, kedge.Unit("mm")], height: Annotated[float, kedge.Unit("mm")] = 2.0
) -> Annotated[float, kedge.Unit("mm**2")]:
    if width < 0:
        raise ValueError("a negative width")
    return width * height


def waits(seconds: float = 3600.0, says: str = "") -> str:
    print(says)
    kedge.progress(1, 2, "asleep")
    try:
        time.sleep(seconds)
    except kedge.Cancelled:
        (Path("out") / "artifacts").mkdir(exist_ok=True)
        Path("out/artifacts/asked").touch()
        raise
    kedge.progress(2, 2, "awake")
    return says


def deaf() -> None:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kedge.progress(1, 1, "deaf")
    time.sleep(3600)


def spans(number: int) -> list[float]:
    start = time.time()
    time.sleep(0.3)
    return [start, time.time()]
"""

MANIFEST = """
name: sleeps
runtime: {kind: python, version: "3.12"}
resources: {cpu: 1, memory_mb: 256, grace: 20}
functions:
  area: {handler: "sleeps:area"}
  waits: {handler: "sleeps:waits"}
  deaf: {handler: "sleeps:deaf"}
  time-spans: {handler: "sleeps:spans"}
"""


@pytest.fixture
def load(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Package]]:
    """Loads a sample package by name, or one at a path; it is closed after the test."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    with ExitStack() as after:

        def loaded(package: str | Path) -> Package:
            found = kedge.load(PACKAGES / package)
            return after.enter_context(found)

        yield loaded


@pytest.fixture
def sleeping(tmp_path: Path) -> Path:
    """A package whose functions take as long as they are told to."""
    folder = tmp_path / "sleeps"
    folder.mkdir()
    (folder / "sleeps.py").write_text(SCRIPT)
    (folder / "kedge.yml").write_text(MANIFEST)
    return folder


@pytest.fixture
def sleeps(load: Callable[..., Package], sleeping: Path) -> Package:
    """That package, loaded."""
    return load(sleeping)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], Any]], None]:
    """Waits until something is true."""

    def waits(found: Callable[[], Any]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not found():
            assert time.monotonic() < until
            time.sleep(0.01)

    return waits


@pytest.fixture
def runs(sleeping: Path) -> Callable[[], list[record.Run]]:
    """The runs of that package alone: others run on the same home."""

    def found() -> list[record.Run]:
        return [run for run in record.list_runs(10_000) if run.source == str(sleeping)]

    return found


class Program(subprocess.Popen[bytes]):
    """A program of Python in a process group of its own, as a shell would give it."""

    def __init__(self, text: str | Path, **options: object) -> None:
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        words = [str(text)] if isinstance(text, Path) else ["-c", text]
        super().__init__([sys.executable, "-u", *words], process_group=0, **(streams | options))

    def line(self) -> str:
        """The next line that it prints."""
        assert self.stdout is not None
        return self.stdout.readline().decode().strip()

    def ended(self) -> tuple[int, str, str]:
        """Its exit code and what else it wrote."""
        out, err = self.communicate(timeout=PATIENCE_S)
        return self.returncode, out.decode(), (err or b"").decode()


@pytest.fixture
def program(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Program]]:
    """Starts a program of Python, or a script at a path, on the shared home."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    started: list[Program] = []

    def start(text: str | Path, **options: object) -> Program:
        started.append(Program(text, **options))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        for stream in (one.stdin, one.stdout, one.stderr):
            if stream is not None:
                stream.close()
        one.wait()
