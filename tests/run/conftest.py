"""Calls of sample packages, warm in one pool and cold beside it."""

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
    """What came of a call: its run, the notices, and what it wrote by stream."""

    result: Result
    notices: tuple[str, ...]
    log: dict[str, str]

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
            "log": {stream: _without(text, ended.id) for stream, text in self.log.items()},
        }


class Package:
    """A package that is ready to be called, and the pool in which it is kept warm."""

    def __init__(self, place: Path, pool: Pool) -> None:
        source = open_package(str(place))
        self.ready = Ready(source, prepare(source))
        self.pool = pool

    def warm(self, function: str | None = None, **values: Any) -> Called:
        """A call in a fork, where that can be."""
        return self.call(Request(function, values), self.pool)

    def cold(self, function: str | None = None, **values: Any) -> Called:
        """The same call in a process of its own."""
        return self.call(Request(function, values), None)

    def call(
        self,
        request: Request,
        pool: Pool | None,
        cancel: Cancel | None = None,
        **observer: Callable[..., Any],
    ) -> Called:
        """Any call; `observer` are more of what an Observer is told."""
        notices: list[str] = []
        written: dict[str, bytes] = {"stdout": b"", "stderr": b""}

        def note(stream: str, data: bytes) -> None:
            written[stream] += data

        watching = Observer(**{"notice": notices.append, "output": note, **observer})
        result = run(self.ready, request, watching, cancel, pool)
        log = {stream: data.decode(errors="replace") for stream, data in written.items()}
        return Called(result, tuple(notices), log)


def _without(found: Any, run_id: str) -> Any:
    """The same without the run's name."""
    if isinstance(found, str):
        return found.replace(run_id, "RUN")
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


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """What is kept warm for all tests of a module."""
    with Pool() as kept:
        yield kept


@pytest.fixture
def package(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, pool: Pool
) -> Callable[[str | Path], Package]:
    """Makes a sample package ready, by its name or place."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return lambda name: Package(PACKAGES / name, pool)
