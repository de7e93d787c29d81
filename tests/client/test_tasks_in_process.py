"""Tasks whose code runs in Kedge's own process: functions and source."""

import asyncio
import contextvars
import io
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge import (
    CommandRuntime,
    File,
    Json,
    Number,
    PythonCodeStringRuntime,
    PythonFunctionRuntime,
    PythonScriptRuntime,
    String,
    Task,
)
from kedge.errors import TaskError
from kedge.run import record
from kedge.task.port import Typed


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


def log_of(ended: Any) -> str:
    return bytes_of(ended).decode()


def bytes_of(ended: Any) -> bytes:
    from kedge.run.log import read_log

    path = f"{ended.run.folder}/log"
    found = read_log(path) if os.path.exists(path) else ()
    return b"".join(data for _, _, data in found)


def area(width: float, height: float = 2) -> float:
    return width * height


def test_a_function_is_given_inputs_by_name_and_what_it_returns_is_the_result() -> None:
    for func in (area, f"{__name__}:area"):
        ended = Task(runtime=PythonFunctionRuntime(func), inputs=[Number("width", 3)]).run_sync()
        assert ended.outputs == {"result": 6}
        assert ended.run.executor == "inprocess" and ended.run.runtime == "python_function"


def test_a_dictionary_is_the_outputs_that_are_declared(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("x")

    def doubled(source: Path, target: Path, task: Task) -> dict[str, Any]:
        target.write_text(source.read_text() * 2)
        return {"length": 2, "name": task.name}

    task = Task(
        name="double",
        runtime=PythonFunctionRuntime(doubled),
        inputs=[File("source", tmp_path / "in.txt")],
        outputs=[File("target", tmp_path / "out.txt"), Number("length"), String("name")],
    )
    outputs = task.run_sync().outputs
    assert outputs["length"] == 2 and outputs["name"] == "double"
    assert (tmp_path / "out.txt").read_text() == "xx"


def test_a_file_that_is_returned_is_taken(tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    made.write_text("1,2")
    task = Task(runtime=PythonFunctionRuntime(lambda: made), outputs=[File("table")])
    assert Path(task.run_sync().outputs["table"]).read_text() == "1,2" and made.exists()
    task = Task(runtime=PythonFunctionRuntime(lambda: 3), outputs=[File("table")])
    assert "return its path" in str(task.run_sync().failure)


def test_an_output_is_where_its_path_led_when_the_task_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def moves(out: Path) -> None:
        out.write_text("x")
        os.chdir("elsewhere")

    task = Task(runtime=PythonFunctionRuntime(moves), outputs=[File("out", "out.txt")])
    task.run_sync().outputs  # noqa: B018
    assert (tmp_path / "out.txt").read_text() == "x"


def test_a_file_that_is_returned_keeps_its_whole_extension(tmp_path: Path) -> None:
    made = tmp_path / "made.tar.gz"
    made.write_text("x")
    task = Task(runtime=PythonFunctionRuntime(lambda: made), outputs=[File["tar.gz"]("table")])
    assert task.run_sync().outputs["table"].endswith("/table.tar.gz")


def test_parameters_that_nothing_is_for_are_named_in_their_order() -> None:
    def many(z: int, width: int, *, a: int, d: int = 1, y: int) -> None: ...

    with pytest.raises(ValueError, match="`z`, `a`, `y`") as raised:
        Task(runtime=PythonFunctionRuntime(many), inputs=[Number("width", 1)]).run_sync()
    assert isinstance(raised.value, kedge.KedgeError)
    with pytest.raises(ValueError, match="by place only"):
        Task(runtime=PythonFunctionRuntime(lambda x, /: x), inputs=[Number("x", 1)]).run_sync()


def test_null_is_a_value_that_json_can_be_given() -> None:
    for runtime in (
        PythonFunctionRuntime(lambda rest: [rest]),
        PythonCodeStringRuntime("x = [rest]"),
    ):
        task = Task(runtime=runtime, inputs=[Json("rest", None)], outputs=[Json("x")])
        assert task.run_sync().outputs == {"x": [None]}
    printed = Task(runtime=CommandRuntime("echo {rest}"), inputs=[Json("rest", None)]).run_sync()
    assert log_of(printed) == "null\n"
    with pytest.raises(TaskError, match="bound to nothing"):
        Task(runtime=CommandRuntime("true"), inputs=[Json("rest")])


def test_a_function_with_any_parameters_gets_everything() -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda **given: sorted(given)),
        inputs=[Number("width", 1), Json("cases", [1])],
        outputs=[Json("names")],
    )
    assert task.run_sync().outputs == {"names": ["cases", "task", "width"]}


