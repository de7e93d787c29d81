"""Tasks that are written where they are run: ports, commands, executors."""

import asyncio
import copy
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge import Boolean, CommandRuntime, File, Folder, Json, Number, String, Task
from kedge.client import delivery
from kedge.data import replace
from kedge.errors import InputError, Lost, StartFailed, TaskError
from kedge.executor import Ended, executors
from kedge.executor.process import ProcessExecutor
from kedge.middleware import (
    ExecutorMiddleware,
    Middleware,
    RuntimeMiddleware,
    TargetMiddleware,
    TaskMiddleware,
    using,
)
from kedge.run import events, record
from kedge.run.events import EventLog
from kedge.store import opened

HOSTILE = "a b'\"$(touch pwned)`touch pwned`; touch pwned # *\n-é"

# Each of its arguments on a line, as Python writes it, in the file that is its first one.
ARGUMENTS = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


@pytest.fixture(params=["sandbox", "process"])
def executor(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


def test_a_command_reads_its_inputs_and_its_output_is_where_it_is_wanted(
    tmp_path: Path, executor: str
) -> None:
    words = tmp_path / "many words.txt"
    words.write_text("b\na\n")
    wanted = tmp_path / "new" / "sorted.txt"
    task = Task(
        name="sort words",
        runtime=CommandRuntime("cd / && cat {words} | sort > {sorted.path} && echo {task.name}"),
        inputs=[File("words", words)],
        outputs=[File("sorted", wanted)],
        executor=executor,
    )
    ended = task.run_sync()
    assert ended.failure is None and wanted.read_text() == "a\nb\n"
    assert Path(ended.outputs["sorted"]).read_text() == "a\nb\n"
    assert kedge_log(ended) == "sort words\n"


def kedge_log(ended: Any) -> str:
    from kedge.run.log import read_log

    log = read_log(os.path.join(ended.run.folder, "log"))
    return b"".join(data for _, _, data in log).decode()


def test_while_its_program_goes_on_it_is_recorded_as_running(tmp_path: Path, executor: str) -> None:
    seen: list[tuple[str, str | None, list[str]]] = []

    class Looking(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            run_id = context.job.run_id

            def look() -> None:
                tick()
                if not seen:
                    found = record.get(run_id)
                    told = [event.type for event in events.events(run_id)]
                    seen.append((found.status, found.started, told))

            tick = context.job.on_tick
            return await call_next(replace(context, job=replace(context.job, on_tick=look)))

    with using(Looking()):
        for _ in range(4):  # the later ones in what waits for them
            seen.clear()
            ended = Task(runtime=CommandRuntime("sleep 0.2"), executor=executor).run_sync()
            assert ended.failure is None and seen == [("running", ended.run.started, ["started"])]
    assert [event.type for event in events.events(ended.run.id)] == ["started", "ended"]


def test_its_timeout_holds_while_somebody_else_holds_the_store(executor: str) -> None:
    class Holding(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            store = sqlite3.connect(opened().path, isolation_level=None, check_same_thread=False)
            store.execute("BEGIN IMMEDIATE")
            threading.Timer(2.0, store.close).start()
            return await call_next(context)

    task = Task(
        runtime=CommandRuntime("sleep 30"),
        executor=executor,
        resources={"timeout": 0.2, "grace": 0.1},
    )
    for _ in range(3):  # until it is in what waits for it
        assert task.run_sync().run.failure_kind == "timeout"
    with using(Holding()):
        run = task.run_sync().run
    assert run.failure_kind == "timeout" and run.measured["wall_s"] < 1.5
    assert [event.type for event in events.events(run.id)] == ["started", "ended"]


def test_a_run_that_somebody_takes_for_lost_goes_on_to_its_end() -> None:
    class Taking(ExecutorMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            run = record.get(context.job.run_id)
            taking = threading.Timer(0.3, record._ended, (run, Lost("gone"), {}, EventLog(run.id)))
            taking.start()
            try:
                return await call_next(context)
            finally:
                taking.join()

    command = "sleep 0.6; echo '{\"ratio\": 0.5}' >> out/progress.jsonl; sleep 0.3"
    with using(Taking()):
        ended = Task(runtime=CommandRuntime(command), executor="process").run_sync()
    assert ended.failure is None and ended.run.failure_kind == "lost"
    assert [event.type for event in events.events(ended.run.id)] == ["started", "ended"]


def test_why_a_program_was_not_started_is_said_each_time(tmp_path: Path, executor: str) -> None:
    closed, foreign, script = (tmp_path / name for name in ("closed", "foreign", "script"))
    closed.write_text("#!/bin/sh\n")
    foreign.write_text("neither\n")
    script.write_text("#!/nothing/here\n")
    foreign.chmod(0o755)
    script.chmod(0o755)
    whys = {
        "/nothing": "the program '/nothing' was not found",
        "nothing-of-this-name": "the program 'nothing-of-this-name' was not found",
        "/usr": "'/usr' is a folder, not a program",
        "{closed}": "is not executable",
    }
    if executor == "sandbox":  # the other one copies files, and not that they are programs
        whys["{foreign}"] = "neither a program for this machine nor a script"
        whys["{script}"] = "asks in its first line for '/nothing/here'"
    files = [File("closed", closed), File("foreign", foreign), File("script", script)]
    for word, why in whys.items():
        task = Task(runtime=CommandRuntime([word, "x"]), inputs=files, executor=executor)
        for _ in range(3):  # at last in what waits for it
            ended = task.run_sync()
            assert isinstance(ended.failure, StartFailed) and why in str(ended.failure)
            assert ended.run.started is not None and kedge_log(ended) == ""


def test_a_run_that_waits_for_an_import_is_recorded_as_running(tmp_path: Path) -> None:
    (tmp_path / "kedge.yml").write_text(
        "name: slow-import\nruntime: {kind: python, version: '3.12'}\nfunctions: {f: {handler: 'slow:f'}}\n"
    )
    (tmp_path / "slow.py").write_text("import time; time.sleep(1)\ndef f() -> int: return 1\n")
    function = kedge.load(tmp_path).f
    with ThreadPoolExecutor() as threads:
        called = threads.submit(function)
        found: set[str] = set()
        while not called.done():
            found |= {run.status for run in record.list_runs(1, package="slow-import")}
            time.sleep(0.01)
    assert called.result() == 1 and "running" in found


def test_an_executor_of_somebodys_own_need_not_say_that_it_has_begun() -> None:
    class Own(ProcessExecutor):
        kind = "own-and-silent"

        async def _execute(self, payload: Any, job: Any) -> Ended:
            return Ended(0, None, "exited", 0.0, None, None, None, None)

    try:
        run = Task(runtime=CommandRuntime("true"), executor=Own()).run_sync().run
    finally:
        executors.unregister("own-and-silent")
    assert run.status == "succeeded" and run.started is not None
    assert [event.type for event in events.events(run.id)] == ["started", "ended"]


def test_values_are_arguments_whatever_is_in_them(tmp_path: Path, executor: str) -> None:
    values = [
        String("text", HOSTILE),
        Number("load", 1.5, unit="N"),
        Boolean("wet", True),
        Json("cases", [1, {"a": None}]),
    ]
    expected = repr([HOSTILE, "1.5", "true", '[1, {"a": null}]', f"--x={HOSTILE}"])
    words = ("/usr/bin/env", "python3", "-c", ARGUMENTS, "{out}")
    listed = (*words, "{text}", "{load}", "{wet}", "{cases}", "--x={text}")
    (tmp_path / "program.py").write_text(ARGUMENTS)
    shell = "python3 {program} {out} {text} {load} {wet} {cases} --x={text}"
    for number, command in enumerate((listed, shell)):
        place = tmp_path / str(number)
        inputs = [*values, File("program", tmp_path / "program.py")]
        task = Task(
            runtime=CommandRuntime(command),
            inputs=inputs,
            outputs=[File("out", place)],
            executor=executor,
        )
        task.run_sync().outputs  # noqa: B018 - raises where it failed
        assert place.read_text() == expected


def test_a_folder_goes_in_and_comes_out(tmp_path: Path, executor: str) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "mesh").write_text("m")
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").write_text("")
    task = Task(
        runtime=CommandRuntime("mkdir -p {result} && cp {case}/mesh {result}/mesh"),
        inputs=[Folder("case", tmp_path / "case")],
        outputs=[Folder("result", tmp_path / "result")],
        executor=executor,
    )
    task.run_sync().outputs  # noqa: B018
    assert os.listdir(tmp_path / "result") == ["mesh"]
    assert sorted(os.listdir(tmp_path)) == ["case", "result"]


def test_a_file_is_written_with_the_whole_extension_of_its_path(tmp_path: Path) -> None:
    for name, port in (("my x.tar.gz", File["tar.gz"]), ("x.med.gz", File["med.gz", "med"])):
        task = Task(
            runtime=CommandRuntime("echo {out.name} > {out}"),
            outputs=[port("out", tmp_path / name)],
        )
        task.run_sync().outputs  # noqa: B018
        assert (tmp_path / name).read_text() == f"out.{name.partition('.')[2]}\n"


def test_a_run_that_fails_says_so_when_its_outputs_are_asked_for(tmp_path: Path) -> None:
    wanted = tmp_path / "out"
    wanted.write_text("before")
    for command, kind in (("exit 3", "function_error"), ("true", "contract_error")):
        ended = Task(runtime=CommandRuntime(command), outputs=[File("out", wanted)]).run_sync()
        assert ended.failure is not None and ended.failure.kind == kind
        with pytest.raises(kedge.RunFailed):
            ended.outputs  # noqa: B018
    assert wanted.read_text() == "before"


def test_a_task_runs_many_times_and_many_run_at_once() -> None:
    tasks = [
        Task(id=f"n{at}", runtime=CommandRuntime("echo {n}"), inputs=[Number("n", at)])
        for at in range(8)
    ]

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(task.run() for task in tasks for _ in range(2)))

    said = [kedge_log(ended) for ended in asyncio.run(all_of_them())]
    assert said == [f"{at}\n" for at in range(8) for _ in range(2)]


def test_a_task_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    task = Task(runtime=CommandRuntime("sleep 60"), resources={"grace": 0.2})

    async def cancelled() -> None:
        going = asyncio.ensure_future(task.run())
        await asyncio.sleep(0.3)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(cancelled())


def test_what_a_command_names_and_nobody_declared_is_refused_before_anything_starts() -> None:
    shell = Task(runtime=CommandRuntime("cp {word} {task.nam}"), inputs=[String("words", "x")])
    listed = Task(runtime=CommandRuntime(("cp", "{word}")), inputs=[String("words", "x")])
    with pytest.raises(TaskError) as raised:
        shell.run_sync()
    assert "`{word}` is not declared" in str(raised.value)
    assert "`{task.nam}` is not known" in str(raised.value)
    assert "did you mean `{words}`?" in str(raised.value)
    with pytest.raises(TaskError, match=r"`\{word\}` is not declared"):
        listed.run_sync()


def test_what_cannot_be_set_up_is_a_value_error() -> None:
    for command, value in (("cp {word}", 1), ("true", "many")):
        with pytest.raises(ValueError, match=r"word|many") as raised:
            Task(runtime=CommandRuntime(command), inputs=[Number("n", value)]).run_sync()
        assert isinstance(raised.value, kedge.RequestError)


def test_a_place_where_a_value_would_be_code_is_refused() -> None:
    task = Task(runtime=CommandRuntime("sh -c {text}"), inputs=[String("text", "id")])
    with pytest.raises(TaskError) as raised:
        task.run_sync()
    assert "no shell reads" in raised.value.__notes__[0]


def test_what_no_program_can_be_given_is_refused() -> None:
    for command in ("echo {text}", ("echo", "{text}")):
        for name in ("name", "description"):
            said = Task(runtime=CommandRuntime(("echo", f"{{task.{name}}}")), **{name: "a\0b"})
            with pytest.raises(InputError, match=f"`task.{name}` holds a NUL"):
                said.run_sync()
        task = Task(runtime=CommandRuntime(command), inputs=[String("text", "a\0b")])
        with pytest.raises(InputError, match="NUL"):
            task.run_sync()
    task = Task(runtime=CommandRuntime("echo {text}"), inputs=[String("text", "x" * 70_000)])
    with pytest.raises(InputError, match="has 70000 bytes"):
        task.run_sync()


def test_a_command_is_texts_that_a_program_can_be_given() -> None:
    commands: list[Any] = [("echo", "a\0b"), ("sleep", 0), ["ls", Path("/")], 5, "echo a\0b"]
    for command in commands:
        with pytest.raises(TaskError, match=r"no text|holds a NUL"):
            Task(runtime=CommandRuntime(command)).run_sync()
    with pytest.raises(TaskError, match=r"env\.A"):
        Task(runtime=CommandRuntime("true", env={"A": "x\0"})).run_sync()


def test_values_that_their_ports_do_not_admit_are_refused_all_at_once(tmp_path: Path) -> None:
    inputs = [Number("load", "much"), Boolean("wet", 3), File("mesh", tmp_path / "none")]
    with pytest.raises(InputError) as raised:
        Task(runtime=CommandRuntime("true"), inputs=inputs).run_sync()
    assert len(raised.value.problems) == 3


def test_a_task_that_does_not_fit_together_is_refused_when_it_is_made() -> None:
    ports: list[Any] = [String("a", "x"), String("task", "x"), "b", String("c")]
    with pytest.raises(TaskError) as raised:
        Task(runtime="cp", inputs=ports, outputs=[File("a")])  # type: ignore[arg-type]
    said = str(raised.value)
    for problem in ("no runtime", "reserved", "no port", "two ports", "bound to nothing"):
        assert problem in said
    with pytest.raises(kedge.KedgeError, match="there is no executor of kind 'sandbocks'"):
        Task(runtime=CommandRuntime("true"), executor="sandbocks")


def test_what_is_no_text_no_path_and_no_list_is_refused_when_the_task_is_made() -> None:
    inputs: list[Any] = [
        *(File("a", ["x", "y"]), File(3, "x"), File([], "x"), Number("b", 1, unit=5)),  # type: ignore[arg-type]
        File("c", b"x"),  # type: ignore[arg-type]
    ]
    given: dict[str, Any] = {"id": 7, "name": 5, "description": [], "network": "yes"}
    with pytest.raises(TaskError) as raised:
        Task(runtime=CommandRuntime("true"), inputs=inputs, outputs=5, **given)  # type: ignore[arg-type]
    places = {str(one.where) for one in raised.value.problems}
    assert places >= {"id", "name", "description", "network", "outputs", "3"}
    assert places >= {"inputs[0].path", "inputs[3].unit", "inputs[4].path"}
    assert all(problem.hint for problem in raised.value.problems)
    for ports in (File("a", "x"), "ab", {"a": 1}):
        with pytest.raises(TaskError, match="is no"):
            Task(runtime=CommandRuntime("true"), inputs=ports)  # type: ignore[arg-type]


def test_limits_an_executor_and_a_target_that_are_none_are_refused_when_the_task_is_made() -> None:
    given: list[Any] = [{"cpus": 1}, {"cpu": "many"}, {"timeout": 0}, {"memory_mb": 1.5}, 5]
    given += [{"tier": "huge"}, {"pids": True}, {"timeout": float("nan")}]
    for resources in given:
        with pytest.raises(TaskError, match=r"^resources"):
            Task(runtime=CommandRuntime("true"), resources=resources)
    task = Task(runtime=CommandRuntime("true"), resources={"cpu": 0.5, "grace": 0, "disk_mb": None})
    assert task.run_sync().failure is None
    parts: list[dict[str, Any]] = [{"executor": 5}, {"target": 5}, {"executor": kedge.Executor}]
    for part in parts:
        with pytest.raises(TaskError, match="which is no"):
            Task(runtime=CommandRuntime("true"), **part)


def test_middleware_of_every_layer_is_around_it_the_first_outermost() -> None:
    seen: list[str] = []

    def noting(family: type[Middleware]) -> Middleware:
        class Noting(family):  # type: ignore[misc, valid-type]
            async def __call__(self, context: Any, call_next: Any) -> Any:
                seen.append(f"{family.__name__} {getattr(context, 'task', None) is not None}")
                try:
                    return await call_next(context)
                finally:
                    seen.append(family.__name__)

        return Noting()

    families = (TaskMiddleware, RuntimeMiddleware, TargetMiddleware, ExecutorMiddleware)
    task = Task(runtime=CommandRuntime("true"))
    with using(*map(noting, families), noting(TaskMiddleware)):
        task.run_sync().outputs  # noqa: B018
    assert seen == [
        *(
            "TaskMiddleware True",
            "TaskMiddleware True",
            "RuntimeMiddleware True",
            "RuntimeMiddleware",
        ),
        *("TargetMiddleware False", "ExecutorMiddleware False", "ExecutorMiddleware"),
        *("TargetMiddleware", "TaskMiddleware", "TaskMiddleware"),
    ]
    task.run_sync()
    assert len(seen) == 10


def test_a_middleware_that_fails_is_an_error_of_whoever_asked() -> None:
    class Failing(TaskMiddleware):
        async def __call__(self, context: Any, call_next: Any) -> Any:
            await call_next(context)
            raise LookupError("mine")

    with using(Failing()), pytest.raises(LookupError, match="mine"):
        Task(runtime=CommandRuntime("true")).run_sync()


def test_two_tasks_of_the_same_parts_are_equal() -> None:
    def made() -> Task:
        return Task(runtime=CommandRuntime("echo {a}"), inputs=[File["med", "msh"]("a", "x.med")])

    assert made() == made() == pickle.loads(pickle.dumps(made())) == copy.deepcopy(made())
    assert File["med"]("a") == File[".MED",]("a") != File("a")
    with pytest.raises(AttributeError, match="does not change"):
        made().name = "other"  # type: ignore[misc]


def test_the_record_of_a_task_names_it_alone() -> None:
    ended = Task(id="sums", runtime=CommandRuntime("true")).run_sync()
    for asked in (ended.run.id, "sums"):
        shown = subprocess.run(
            [sys.executable, "-m", "kedge", "show", asked],
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(r"^function +sums$", shown.stdout, re.MULTILINE)


def test_what_is_there_is_not_lost_to_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = tmp_path / "case"
    case.mkdir()
    words = case / "words.txt"
    words.write_text("x")
    for outputs, said in (
        ([Folder("out", ".")], "would replace the folder"),
        ([Folder("out", "case")], "would replace the folder"),
        ([File("out", "case")], "is no file"),
        ([File("out", "/dev/null")], "is no file"),
        ([Folder("out", "case/words.txt")], "is no folder"),
        ([File("out", "")], "is empty"),
        ([File("out", "same"), File("other", "./same")], "have one place"),
        ([Folder("out", "same"), File("other", "same/file")], "have one place"),
    ):
        task = Task(
            runtime=CommandRuntime("touch ran"), inputs=[File("words", words)], outputs=outputs
        )
        with pytest.raises(TaskError, match=said):
            task.run_sync()
    assert words.read_text() == "x" and os.listdir(tmp_path) == ["case"]


def test_an_output_follows_the_links_that_lead_to_its_place_and_a_program_stays_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    (tmp_path / "program").write_text("old")
    for name in ("folder", "program"):
        (tmp_path / f"to-{name}").symlink_to(name)
    command = "mkdir -p {folder} && touch {folder}/new && cp /bin/true {program}"
    outputs = [Folder("folder", tmp_path / "to-folder"), File("program", tmp_path / "to-program")]
    Task(runtime=CommandRuntime(command), outputs=outputs).run_sync().outputs  # noqa: B018
    assert os.listdir(tmp_path / "folder") == ["new"]
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0
    assert (tmp_path / "to-folder").is_symlink() and (tmp_path / "to-program").is_symlink()


def test_an_output_that_cannot_be_put_at_its_path_is_an_error_that_says_where_it_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    outputs = [File("out", tmp_path / "file" / "out")]
    with pytest.raises(kedge.KedgeError, match="cannot be put at") as raised:
        Task(runtime=CommandRuntime("echo x > {out}"), outputs=outputs).run_sync()
    kept = raised.value.__notes__[0].rpartition(": ")[2]
    assert Path(kept).read_text() == "x\n"


def test_two_that_put_a_folder_at_one_path_at_once_both_succeed(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "source" / name).mkdir(parents=True)
    place = str(tmp_path / "place")

    def often() -> None:
        for _ in range(100):
            delivery.put({"out": str(tmp_path / "source")}, {"out": place})

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(often) for _ in range(2)]:
            future.result()
    assert sorted(os.listdir(place)) == ["a", "b", "c"]
    assert sorted(os.listdir(tmp_path)) == ["place", "source"]


def test_what_nothing_can_be_made_of_is_an_error_of_its_task() -> None:
    def task(command: Any = "true", env: Any = None, **ports: Any) -> Task:
        return Task(runtime=CommandRuntime(command, env={} if env is None else env), **ports)

    for made, words in (
        (task(env=["A=1"]), "`env` is a `list`, and no mapping"),
        (task(env={1: "1"}), "`1` is a `int`"),
        (task(env={"A": 1}), "env.A: `1` is a `int`"),
        (task(outputs=[File("out", "a\0b")]), "the path of the output `out` has a NUL"),
        (task(outputs=[File("out", "a\ud800b")]), "half a character"),
        (task("echo {x}", inputs=[Json("x", [10**5000])]), "`x[0]` is an integer of more than"),
        (task("echo {x}", inputs=[Number("x", -(10**5000))]), "`x` is an integer of more than"),
    ):
        with pytest.raises(ValueError) as raised:
            made.run_sync()
        assert isinstance(raised.value, kedge.KedgeError) and words in str(raised.value)
        assert raised.value.hint
