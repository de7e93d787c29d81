"""SIGKILL at random instants to whatever a pool holds while many calls go on, and each is answered truly."""

import os
import random
import runpy
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kedge.executor.warm.pool import Pool
from kedge.run import core

TESTS = Path(__file__).parents[1]
HARNESS = runpy.run_path(str(TESTS / "run" / "conftest.py"))
SEED = 11
KILLS = 15
AT_ONCE = 4
PATIENCE_S = 60.0


def test_whatever_is_killed_calls_are_answered_and_nothing_is_left(
    kedge_home: Path, groups: SimpleNamespace
) -> None:
    chance = random.Random(SEED)
    over = threading.Event()
    answers: list[Any] = []

    def work() -> None:
        while not over.is_set():
            called = calls.warm("number", x=1.5)
            answers.append(called.kind or called.outputs["result"])

    with Pool() as pool:
        calls = HARNESS["Package"](TESTS / "packages" / "single-return", pool)
        calls.warm("number", x=1.5)
        keeper = pool._keeper[0]
        threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            seen = len(answers)
            time.sleep(chance.uniform(0, 0.3))
            below = list(groups.descendants(keeper))
            if below:
                kill(chance.choice(below))
            until = time.monotonic() + PATIENCE_S
            while len(answers) < seen + AT_ONCE:  # else all of them could come to one that imports
                assert time.monotonic() < until
                time.sleep(0.01)
        over.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert pool._keeper[0] == keeper
        assert [calls.warm("number", x=2.0).outputs["result"] for _ in range(3)] == [4.0] * 3
        names = groups.groups_of(keeper)
    assert set(answers) <= {3.0, "lost", "function_error"}
    assert answers.count(3.0) > len(answers) / 2
    assert not groups.standing(names)
    core.settle()
    assert os.listdir(kedge_home / "tmp") == []


def kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
