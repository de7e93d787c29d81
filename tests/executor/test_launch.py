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


def test_an_orphan_that_is_found_in_place_of_its_program_is_not_taken_for_it() -> None:
    found = probe.look()
    bubblewrap = Bubblewrap(found.path, frozenset(found.options))
    argv = ("sh", "-c", "sleep 1000 >&- 2>&- & exit 5")
    program = launch.start(bubblewrap, bare_plan(), argv, {"PATH": "/usr/bin:/bin"}, None, {})
    try:
        assert wait_readable(program.ended, 10)  # the program is over, what it left is not
        assert program.found()
        outcome = program.settle()
    finally:
        program.close()
    assert (outcome.exit_code, outcome.signal) == (5, None)
