"""Calls in forks of one pool, one after the other."""

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from kedge.contract.workspace import Workspace
from kedge.executor import Ended, Job, choose
from kedge.executor.warm import forked
from kedge.executor.warm.pool import Pool
from kedge.task import Process, Resources

PERFORMING = runpy.run_path(str(Path(__file__).parent / "performing.py"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    if not choose("sandbox").executor.usable().ok:
        pytest.skip("there are no sandboxes here")
    return tmp_path


def test_a_call_that_cannot_begin_does_not_disturb_the_next(base: Path) -> None:
    snapshot = PERFORMING["_snapshot"](
        str(base), {f"{PERFORMING['CALLED']}.py": PERFORMING["HANDLER"]}
    )
    said: list[bytes] = []

    def call(pool: Pool, number: int, without: str = "") -> Ended:
        place = base / str(number)
        place.mkdir()
        made = Workspace(PERFORMING["_lay_out"](str(place), ()), snapshot)
        if without:
            shutil.rmtree(os.path.join(made.folder, without))
        program = Process(("/bin/echo", str(number)))
        job: Any = Job(
            run_id=os.urandom(6).hex(),
            package="bolts",
            function="sizing",
            workspace=made,
            resources=Resources(cpu=1, memory_mb=256, timeout=30),
            on_output=lambda _, data: said.append(data),
        )
        return forked.execute(pool, PERFORMING["_warm"](program, made), job)

    with Pool() as pool:
        assert call(pool, 1).exit_code == 0
        with pytest.raises(OSError, match="scratch"):
            call(pool, 2, without="scratch")
        assert [call(pool, number).exit_code for number in (3, 4, 5)] == [0, 0, 0]
    assert b"".join(said) == b"1\n3\n4\n5\n"
