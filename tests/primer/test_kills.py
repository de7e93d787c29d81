"""A kill at any instant, of a first start and of a rebuild: one plain start heals."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from typing import Any

import pytest

KILLS = 25  # For each of the cases below, which are a hundred kills of each kind together.


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("old", [False, True], ids=["the first", "a rebuild"])
def test_a_kill_at_any_instant_heals(checkout: Any, old: bool, part: int) -> None:
    rebuild = checkout.variables | {"PRIMER_REBUILD": "1"}
    began = time.monotonic()
    checkout.report(env=rebuild)
    whole = time.monotonic() - began
    for turn in range(KILLS):
        if not old:
            shutil.rmtree(checkout.root / ".primer")
        process = checkout.begin(env=rebuild)
        # Not a wait for something: the instant of the kill is what varies.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(whole * random.uniform(0.0, 1.1))
        with contextlib.suppress(ProcessLookupError):
            if turn % 2:
                os.kill(process.pid, signal.SIGKILL)  # What it started goes on alone.
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        report = checkout.report()
        assert report["tiny"] == "1.0"
        assert not old or report["said"] == ""
    # Half made ones are removed by the next that is made, if nothing goes on alone in them.
    for _ in range(KILLS):
        checkout.report(env=rebuild)
        if len(checkout.made()) == 2:
            break
    assert len(checkout.made()) == 2