def test_source_finds_the_inputs_as_names_and_leaves_the_outputs() -> None:
    code = "import math\nroot = math.sqrt(area)\nprint(task.name, text)\nunasked = 1\n"
    hostile = "'); import os; os.abort() #"
    task = Task(
        name="a root",
        runtime=PythonCodeStringRuntime(code),
        inputs=[Number("area", 9), String("text", hostile)],
        outputs=[Number("root")],
    )
    ended = task.run_sync()
    assert ended.outputs == {"root": 3} and log_of(ended) == f"a root {hostile}\n"
    failure = Task(name="wrong", runtime=PythonCodeStringRuntime("1 / 0")).run_sync().failure
    assert failure is not None and 'File "<wrong>", line 1' in failure.traceback


def test_an_output_that_is_not_left_fails_the_task() -> None:
    task = Task(runtime=PythonCodeStringRuntime("a = 1"), outputs=[Number("a"), Number("b")])
    failure = task.run_sync().failure
    assert failure is not None and failure.kind == "contract_error" and "`b`" in str(failure)


def test_one_output_that_is_not_left_fails_the_task_too() -> None:
    task = Task(runtime=PythonCodeStringRuntime("a = 1"), outputs=[Json("b")])
    failure = task.run_sync().failure
    assert failure is not None and "`b` was not written" in str(failure)


def test_an_id_with_a_dash_is_a_name_with_an_underscore() -> None:
    task = Task(
        runtime=PythonCodeStringRuntime("load_max = load_n * 2"),
        inputs=[Number("load-n", 2)],
        outputs=[Number("load-max")],
    )
    assert task.run_sync().outputs == {"load-max": 4}
    with pytest.raises(TaskError, match="the same name in code"):
        Task(runtime=task.runtime, inputs=[Number("load-n", 2), Number("load_n", 2)])


def test_what_comes_out_is_read_back_whatever_the_locale_is(tmp_path: Path) -> None:
    (tmp_path / "greek.py").write_text(
        "from kedge import PythonFunctionRuntime, Task\n"
        "print(ascii(Task(runtime=PythonFunctionRuntime(lambda: 'λ')).run_sync().outputs))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-X", "utf8=0", tmp_path / "greek.py"],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "{'result': '\\u03bb'}\n", ended.stderr


def test_an_input_that_need_not_be_there_may_be_bound_to_nothing() -> None:
    wide = Typed("width", {"type": "number"}, needed=False)
    task = Task(runtime=PythonFunctionRuntime(lambda width=7: width), inputs=[wide])
    assert task.run_sync().outputs == {"result": 7}


def test_what_a_function_raises_is_its_failure_with_its_own_frames_alone() -> None:
    def fails() -> None:
        raise LookupError("no such load")

    async def fails_late() -> None:
        await asyncio.sleep(0)
        fails()

    for func in (fails, fails_late):
        ended = Task(runtime=PythonFunctionRuntime(func)).run_sync()
        assert isinstance(ended.failure, kedge.FunctionError)
        assert "no such load" in str(ended.failure)
        assert "inprocess" not in ended.failure.traceback and "fails" in ended.failure.traceback
        assert log_of(ended).endswith("LookupError: no such load\n")


