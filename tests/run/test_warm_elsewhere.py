"""Warm calls on machines that lack what this one has: a newer kernel's words, control groups."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import processes
from kedge.executor.warm import asking
from kedge.executor.warm.pool import Pool
from kedge.run.core import Request

# The keeper itself, after these lines.
KEEPER = """\
import sys
sys.path.insert(0, sys.argv[1])
from kedge.executor.warm import keeper
{lines}
keeper.main(sys.argv)
"""

# It hears what the zygote says of a fork's end after it has heard all else of that.
HEARS_THE_ZYGOTE_LAST = """\
hear = keeper.Keeper._hear_zygote
def last(self, box):
    if not box.at("called", "empty"):
        hear(self, box)
keeper.Keeper._hear_zygote = last
"""

WITHOUT_GROUPS = "keeper.cgroups.create = lambda *_: None"
PIDS = 20  # of that package
FEWER = (
    6  # than a call may have: those that wait are counted with it, and what cold runs have besides
)

# The zygote cannot fork as long as there is this file.
LETS_NOBODY_FORK = """\
import os, resource
fork = keeper.Keeper._fork
def held(self, one):
    zygote, most = one.box.zygote, resource.RLIMIT_NPROC
    highest = resource.prlimit(zygote, most)[1]
    resource.prlimit(zygote, most, (1 if os.path.exists({full!r}) else highest, highest))
    fork(self, one)
keeper.Keeper._fork = held
"""


@pytest.fixture
def elsewhere(
    package: Callable[[str], Any], own_pool: Pool, tmp_path: Path, monkeypatch: Any
) -> Callable[[str, str], Any]:
    """Opens a package in a pool whose keeper, which comes with the first call, begins with some lines."""

    def make(name: str, lines: str) -> Any:
        program = tmp_path / "keeper.py"
        program.write_text(KEEPER.format(lines=lines))
        monkeypatch.setattr(asking, "_KEEPER", str(program))
        calls = package(name)
        calls.pool = own_pool
        return calls

    return make


def test_a_call_that_leaves_children_has_ended_as_it_did(
    elsewhere: Callable[[str, str], Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(processes, "exit_status", lambda _: None)  # as before Linux 6.15
    calls = elsewhere("warm-state", HEARS_THE_ZYGOTE_LAST)
    called = calls.warm("do", deed="leaves_children")
    assert called.is_warm
    assert called.kind is None, called.result.failure


@pytest.fixture
def ungrouped(elsewhere: Callable[[str, str], Any]) -> Any:
    return elsewhere("warm-many", WITHOUT_GROUPS)


def test_without_groups_a_call_may_have_its_processes(ungrouped: Any) -> None:
    for _ in range(3):
        called = ungrouped.warm("forks", wanted=1000)
        assert called.is_warm
        assert called.kind is None, called.result.failure
        assert called.outputs["made"] in range(PIDS - FEWER, PIDS + 1)


def test_without_groups_a_greedy_call_does_no_harm_to_others(ungrouped: Any) -> None:
    stamp = ungrouped.warm("forks", wanted=1).outputs["stamp"]
    together = threading.Barrier(3)

    def call(_: int) -> Any:
        together.wait()
        return ungrouped.call(Request("forks", {"wanted": 1000, "seconds": 1.0}), ungrouped.pool)

    with ThreadPoolExecutor(3) as threads:
        ended = list(threads.map(call, range(3)))
    assert [one.kind for one in ended] == [None] * 3, [one.result.failure for one in ended]
    assert min(one.outputs["made"] for one in ended) >= PIDS - FEWER
    assert [one.notices for one in ended] == [()] * 3
    assert ungrouped.warm("forks", wanted=1).outputs["stamp"] == stamp


def test_where_nothing_can_be_forked_calls_go_on(
    elsewhere: Callable[[str, str], Any], tmp_path: Path
) -> None:
    """And what was imported is kept, for when there is room again."""
    full = tmp_path / "full"
    calls = elsewhere("warm-many", LETS_NOBODY_FORK.format(full=str(full)))
    stamp = calls.warm("forks", wanted=1).outputs["stamp"]
    with ThreadPoolExecutor(1) as threads:
        called = threads.submit(calls.warm, "forks", wanted=1, seconds=2.0)
        time.sleep(0.5)
        full.touch()
        assert calls.warm("forks", wanted=1).kind is None
        time.sleep(0.5)
        full.unlink()
    assert called.result().kind is None, called.result().result.failure
    assert calls.warm("forks", wanted=1).outputs["stamp"] == stamp
