"""The local target hands a payload to its executor, inside middleware."""

from pathlib import Path

import pytest

from kedge.contract.workspace import Workspace
from kedge.executor import Job, choose
from kedge.middleware import ExecutorMiddleware, TargetMiddleware, drive, using
from kedge.registry import FinalMethodError
from kedge.target import LocalTarget, Target, targets
from kedge.task import Process, Resources


def make_job(folder: Path, said: list[bytes]) -> Job:
    for name in ("in", "out", "scratch"):
        (folder / name).mkdir()
    return Job(
        run_id="0123456789ab",
        package="p",
        function="f",
        workspace=Workspace(str(folder), None),
        resources=Resources(1, 64),
        on_output=lambda stream, data: said.append(data),
    )


def test_a_payload_is_executed_here(tmp_path: Path) -> None:
    said: list[bytes] = []
    order: list[str] = []

    class Outer(TargetMiddleware):
        async def __call__(self, context, call_next):
            order.append(f"target {context.target.kind}")
            return await call_next(context)

    class Inner(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            order.append(f"executor {context.executor.kind}")
            return await call_next(context)

    executor = choose().executor
    payload = Process(("sh", "-c", "echo $KEDGE_RUN_ID"))
    with using(Inner(), Outer()):
        ended = drive(targets.get("local")().place(executor, payload, make_job(tmp_path, said)))
    assert (ended.exit_code, ended.reason) == (0, "exited")
    assert b"".join(said) == b"0123456789ab\n"
    assert order == ["target local", f"executor {executor.kind}"]


def test_placing_is_final() -> None:
    assert issubclass(LocalTarget, Target)
    with pytest.raises(FinalMethodError, match="place"):

        class Mine(LocalTarget):
            async def place(self, executor, payload, job):
                raise AssertionError