def test_a_function_that_removes_its_folder_has_failed() -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda out: shutil.rmtree(out.parent.parent)),
        outputs=[File("out")],
    )
    failure = task.run_sync().failure
    assert failure is not None and "`out` is missing" in str(failure)


def test_what_cannot_be_said_as_json_is_an_error_that_names_it() -> None:
    failure = Task(runtime=PythonFunctionRuntime(lambda: object())).run_sync().failure
    assert failure is not None and "`result`" in str(failure)


def test_tasks_at_once_print_each_to_its_own_log_and_nobody_elses_print_is_taken() -> None:
    barrier = threading.Barrier(4, timeout=60)

    def speak(number: int) -> None:
        barrier.wait()
        for at in range(50):
            print(number, at)
        print(number, "error", file=sys.stderr)

    async def awaited(number: int) -> None:
        for at in range(50):
            print(number, at)
            await asyncio.sleep(0)
        print(number, "error", file=sys.stderr)

    async def all_of_them() -> list[Any]:
        tasks = [
            Task(runtime=PythonFunctionRuntime(func), inputs=[Number("number", at)])
            for at, func in enumerate([speak, awaited] * 4)
        ]
        return await asyncio.gather(*(task.run() for task in tasks))

    before = sys.stdout, sys.stderr
    with redirect_stdout(io.StringIO()) as printed:
        ended = asyncio.run(all_of_them())
        print("mine")
    for at, one in enumerate(ended):
        lines = "".join(f"{at} {line}\n" for line in range(50))
        assert log_of(one) == lines + f"{at} error\n"
    assert printed.getvalue() == "mine\n" and (sys.stdout, sys.stderr) == before


def test_a_redirection_that_begins_or_ends_meanwhile_takes_nothing_from_a_log() -> None:
    speaking, ending = threading.Event(), threading.Event()
    before = sys.stdout
    ended: list[Any] = []

    def speak() -> None:
        print("first")
        speaking.set()
        ending.wait(60)
        print("last")

    def begin() -> threading.Thread:
        task = Task(runtime=PythonFunctionRuntime(speak))
        speaking.clear()
        ending.clear()
        thread = threading.Thread(target=lambda: ended.append(task.run_sync()))
        thread.start()
        assert speaking.wait(60)
        return thread

    with redirect_stdout(io.StringIO()):
        going = begin()
    second = Task(runtime=PythonFunctionRuntime(lambda: print("second"))).run_sync()
    ending.set()
    going.join()
    assert log_of(second) == "second\n" and log_of(ended[0]) == "first\nlast\n"
    going = begin()
    with redirect_stdout(io.StringIO()):
        ending.set()
        going.join()
    third = Task(runtime=PythonFunctionRuntime(lambda: print("third"))).run_sync()
    assert log_of(third) == "third\n" and sys.stdout is before


def test_what_a_thread_prints_once_its_run_has_ended_goes_where_it_went() -> None:
    threads: list[threading.Thread] = []
    ending = threading.Event()

    def speak() -> None:
        ending.wait(60)
        print("late")

    def leave() -> None:
        context = contextvars.copy_context()
        late = threading.Thread(target=context.run, args=(speak,))
        late.start()
        threads.append(late)

    def wait() -> None:
        ending.set()
        threads[0].join()

    with redirect_stdout(io.StringIO()) as printed:
        ended = Task(runtime=PythonFunctionRuntime(leave)).run_sync()
        Task(runtime=PythonFunctionRuntime(wait)).run_sync()
    assert log_of(ended) == "" and printed.getvalue() == "late\n"


def test_a_stream_that_code_keeps_goes_to_whoever_prints_and_else_where_it_went() -> None:
    kept: list[Any] = []

    def ran(function: Callable[[], Any]) -> str:
        return log_of(Task(runtime=PythonFunctionRuntime(function)).run_sync())

    with redirect_stdout(io.StringIO()) as first:
        assert ran(lambda: kept.append(sys.stdout)) == ""
        assert ran(lambda: print("again")) == "again\n"
        with redirect_stdout(io.StringIO()) as second:
            assert ran(lambda: print("kept", file=kept[0]) or print("too")) == "kept\ntoo\n"
        kept[0].write("after\n")
    assert first.getvalue() == "after\n" and second.getvalue() == ""


