"""What bubblewrap cannot make."""

import os
import time

from kedge.executor import launch, probe
from kedge.executor.bubblewrap import Bubblewrap
from kedge.executor.plan import Bind, MountPlan, bare_plan
from kedge.executor.processes import wait_readable


def test_a_sandbox_that_ends_before_it_was_let_go_says_why() -> None:
    found = probe.look()
    bare = bare_plan()
    lacking = MountPlan((*bare.entries[:-1], Bind("/no/such/folder", "/shown")), "/", False)

    def join(process: int) -> None:
        time.sleep(0.3)  # until it is gone
        os.sched_setaffinity(process, os.sched_getaffinity(0))

    bubblewrap = Bubblewrap(found.path, frozenset(found.options))
    program = launch.start(bubblewrap, lacking, ("true",), {}, None, {}, join=join)
    try:
        assert wait_readable(program.ended, 10)
        assert not program.settle().started
        said = os.read(program.stderr, 4096)
    finally:
        program.close()
    assert b"/no/such/folder" in said
