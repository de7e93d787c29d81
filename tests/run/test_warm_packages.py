"""What is kept warm, and what is not: it runs cold, gives the right answer, and says why once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"

# Function → what it gives, and what is said of it.
UNSUITABLE: dict[str, tuple[Any, str]] = {
    "thread": (True, "starts threads"),
    "file": ("FILE = open(__file__)\n", "leaves open: /workspace/of_file.py"),
    "socket": ("text", "leaves open: socket:["),
    "child": (True, "starts 1 process"),
    "mapping": (1, "maps memory that is shared: /dev/zero"),
    "readable-mapping": (1, "maps memory that is shared: /dev/zero"),
    "temporary-file": ("made", "writes /tmp/made"),
    "scratch-file": ("made", "writes /workspace/scratch/made"),
    "folder": ("written", "writes /workspace/scratch/.cache"),
    "shared-memory": ("made", "writes /dev/shm/made"),
    "timer": (True, "starts a timer"),
    "system-v": (True, "makes semaphores, queues or memory of System V"),
    "asking": (True, "asks for a variable that differs from run to run"),
    "needing": ("needing", "asks for a variable that differs from run to run"),
    "closing": (1, "the process that imports its module ends"),
    "forking": (1, "forks of the process that has imported its module fail"),
}

# What fails either way, and says itself why: function → kind and words of its failure, what is said besides.
FAILING = {
    "failing": ("function_error", "cannot be imported", ""),
    "leaving": ("contract_error", "out/data.json", "the process that imports its module ends"),
    "endless": ("timeout", "2 s", "takes longer than a run may"),
}


def said(called: Any) -> str:
    """Why it was not warm."""
    return " ".join(notice for notice in called.notices if "runs cold" in notice)


@pytest.fixture
def unsuitable(package: Callable[..., Any], own_pool: Any) -> Any:
    calls = package("warm-unsuitable")
    calls.pool = own_pool
    return calls


@pytest.mark.parametrize("function", UNSUITABLE)
def test_what_cannot_be_forked_runs_cold_and_says_why_once(unsuitable: Any, function: str) -> None:
    value, why = UNSUITABLE[function]
    calls = [unsuitable.warm(function) for _ in range(3)]
    for called in calls:
        assert not called.is_warm
        assert called.outputs == {"result": value}
    assert why in said(calls[0])
    assert [said(called) for called in calls[1:]] == ["", ""]


@pytest.mark.parametrize("function", FAILING)
def test_what_cannot_be_imported_fails_as_it_does_cold(unsuitable: Any, function: str) -> None:
    kind, words, why = FAILING[function]
    first, second = unsuitable.warm(function), unsuitable.warm(function)
    for called in (first, second):
        assert not called.is_warm
        assert called.kind == kind
        assert words in str(called.result.failure)
    assert why in said(first)
    assert not said(second)
    assert unsuitable.pool.kept() == []  # nothing goes on importing that nobody waits for


def test_one_changed_line_is_seen_by_the_very_next_call(
    package: Callable[..., Any], tmp_path: Path
) -> None:
    place = tmp_path / "package"
    shutil.copytree(PACKAGES / "single-return", place)
    source = (place / "returns.py").read_text()
    for number in range(2, 6):
        (place / "returns.py").write_text(source.replace("2 * x", f"{number} * x"))
        called = package(place).warm("number", x=10.0)
        assert called.is_warm
        assert called.outputs == {"result": 10.0 * number}


def test_calls_with_other_limits_are_not_forked_from_one_process(
    package: Callable[..., Any],
) -> None:
    calls = package("warm-state")
    stamps = set()
    for overrides in ({}, {"memory_mb": 300}, {"cpu": 0.5}, {}):
        called = calls.warm("look", overrides=overrides)
        assert called.is_warm
        stamps.add(called.outputs["stamp"])
        assert called.outputs["state"]["shared memory"][0] == (overrides.get("memory_mb", 200) << 8)
    assert len(stamps) == 3


def test_a_package_may_say_that_it_is_not_to_be_kept_warm(
    package: Callable[..., Any], tmp_path: Path
) -> None:
    place = tmp_path / "package"
    shutil.copytree(PACKAGES / "single-return", place)
    manifest = (place / "kedge.yml").read_text()
    (place / "kedge.yml").write_text(manifest.replace('"3.12"', '"3.12", warm: false'))
    called = package(place).warm("number", x=1.0)
    assert not called.is_warm
    assert called.notices == ()