def test_the_streams_are_what_they_were_but_for_what_is_written(tmp_path: Path) -> None:
    def facts() -> list[Any]:
        return [sys.stdout.encoding, sys.stdout.errors, sys.stdout.fileno(), sys.stdout.isatty()]

    with open(tmp_path / "out", "w", encoding="latin-1") as file, redirect_stdout(file):
        ended = Task(runtime=PythonFunctionRuntime(facts)).run_sync()
        assert ended.outputs["result"] == ["latin-1", "strict", file.fileno(), False]


def test_bytes_go_to_the_log_of_their_run_among_the_texts_around_them(tmp_path: Path) -> None:
    def speak() -> None:
        print("text", end=" ")
        sys.stdout.buffer.write(b"\xff\x00bytes\n")
        sys.stderr.buffer.write(memoryview(b"\xfe error\n"))
        with io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1") as wrapped:
            print("\xe9", file=wrapped)
        with pytest.raises(TypeError, match="not bytes"):
            sys.stdout.write(b"x")
        with pytest.raises(TypeError):
            sys.stdout.buffer.write("x")
        with redirect_stdout(io.TextIOWrapper(io.BytesIO())) as taken:
            sys.stdout.buffer.write(b"taken\n")
        assert taken.buffer.getvalue() == b"taken\n"
        assert sys.stdout.writable() and sys.stdout.buffer.writable()
        print("a part of a line, \u03bb", end="")

    expected = b"text \xff\x00bytes\n\xfe error\n\xe9\na part of a line, \xce\xbb"
    with open(tmp_path / "out", "w") as file:
        for stream in (file, io.StringIO()):
            with redirect_stdout(stream):
                ended = Task(runtime=PythonFunctionRuntime(speak)).run_sync()
                assert ended.failure is None, ended.failure.traceback
                print("mine")
            assert bytes_of(ended) == expected
    assert stream.getvalue() == "mine\n" and (tmp_path / "out").read_text() == "mine\n"


def test_bytes_that_others_write_meanwhile_go_where_they_went(tmp_path: Path) -> None:
    speaking, ending = threading.Event(), threading.Event()
    kept: list[Any] = []

    def speak() -> None:
        kept.append(sys.stdout.buffer)
        speaking.set()
        ending.wait(60)

    with open(tmp_path / "out", "w") as file, redirect_stdout(file):
        task = Task(runtime=PythonFunctionRuntime(speak))
        going = threading.Thread(target=lambda: kept.append(task.run_sync()))
        going.start()
        assert speaking.wait(60)
        sys.stdout.write("text ")
        sys.stdout.flush()
        sys.stdout.buffer.write(b"meanwhile\n")
        ending.set()
        going.join()
        kept[0].write(b"after\n")
        kept[0].flush()
    assert (tmp_path / "out").read_bytes() == b"text meanwhile\nafter\n"
    assert bytes_of(kept[1]) == b""
    with redirect_stdout(io.StringIO()):
        speaking.clear()
        ending.clear()
        going = threading.Thread(target=task.run_sync)
        going.start()
        assert speaking.wait(60)
        assert not hasattr(sys.stdout, "buffer")  # a text stream of this thread has none
        ending.set()
        going.join()


