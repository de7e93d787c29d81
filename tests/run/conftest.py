"""Calls of sample packages, warm in one pool and cold beside it."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import Cancel
from kedge.executor.warm.pool import Pool
from kedge.package.source import open_package
from kedge.run.core import Observer, Ready, Request, Result, run
from kedge.run.prepare import prepare

PACKAGES = Path(__file__).parents[1] / "packages"


@dataclass(frozen=True)
class Called:
    """What came of a call: its run, the notices, what it wrote by stream, whether a fork made it."""

    result: Result
    notices: tuple[str, ...]
    log: dict[str, str]
    progress: tuple[dict[str, Any], ...]
    is_warm: bool

    @property
    def outputs(self) -> dict[str, Any]:
        return self.result.outputs

    @property
    def kind(self) -> str | None:
        """That of its failure."""
        return self.result.run.failure_kind

    def told(self) -> dict[str, Any]:
        """Everything that is the same however often the same call is made."""
        ended, failure = self.result.run, dict(self.result.run.failure or {})
        failure.pop("run", None)
        return {
            "status": ended.status,
            "failure": _without(failure, ended.id),
            "outputs": dict(ended.outputs),
            "files": {port: _content(entry) for port, entry in ended.output_files.items()},
            "artifacts": {name: found["sha256"] for name, found in ended.artifacts.items()},
            "warnings": ended.warnings,
            # The last one: of many some are left out.
            "progress": [(one.get("step"), one.get("message")) for one in self.progress[-1:]],
            "log": {stream: _without(text, ended.id) for stream, text in self.log.items()},
        }


class Package:
    """A package that is ready to be called, and the pool in which it is kept warm."""

    def __init__(self, place: Path, pool: Pool) -> None:
        source = open_package(str(place))
        self.ready = Ready(source, prepare(source))
        self.pool = pool

    def warm(
        self, function: str | None = None, overrides: dict[str, Any] | None = None, **values: Any
    ) -> Called:
        """A call in a fork, where that can be; `overrides` as in a Request."""
        return self.call(Request(function, values, overrides or {}), self.pool)

    def cold(self, function: str | None = None, **values: Any) -> Called:
        """The same call in a process of its own."""
        return self.call(Request(function, values), None)

    def call(
        self,
        request: Request,
        pool: Pool | None,
        cancel: Cancel | None = None,
        on_ready: Callable[[], object] = lambda: None,
    ) -> Called:
        """Any call; `on_ready` is called once it writes a line or tells its progress."""
        notices: list[str] = []
        written: dict[str, bytes] = {"stdout": b"", "stderr": b""}

        events: list[dict[str, Any]] = []

        def note(stream: str, data: bytes) -> None:
            written[stream] += data
            on_ready()

        def advance(event: dict[str, Any]) -> None:
            events.append(event)
            on_ready()

        observer = Observer(notice=notices.append, output=note, progress=advance)
        taken = TAKEN.by_this_thread
        result = run(self.ready, request, observer, cancel, pool)
        log = {stream: data.decode(errors="replace") for stream, data in written.items()}
        is_warm = taken < TAKEN.by_this_thread
        return Called(result, tuple(notices), log, tuple(events), is_warm)


def _without(found: Any, run_id: str) -> Any:
    """The same without the run's name, places in memory, and how deep a function is called in."""
    if isinstance(found, str):
        plain = re.sub(r"\b0x[0-9a-f]+", "0x", found.replace(run_id, "RUN"))
        return re.sub(r"repeated \d+ more", "repeated more", plain)
    if isinstance(found, dict):
        return {name: _without(value, run_id) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_without(value, run_id) for value in found]
    return found


def _content(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_content(one) for one in entry]
    place = Path(entry["path"])
    if place.is_dir():
        return {
            str(one.relative_to(place)): one.read_bytes()
            for one in sorted(place.rglob("*"))
            if one.is_file()
        }
    return place.name, place.read_bytes()


class Taken(threading.local):
    """How many forks each thread was given."""

    def __init__(self) -> None:
        self.by_this_thread = 0


TAKEN = Taken()


def noted(pool: Pool) -> Pool:
    """The same, with a note of every fork that it gives."""
    take = pool.take

    def noting(*arguments: Any) -> Any:
        found = take(*arguments)
        TAKEN.by_this_thread += 1
        return found

    pool.take = noting
    return pool


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """What is kept warm for all tests of a module."""
    with Pool() as kept:
        yield noted(kept)


@pytest.fixture
def own_pool() -> Iterator[Pool]:
    """What is kept warm for one test."""
    with Pool() as kept:
        yield noted(kept)


@pytest.fixture
def package(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> Callable[[str | Path], Package]:
    """Makes a sample package ready, by its name or place."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return lambda name: Package(PACKAGES / name, pool)
