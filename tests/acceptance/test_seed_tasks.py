"""Examples written for runtimes of other names run as they are, with the import renamed."""

import os
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kedge import (
    CommandRuntime,
    File,
    Number,
    PythonCodeStringRuntime,
    PythonFunctionRuntime,
    Runtime,
    String,
    Task,
)
from kedge.middleware import RuntimeMiddleware, drive, using
from kedge.registry import FinalMethodError
from kedge.run.log import read_log
from kedge.runtime import runtimes
from kedge.task import Call, Code, Process
from kedge.task.payload import placed

EXAMPLE = CommandRuntime(
    command="cp {input_file.path} {task.name}.bak",
)


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "a report.txt"
    path.write_text("x")
    return path


def log_of(ended: Any) -> str:
    return b"".join(data for _, _, data in read_log(f"{ended.run.folder}/log")).decode()


def test_a_command_is_filled_and_makes_the_copy_where_it_stands(
    report: Path, tmp_path: Path
) -> None:
    task = Task(name="my report", runtime=EXAMPLE, inputs=[File("input_file", report)])
    workspace = tmp_path / "workspace"
    (workspace / "in" / "files").mkdir(parents=True)
    (workspace / "in" / "files" / "input_file.txt").write_text("x")
    payload = drive(EXAMPLE.setup_runtime(task))
    assert type(payload) is Process
    subprocess.run(placed(payload, str(workspace)).argv, cwd=workspace, check=True)
    assert (workspace / "my report.bak").read_text() == "x"


def test_a_command_copies_its_input_to_the_output_that_is_declared(
    report: Path, tmp_path: Path
) -> None:
    ended = Task(
        name="my report",
        runtime=CommandRuntime(command="cp {input_file.path} {copy.path} && echo {task.name}.bak"),
        inputs=[File("input_file", report)],
        outputs=[File("copy", tmp_path / "made.bak")],
    ).run_sync()
    assert Path(ended.outputs["copy"]).read_text() == (tmp_path / "made.bak").read_text() == "x"
    assert log_of(ended) == "my report.bak\n"


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_the_copy_is_found_where_the_command_wrote_it(report: Path, executor: str) -> None:
    task = Task(
        name="my report",
        runtime=EXAMPLE,
        inputs=[File("input_file", report)],
        executor=executor,
    )
    ended = task.run_sync()
    assert ended.outputs == {} and list(ended.run.artifacts) == ["my report.bak"]
    assert (Path(ended.run.folder) / "artifacts" / "my report.bak").read_text() == "x"


def test_a_function_that_prints_is_called() -> None:
    runtime1 = PythonFunctionRuntime(func=lambda: print("hello from python"))
    task = Task(runtime=runtime1)
    payload = drive(runtime1.setup_runtime(task))
    assert type(payload) is Call and payload.function is runtime1.func
    ended = task.run_sync()
    assert ended.failure is None and log_of(ended) == "hello from python\n"


def test_source_is_executed() -> None:
    runtime2 = PythonCodeStringRuntime(
        code="result = 1 + 1\nprint(result)",
    )
    payload = drive(runtime2.setup_runtime(Task(runtime=runtime2)))
    assert type(payload) is Code and payload.source == runtime2.code
    ended = Task(runtime=runtime2, outputs=[Number("result")]).run_sync()
    assert log_of(ended) == "2\n" and ended.outputs == {"result": 2}
    assert log_of(Task(runtime=runtime2).run_sync()) == "2\n"


def test_a_function_is_given_its_task_and_the_ports_by_their_ids(
    report: Path, tmp_path: Path
) -> None:
    def copy(task: Task, input_file: Path, copied: Path) -> str:
        copied.write_text(input_file.read_text())
        return f"{task.name} {type(input_file).__name__ == type(copied).__name__}"

    task = Task(
        name="my report",
        runtime=PythonFunctionRuntime(func=lambda **given: {"said": copy(**given)}),
        inputs=[File("input_file", report)],
        outputs=[File("copied", tmp_path / "copied"), String("said")],
    )
    assert task.run_sync().outputs["said"] == "my report True"
    assert (tmp_path / "copied").read_text() == "x"


def test_names_that_are_missing_are_told_in_the_order_of_the_function() -> None:
    def many(zeta: int, task: Task, load: int, alpha: int, *, beta: int, kept: int = 1) -> None: ...

    runtime = PythonFunctionRuntime(func=many)
    task = Task(runtime=runtime, inputs=[Number("load", 1)])
    for setting_up in (lambda: drive(runtime._setup_runtime(task)), task.run_sync):
        with pytest.raises(ValueError, match=r"lacks the parameters `zeta`, `alpha`, `beta`(\n|$)"):
            setting_up()


def test_parameters_with_defaults_are_not_missing() -> None:
    def defaults(load: int, factor: int = 2, *, offset: int = 1) -> int:
        return load * factor + offset

    for inputs, result in (([], 7), ([Number("offset", 0)], 6), ([Number("factor", 3)], 10)):
        task = Task(
            runtime=PythonFunctionRuntime(func=defaults), inputs=[Number("load", 3), *inputs]
        )
        assert task.run_sync().outputs == {"result": result}


def test_any_parameters_get_everything_there_is(report: Path, tmp_path: Path) -> None:
    def everything(load: int, **rest: Any) -> None:
        rest["out"].write_text(" ".join([str(load), *sorted(rest)]))

    task = Task(
        runtime=PythonFunctionRuntime(func=everything),
        inputs=[Number("load", 3), File("input_file", report)],
        outputs=[File("out", tmp_path / "out")],
    )
    assert task.run_sync().failure is None
    assert (tmp_path / "out").read_text() == "3 input_file out task"


def test_a_runtime_of_ones_own_prepares_what_an_executor_takes() -> None:
    class Greeting(Runtime[Process]):
        kind: str = "seed-greeting"
        kind_name: ClassVar[str] = "Greeting"
        kind_description: ClassVar[str] = "Greets whoever the task is called."

        async def _setup_runtime(self, task: Any) -> Process:
            return Process(("echo", "hello", task.name, task.values["text"]))

    try:
        assert runtimes.get("seed-greeting") is Greeting
        task = Task(name="you", runtime=Greeting(), inputs=[String("text", "a b")])
        assert drive(Greeting().setup_runtime(task)).argv == ("echo", "hello", "you", "a b")
        ended = task.run_sync()
        assert log_of(ended) == "hello you a b\n" and ended.run.runtime == "seed-greeting"
    finally:
        runtimes.unregister("seed-greeting")


def test_setting_up_is_final_and_has_middleware_round_it(report: Path) -> None:
    seen: list[str] = []

    class Noting(RuntimeMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            seen.append(f"{context.runtime.kind} of {context.task.name}")
            return await call_next(context)

    with using(Noting()):
        for runtime in (EXAMPLE, PythonFunctionRuntime(func=os.getcwd)):
            task = Task(name="n", runtime=runtime, inputs=[File("input_file", report)])
            drive(runtime.setup_runtime(task))
    drive(EXAMPLE.setup_runtime(Task(runtime=EXAMPLE, inputs=[File("input_file", report)])))
    assert seen == ["command of n", "python_function of n"]
    with pytest.raises(FinalMethodError, match=r"setup_runtime\(\), which is final"):
        type("Cheat", (CommandRuntime,), {"setup_runtime": lambda self, task: None})


def test_every_kind_tells_people_what_it_is() -> None:
    for kind in ("command", "python_function", "python_code"):
        cls = runtimes.get(kind)
        assert cls.kind == kind and cls.kind_name[:1].isupper()
        assert str(cls.kind_description).endswith(".")