def test_a_handler_of_logging_writes_to_the_run_that_it_was_made_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = io.StringIO()
    monkeypatch.setattr(sys, "stderr", here)
    log = logging.getLogger("kedge-test-handlers")
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handlers", [])

    def before() -> None:
        log.warning("to whom it was made for")

    def during() -> None:
        log.handlers = [logging.StreamHandler()]
        log.warning("to the run")

    def last_resort() -> None:
        log.warning("to the run")

    log.handlers = [logging.StreamHandler()]
    assert log_of(Task(runtime=PythonFunctionRuntime(before)).run_sync()) == ""
    assert here.getvalue() == "to whom it was made for\n"
    assert log_of(Task(runtime=PythonFunctionRuntime(during)).run_sync()) == "to the run\n"
    log.warning("after it")
    assert here.getvalue().endswith("\nafter it\n")
    again = Task(runtime=PythonFunctionRuntime(before)).run_sync()
    assert log_of(again) == "to whom it was made for\n"  # it asks who prints each time
    log.handlers = []
    assert log_of(Task(runtime=PythonFunctionRuntime(last_resort)).run_sync()) == "to the run\n"
    assert sys.stderr is here


def test_what_cannot_be_ended_says_so_once_it_has_ended(tmp_path: Path) -> None:
    async def blocks() -> int:
        time.sleep(0.1)
        return 4

    def sleeps() -> int:
        return asyncio.run(blocks())

    for func in (blocks, sleeps):
        task = Task(runtime=PythonFunctionRuntime(func), resources={"timeout": 0.05})
        ended = task.run_sync()
        assert ended.outputs == {"result": 4}
        (warning,) = ended.run.warnings
        assert "past its timeout of 0.05 s" in warning and "`process`" in warning
    task = Task(runtime=PythonFunctionRuntime(sleeps), resources={"timeout": 60})
    assert task.run_sync().run.warnings == ()


def test_a_function_that_was_cancelled_is_so_although_it_went_on_to_its_end(tmp_path: Path) -> None:
    begun, ending = threading.Event(), threading.Event()
    out = tmp_path / "out.txt"

    def deaf(task: Task, out: Path) -> None:
        begun.set()
        ending.wait(60)
        out.write_text("x")
        if task.name == "fails":
            raise LookupError("mine")

    async def cancelled(name: str) -> None:
        begun.clear()
        ending.clear()
        task = Task(
            id="deaf", name=name, runtime=PythonFunctionRuntime(deaf), outputs=[File("out", out)]
        )
        going = asyncio.ensure_future(task.run())
        await asyncio.to_thread(begun.wait, 60)
        going.cancel()
        await asyncio.sleep(0)
        ending.set()
        with pytest.raises(asyncio.CancelledError):
            await going

    for name, word in (("ends", "nothing can end"), ("fails", "LookupError: mine")):
        asyncio.run(cancelled(name))
        run = record.list_runs(1, function="deaf")[0]
        assert run.status == "cancelled" and run.failure is not None
        assert "went on to its end" in run.failure["message"] and word in run.failure["message"]
        assert not out.exists() and run.outputs == {}


def test_a_function_does_not_block_the_loop_and_a_second_loop_works_as_the_first() -> None:
    going = threading.Event()

    async def beside() -> bool:
        waiting = asyncio.ensure_future(Task(runtime=PythonFunctionRuntime(going.wait)).run())
        await asyncio.sleep(0.01)
        going.set()  # else it would never come to this
        return (await waiting).failure is None

    for _ in range(2):
        going.clear()
        assert asyncio.run(beside())


def test_a_coroutine_ends_when_it_is_cancelled_or_its_time_is_over() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    task = Task(runtime=PythonFunctionRuntime(endless), resources={"timeout": 0.1})
    failure = task.run_sync().failure
    assert failure is not None and failure.kind == "timeout"

    async def cancelled() -> None:
        going = asyncio.ensure_future(Task(runtime=PythonFunctionRuntime(endless)).run())
        await asyncio.sleep(0.2)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(cancelled())
    assert ended == ["ended", "ended"]


def test_a_coroutine_that_is_cancelled_may_tidy_up() -> None:
    seen: list[str] = []

    async def tidy() -> None:
        seen.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            seen.append("tidied")

    async def cancelled() -> None:
        going = asyncio.ensure_future(Task(runtime=PythonFunctionRuntime(tidy)).run())
        while not seen:
            await asyncio.sleep(0.01)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(cancelled())
    assert seen == ["begun", "tidied"]


