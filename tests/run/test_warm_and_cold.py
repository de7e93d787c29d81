"""A function gives the same answer, files, failures and log in a fork and in a process of its own."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import Cancel
from kedge.run.core import Request

ROOT = Path(__file__).parents[1]
SAMPLES = runpy.run_path(str(ROOT / "test_sample_packages.py"))

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("speaks", {"n": 3}),
    ("ends", {}),
    ("leaves-open", {}),
    ("leaves-open-in-c", {}),
    ("breaks-at-the-end", {}),
    *(("processes", {"method": method}) for method in ("fork", "spawn", "forkserver")),
    ("inherits", {}),
    ("threads", {}),
    ("asynchronous", {}),
    *(("exits", {"how": how}) for how in ("well", "none", "three", "text", "at once")),
    *(("exits", {"how": how}) for how in ("at once, badly", "by a signal", "interrupted", "hung up")),
    *(("raises", {"what": what}) for what in ("chained", "many", "deep", "assertion", "base")),
    ("entrances", {}),
    ("surroundings", {}),
]  # fmt: skip

# Those that end by themselves, and whose values can be given without the command line.
SAMPLE_CALLS = [
    *(
        (package, function, values)
        for package, function, values, _ in SAMPLES["SHAPES"]
        if not any("." in word.partition("=")[0] for word in values)
    ),
    *(
        (package, function, values)
        for package, function, values, code, *_ in SAMPLES["FAILURES"]
        if code in (1, 124)
        and "import-error" != function != "syntax-error"  # which no fork imports
    ),
]


def same(calls: Any, function: str, **values: Any) -> dict[str, Any]:
    """What comes of it whichever way it is called; the second fork is one of a slot that was used."""
    cold = calls.cold(function, **values).told()
    for _ in range(2):
        called = calls.warm(function, **values)
        assert called.told() == cold
        assert called.is_warm
    return cold


@pytest.mark.parametrize(
    ("function", "values"), CALLS, ids=[" ".join((name, *map(str, values.values()))) for name, values in CALLS]
)  # fmt: skip
def test_a_call_is_the_same_warm_and_cold(
    package: Callable[[str], Any], function: str, values: dict[str, Any]
) -> None:
    same(package("warm-manners"), function, **values)


@pytest.mark.parametrize(
    ("name", "function", "words"), SAMPLE_CALLS, ids=[" ".join(one[:2]) for one in SAMPLE_CALLS]
)
def test_a_sample_is_the_same_warm_and_cold(
    package: Callable[[str], Any], name: str, function: str, words: list[str]
) -> None:
    given = dict(word.split("=", 1) for word in words)
    values = {port: _value(text) for port, text in given.items()}
    same(package(name), function, **values)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_names_of_the_standard_library_are_the_packages_own(package: Callable[[str], Any]) -> None:
    found = same(package("warm-names"), "whose")["outputs"]["whose"]
    assert found["socket"] == found["random"] == found["ctypes"] == "the package"


def test_files_go_in_and_come_out(package: Callable[[str], Any], tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / "case" / "deep").mkdir(parents=True)
    (tmp_path / "case" / "deep" / "mesh").write_text("mesh")
    parts = [str(tmp_path / name) for name in ("one.txt", "two.txt")]
    source, case = parts[0], str(tmp_path / "case")
    for name, function, values in (
        ("file-in-file-out", "upper", {"source": source}),
        ("file-in-file-out", "direct", {"source": source}),
        ("folders", "count", {"case": case, "parts": parts}),
        ("folders", "split", {"n": 3}),
        ("warm-manners", "dashes", {"wall-thickness": 1.5, "many-files": parts}),
        ("progress-artifacts", "steps", {"n": 5}),
        ("progress-artifacts", "artifacts", {}),
        ("progress-artifacts", "links", {}),
    ):
        assert same(package(name), function, **values)["status"] == "succeeded"


def test_a_file_that_only_its_owner_reads_goes_in(
    package: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "closed.txt").write_text("closed\n")
    (tmp_path / "closed.txt").chmod(0o600)
    same(package("file-in-file-out"), "upper", source=str(tmp_path / "closed.txt"))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("stubborn", "sleeps"),
        ("stubborn", "tidies"),
        ("stubborn", "ignores"),
        ("warm-manners", "waits"),
        ("warm-manners", "waits-asynchronously"),
        ("warm-manners", "waits-its-own-way"),
    ],
)
def test_a_call_is_cancelled_the_same_way(
    package: Callable[[str], Any], name: str, function: str
) -> None:
    """Once it says that it is ready, by a line or by its progress."""
    calls, told = package(name), []
    for pool in (None, calls.pool, calls.pool):
        cancel = Cancel()
        called = calls.call(Request(function), pool, cancel, cancel.request)
        assert called.is_warm == (pool is not None)
        assert called.kind == "cancelled"
        told.append(called.told())
        told[-1]["failure"].pop("traceback")  # in which line it was when it was asked differs
    assert told[0] == told[1] == told[2]


def test_a_call_outlives_its_timeout_the_same_way(package: Callable[[str], Any]) -> None:
    calls = package("warm-manners")
    warm, cold = calls.warm("waits"), calls.cold("waits")
    assert warm.is_warm
    assert warm.kind == "timeout"
    assert warm.told() == cold.told()


def test_arrays_go_in_and_come_out(package: Callable[[str], Any]) -> None:
    calls = package("warm-numpy")
    same(calls, "make")
    made = calls.warm("make").outputs["found"]
    same(calls, "double", given=made)
    assert same(calls, "alone", given=made)["outputs"]["threads"] == 1


@pytest.mark.parametrize("function", ["ignores-its-children", "buries-its-children"])
def test_a_module_may_have_its_own_way_when_children_end(
    package: Callable[[str], Any], function: str
) -> None:
    calls = package("warm-manners")
    cold = calls.cold(function).outputs
    called = [calls.warm(function) for _ in range(4)]
    assert [one.outputs["seen"] for one in called] == [cold["seen"]] * 4
    assert len({one.outputs["stamp"] for one in called}) == 1  # by the same process
