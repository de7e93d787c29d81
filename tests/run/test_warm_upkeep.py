"""What a pool lets go of by itself: what nobody uses, what is outdated, and all of it when memory is short."""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kedge.executor.warm import asking
from kedge.executor.warm.pool import Pool
from kedge.run.core import Request

PATIENCE_S = 30.0  # for something that takes a second, on a machine that tests
NEVER_S = 1000.0
# The keeper itself, with other figures; what is free of the machine's memory stands in a file.
HASTY = """\
import sys
sys.path.insert(0, sys.argv[1])
from kedge.executor.warm import keeper, looks
keeper.IDLE_S, keeper.CALM_S, keeper.LOOK_S = {idle}, {calm}, 0.1
looks.memory_available = lambda: float(open({free!r}).read())
keeper.main(sys.argv)
"""


class Hasty:
    """A pool whose keeper has other figures, and a package in it."""

    def __init__(self, pool: Pool, package: Callable[[str], Any], place: Path) -> None:
        self.pool = pool
        self.open = package
        self.calls = self.package("warm-many")
        self.free = place

    def package(self, name: str | Path) -> Any:
        calls = self.open(name)
        calls.pool = self.pool
        return calls

    def has_free(self, share: float) -> None:
        """Have the keeper see this share of the machine's memory as free."""
        fresh = self.free.with_suffix(".fresh")
        fresh.write_text(str(share))
        fresh.replace(self.free)

    def kept(self, what: Callable[[list[dict[str, Any]]], bool]) -> bool:
        """Whether what is kept becomes so."""
        until = time.monotonic() + PATIENCE_S
        while not what(self.pool.kept()):
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True


@pytest.fixture
def hasty(
    package: Callable[[str], Any], own_pool: Pool, tmp_path: Path, monkeypatch: Any
) -> Callable[..., Hasty]:
    """Makes a pool whose keeper, which comes with the first call, has these figures in seconds."""

    def make(idle: float = NEVER_S, calm: float = NEVER_S) -> Hasty:
        free, program = tmp_path / "free", tmp_path / "keeper.py"
        free.write_text("1.0")
        program.write_text(HASTY.format(idle=idle, calm=calm, free=str(free)))
        monkeypatch.setattr(asking, "_KEEPER", str(program))
        return Hasty(own_pool, package, free)

    return make


def test_what_nobody_uses_goes_and_comes_back(hasty: Callable[..., Hasty]) -> None:
    made = hasty(idle=1.0)
    first = made.calls.warm("sleeps", seconds=0.0).outputs
    assert made.calls.warm("sleeps", seconds=0.0).outputs == first
    assert made.kept(lambda kept: not kept)
    called = made.calls.warm("sleeps", seconds=0.0)
    assert called.outputs != first
    assert called.notices == ()


def test_what_a_call_uses_does_not_go(hasty: Callable[..., Hasty]) -> None:
    made = hasty(idle=0.2)
    with ThreadPoolExecutor(1) as threads:
        calling = threads.submit(made.calls.warm, "sleeps", seconds=1.5)
        assert made.kept(lambda kept: any(one["calls"] for one in kept))
        made.has_free(0.01)
        called = calling.result()
    assert called.kind is None and called.is_warm


def test_when_memory_is_short_what_is_idle_goes(hasty: Callable[..., Hasty]) -> None:
    made = hasty()
    made.calls.warm("sleeps", seconds=0.0)
    assert [one["calls"] for one in made.pool.kept()] == [0]
    made.has_free(0.2)
    time.sleep(0.5)
    assert len(made.pool.kept()) == 1
    made.has_free(0.05)
    assert made.kept(lambda kept: not kept)
    made.has_free(1.0)
    assert made.calls.warm("sleeps", seconds=0.0).kind is None


def test_after_a_crowd_there_are_as_few_as_before(hasty: Callable[..., Hasty]) -> None:
    made = hasty(calm=0.5)
    made.calls.warm("sleeps", seconds=0.0)
    with ThreadPoolExecutor(6) as threads:
        ended = list(threads.map(lambda _: made.calls.warm("sleeps", seconds=0.4), range(6)))
    assert [one.kind for one in ended] == [None] * 6
    assert made.kept(lambda kept: kept[0]["calls"] == 0 and kept[0]["forks"] <= 2)


def test_a_changed_package_takes_the_place_of_what_it_was(
    hasty: Callable[..., Hasty], tmp_path: Path
) -> None:
    made = hasty(calm=0.5)
    place = tmp_path / "changing"
    shutil.copytree(Path(__file__).parents[1] / "packages" / "warm-many", place)
    before = made.package(place).warm("sleeps", seconds=0.0)
    with open(next(place.glob("*.py")), "a") as file:
        file.write("\n# changed\n")
    after = made.package(place).warm("sleeps", seconds=0.0)
    assert before.outputs != after.outputs
    assert made.kept(lambda kept: len(kept) == 1)
    assert made.package(place).warm("sleeps", seconds=0.0).outputs == after.outputs


def test_many_first_calls_at_once_import_once(hasty: Callable[..., Hasty]) -> None:
    made = hasty()
    together = threading.Barrier(6)

    def call(_: int) -> Any:
        together.wait()
        return made.calls.call(Request("sleeps", {"seconds": 0.0}), made.pool).outputs["stamp"]

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(call, range(6)))) == 1