def test_a_coroutine_whose_time_was_over_has_failed_whatever_it_does_then() -> None:
    async def deaf() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 7
        return 8

    async def broken() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise LookupError("mine")

    async def own() -> None:
        raise TimeoutError("mine")

    for func, kind in ((deaf, "timeout"), (broken, "timeout"), (own, "function_error")):
        task = Task(runtime=PythonFunctionRuntime(func), resources={"timeout": 0.1})
        failure = task.run_sync().failure
        assert failure is not None and failure.kind == kind


def test_a_coroutine_can_be_cancelled_from_outside() -> None:
    from kedge.executor import ask_from_outside

    async def endless() -> None:
        await asyncio.sleep(0.2)
        going = record.list_runs(1, function="from-outside")[0]
        assert ask_from_outside(going.control)
        await asyncio.sleep(60)

    failure = Task(id="from-outside", runtime=PythonFunctionRuntime(endless)).run_sync().failure
    assert failure is not None and failure.kind == "cancelled"


def test_the_context_of_whoever_asks_is_that_of_the_function() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(4)
    task = Task(runtime=PythonFunctionRuntime(lambda: variable.get()))
    assert task.run_sync().outputs == {"result": 4}


def test_a_runtime_and_an_executor_that_do_not_fit_are_refused_when_the_task_is_made() -> None:
    for runtime, executor, other in (
        (PythonFunctionRuntime(area), "docker", "inprocess, process, sandbox"),
        (CommandRuntime("true"), "inprocess", "sandbox"),
        (CommandRuntime("true"), "docker", "process, sandbox"),
        (PythonScriptRuntime("a.py"), "podman", "process, sandbox"),
    ):
        with pytest.raises(TaskError, match=f"{runtime.kind!r}.*{executor!r}") as raised:
            Task(runtime=runtime, executor=executor)
        assert other in raised.value.__notes__[0]


def test_an_executor_that_is_configured_and_does_not_take_a_task_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for configured, executor in (("docker", "sandbox"), ("process", "process")):
        monkeypatch.setenv("KEDGE_EXECUTOR", configured)
        assert Task(runtime=CommandRuntime("true")).run_sync().run.executor == executor


def test_a_function_that_is_nowhere_is_an_error_of_its_task() -> None:
    for reference in ("no_such_module:f", f"{__name__}:no_such", "math:pi", "nonsense"):
        with pytest.raises(TaskError, match=reference.partition(":")[0]):
            Task(runtime=PythonFunctionRuntime(reference)).run_sync()


def test_threads_of_the_code_that_print_at_once_have_one_log() -> None:
    barrier = threading.Barrier(4, timeout=60)

    async def speak() -> None:
        await asyncio.gather(*[asyncio.to_thread(one, number) for number in range(4)])
        await asyncio.sleep(0.1)  # by then it listens as well

    def one(number: int) -> None:
        barrier.wait()
        sys.stdout.write(f"{number}\n")

    for _ in range(20):
        ended = Task(runtime=PythonFunctionRuntime(speak)).run_sync()
        assert ended.failure is None and ended.run.warnings == ()
        assert sorted(log_of(ended).split()) == ["0", "1", "2", "3"]


def test_a_coroutine_is_run_where_a_loop_runs_already() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 4

    task = Task(runtime=PythonFunctionRuntime(answer))

    async def main() -> object:
        return task.run_sync().outputs

    assert asyncio.run(main()) == task.run_sync().outputs == {"result": 4}


def test_what_a_function_sets_in_its_context_is_its_own() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    Task(runtime=PythonFunctionRuntime(lambda: variable.set(5) and None)).run_sync()
    assert variable.get() == 0


def test_a_run_that_ctrl_c_or_anything_else_ended_has_its_events() -> None:
    from kedge.run import record
    from kedge.run.events import events

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Task(runtime=PythonFunctionRuntime(interrupted)).run_sync()
    found = record.get("last")
    assert found.status == "cancelled"
    assert [event.type for event in events(found.id)] == ["started", "ended"]
