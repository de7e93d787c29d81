"""How long each layer takes is told to whoever wants to know."""

from pathlib import Path

import pytest

from kedge import CommandRuntime, ExecutorMiddleware, PythonFunctionRuntime, String, Task
from kedge.middleware import using
from kedge.telemetry import Timing, Took


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))


def test_each_layer_is_told_the_innermost_first() -> None:
    times: list[Took] = []
    with using(Timing(times.append)):
        ended = Task(id="naps", runtime=CommandRuntime("sleep 0.2"), executor="process").run_sync()
    assert [one.layer.title for one in times] == [
        "runtime command",
        "executor process",
        "target local",
        "task naps",
    ]
    setup, execution, placing, whole = (one.seconds for one in times)
    assert setup < 0.2 <= execution <= placing <= whole < 30
    assert [one.layer.run_id for one in times] == [None, *[ended.run.id] * 3]
    assert {one.layer.task for one in times} == {"naps"}


def test_a_layer_that_raises_is_told_too() -> None:
    class Failing(ExecutorMiddleware):
        async def __call__(self, context, call_next):
            raise LookupError("mine")

    times: list[Took] = []
    task = Task(id="fails", runtime=PythonFunctionRuntime(lambda: 1), executor="inprocess")
    with using(Timing(times.append), Failing()), pytest.raises(LookupError):
        task.run_sync()
    assert [one.layer.name for one in times] == ["runtime", "executor", "target", "task"]
    assert times[0].layer.runtime == "python_function"


def test_what_is_told_holds_no_values() -> None:
    times: list[Took] = []
    with using(Timing(times.append)):
        Task(runtime=CommandRuntime("true {word}"), inputs=[String("word", "hush")]).run_sync()
    assert len(times) == 4 and "hush" not in repr(times)
