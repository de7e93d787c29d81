"""Tasks whose functions and source run in a Python process of their own."""

import asyncio
import functools
import math
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

import kedge
from kedge import (
    File,
    Folder,
    Json,
    Number,
    Pickle,
    PythonCodeStringRuntime,
    PythonFunctionRuntime,
    String,
    Task,
)
from kedge.errors import TaskError
from kedge.run import events, record
from kedge.run.log import read_log

OF_THIS_PROCESS = threading.Lock()


@kedge.function(pip=["nothing-that-is-there"])
def again(load: int) -> float:
    return 3.0 if load == 0 else again(load - 1)


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


@pytest.fixture(params=["sandbox", "process"])
def executor(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


def log_of(ended: Any) -> str:
    return b"".join(data for _, _, data in read_log(f"{ended.run.folder}/log")).decode()


def program(folder: Path, text: str, **variables: str) -> str:
    """What a script prints that is in that folder."""
    (folder / "script.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, folder / "script.py"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def area(width: float, height: float = 2) -> float:
    print("called with", width)
    return width * height


def fails() -> None:
    raise LookupError("no such load")


class Beam:
    def __init__(self, length: float) -> None:
        self.length = length

    def bent(self, load: float) -> float:
        return self.length * load


class NewsOfItsProcess:
    """Is the number of the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os.getpid, ()


def test_a_function_runs_in_a_process_of_its_own(executor: str) -> None:
    for func in (area, f"{__name__}:area"):
        runtime = PythonFunctionRuntime(func)
        ended = Task(runtime=runtime, inputs=[Number("width", 3)], executor=executor).run_sync()
        assert ended.outputs == {"result": 6} and log_of(ended) == "called with 3\n"
        assert (ended.run.executor, ended.run.runtime) == (executor, "python_function")
    pid = PythonFunctionRuntime(lambda: os.getppid() if os.getpid() == 1 else os.getpid())
    assert Task(runtime=pid, executor=executor).run_sync().outputs["result"] != os.getpid()


def test_whatever_can_be_called_with_names_can_be_sent(executor: str) -> None:
    factor = Fraction(3, 2)

    async def later(load: float) -> float:
        await asyncio.sleep(0)
        return float(load * factor)

    calls: list[Callable[..., Any]] = [
        lambda load: float(load * factor),
        later,
        Beam(1.5).bent,
        again,
        lambda load: again(load),
        functools.partial(lambda by, load: by * load, 1.5),
        lambda **all_of_it: all_of_it["load"] * len(all_of_it["task"].name) / 2,
    ]
    for call in calls:
        task = Task(
            name="odd",
            runtime=PythonFunctionRuntime(call),
            inputs=[Number("load", 2)],
            executor=executor,
        )
        assert task.run_sync().outputs == {"result": 3}


def test_files_go_in_and_come_out_as_those_of_any_program(executor: str, folder: Path) -> None:
    (folder / "mesh.med").write_text("m")
    (folder / "cases").mkdir()
    (folder / "cases" / "1").write_text("one")

    def doubled(mesh: Path, cases: Path, written_here: Path) -> dict[str, Any]:
        written_here.write_text(mesh.read_text() * 2 + (cases / "1").read_text())
        Path("made.tar.gz").write_text("made")
        Path("left").write_text("left")
        return {"made": "made.tar.gz", "length": 2}

    task = Task(
        runtime=PythonFunctionRuntime(doubled),
        inputs=[File("mesh", folder / "mesh.med"), Folder("cases", folder / "cases")],
        outputs=[
            File("written-here", folder / "out.txt"),
            File["tar.gz"]("made"),
            Number("length"),
        ],
        executor=executor,
    )
    ended = task.run_sync()
    assert ended.outputs["length"] == 2 and list(ended.run.artifacts) == ["left"]
    assert (folder / "out.txt").read_text() == "mmone"
    assert Path(ended.outputs["made"]).read_text() == "made"


def test_what_a_function_raises_is_its_failure_with_its_own_frames_alone(executor: str) -> None:
    async def fails_late() -> None:
        await asyncio.sleep(0)
        fails()

    for func in (fails, lambda: fails(), fails_late):
        ended = Task(runtime=PythonFunctionRuntime(func), executor=executor).run_sync()
        assert isinstance(ended.failure, kedge.FunctionError)
        assert ended.failure.message == "LookupError: no such load"
        assert str(__file__) in ended.failure.traceback and "runner" not in ended.failure.traceback
        assert "asyncio/" not in ended.failure.traceback
        assert log_of(ended).endswith("LookupError: no such load\n")


def test_what_cannot_be_pickled_is_named_before_anything_is_started(executor: str) -> None:
    local = threading.Lock()

    def locks() -> None:
        local.acquire()
        OF_THIS_PROCESS.acquire()

    name = f"locks-{executor}"
    task = Task(id=name, runtime=PythonFunctionRuntime(locks), executor=executor)
    with pytest.raises(TaskError, match="cannot be sent") as raised:
        task.run_sync()
    assert record.list_runs(1, function=name) == []
    assert "`local`, which `" in str(raised.value)
    assert "executor `inprocess`" in str(raised.value.problems[0].hint)
    with pytest.raises(TaskError, match="`task`, a `kedge"):
        Task(runtime=PythonFunctionRuntime(lambda task: local), executor=executor).run_sync()


def test_objects_are_unpickled_where_the_function_runs(
    executor: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # their classes are of this module
    (folder / "seen.pkl").write_bytes(pickle.dumps(NewsOfItsProcess()))

    def tells(seen: int, beam: Beam) -> dict[str, Any]:
        return {"where": seen == os.getpid(), "longer": Beam(beam.length + 1), "none": None}

    task = Task(
        runtime=PythonFunctionRuntime(tells),
        inputs=[Pickle("seen", folder / "seen.pkl"), Pickle("beam", value=Beam(2))],
        outputs=[Json("where"), Pickle("longer"), Pickle("none")],
        executor=executor,
    )
    outputs = task.run_sync().outputs
    assert outputs["where"] is True
    with open(outputs["longer"], "rb") as longer, open(outputs["none"], "rb") as none:
        assert pickle.load(longer).length == 3 and pickle.load(none) is None
    refused = Task(
        runtime=PythonFunctionRuntime(lambda: threading.Lock()),
        outputs=[Pickle("lock")],
        executor=executor,
    )
    failure = refused.run_sync().failure
    assert failure is not None and failure.kind == "contract_error" and "`lock`" in str(failure)


def test_source_finds_the_inputs_as_names_and_leaves_the_outputs(executor: str) -> None:
    hostile = "'); import os; os.abort() #"
    task = Task(
        name="a root",
        runtime=PythonCodeStringRuntime(
            "import math\nroot_of_it = math.sqrt(area_n)\nprint(task.name, text)\nunasked = object()\n"
        ),
        inputs=[Number("area-n", 9), String("text", hostile)],
        outputs=[Number("root-of-it")],
        executor=executor,
    )
    ended = task.run_sync()
    assert ended.outputs == {"root-of-it": 3} and log_of(ended) == f"a root {hostile}\n"
    code = PythonCodeStringRuntime("1 / 0")
    failure = Task(name="wrong", runtime=code, executor=executor).run_sync().failure
    assert failure is not None and 'File "<wrong>", line 1' in failure.traceback
    code = PythonCodeStringRuntime("a = 1")
    failure = Task(runtime=code, outputs=[Json("b")], executor=executor).run_sync().failure
    assert failure is not None and "`b` was not written" in str(failure)


def test_functions_of_a_script_and_of_modules_beside_it_can_be_sent(
    executor: str, folder: Path
) -> None:
    (folder / "beside.py").write_text("FACTOR = 5\ndef size(length):\n    return length + FACTOR\n")
    said = program(
        folder,
        "import pickle\n"
        "import beside\n"
        "from kedge import Number, Pickle, PythonFunctionRuntime, Task\n"
        "class Beam:\n"
        "    def __init__(self, length):\n"
        "        self.length = length\n"
        "SCALE = 2\n"
        "def scaled(beam, by):\n"
        "    assert isinstance(beam, Beam)\n"
        "    return {'made': Beam(beam.length * by * SCALE), 'size': beside.size(beam.length)}\n"
        "inputs = [Pickle('beam', value=Beam(1)), Number('by', 3)]\n"
        "outputs = [Pickle('made'), Number('size')]\n"
        "runtime = PythonFunctionRuntime(scaled)\n"
        f"task = Task(runtime=runtime, inputs=inputs, outputs=outputs, executor={executor!r})\n"
        "made = task.run_sync().outputs\n"
        "beam = pickle.load(open(made['made'], 'rb'))\n"
        "print(type(beam) is Beam, beam.length, made['size'])\n"
        "for func in (beside.size, 'beside:size'):\n"
        "    inputs = [Number('length', 1)]\n"
        "    task = Task(runtime=PythonFunctionRuntime(func), inputs=inputs, executor=task.executor)\n"
        "    print(task.run_sync().outputs)\n",
    )
    assert said == "True 6 6\n{'result': 6}\n{'result': 6}\n"


def test_a_folder_that_no_run_may_see_is_not_shown_for_the_modules_in_it(
    executor: str, folder: Path
) -> None:
    (folder / "beside.py").write_text("def size(length):\n    return length\n")
    said = program(
        folder,
        "import beside\n"
        "from kedge import PythonFunctionRuntime, Task\n"
        "def run(func):\n"
        f"    return Task(runtime=PythonFunctionRuntime(func), executor={executor!r}).run_sync()\n"
        "print(run(lambda: 'by value').outputs)\n"
        "try:\n"
        "    run(lambda: beside.size(1))\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "def imports():\n"
        "    import beside\n"
        "print(run(imports).failure.hint)\n"
        "print(run(lambda: 1 / 0).failure.traceback)\n",
        HOME=str(folder),
    )
    by_value, refused, hint, *traceback = said.splitlines()
    assert by_value == "{'result': 'by value'}"
    assert "the module `beside` is in" in refused and "open to the run" in refused
    assert "a folder of the caller's `sys.path`" in hint
    assert "    print(run(lambda: 1 / 0).failure.traceback)" in traceback


def test_a_busy_loop_ends_when_its_time_is_over(executor: str) -> None:
    def busy() -> None:
        while True:
            math.sqrt(2)

    task = Task(runtime=PythonFunctionRuntime(busy), executor=executor, resources={"timeout": 1})
    failure = task.run_sync().failure
    assert failure is not None and failure.kind == "timeout"


def test_a_busy_loop_is_told_that_it_is_cancelled_and_may_tidy_up(executor: str) -> None:
    def busy() -> None:
        try:
            kedge.progress(1, 2, "half")
            while True:
                math.sqrt(2)
        except kedge.Cancelled:
            print("tidied")
            raise

    name = f"busy-{executor}"

    def is_half() -> bool:
        return any(
            event.data.get("message") == "half"
            for run in record.list_runs(1, function=name)
            for event in events.events(run.id)
        )

    async def cancelled() -> None:
        runtime = PythonFunctionRuntime(busy)
        going = asyncio.ensure_future(Task(id=name, runtime=runtime, executor=executor).run())
        while not is_half():
            await asyncio.sleep(0.01)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(cancelled())
    run = record.list_runs(1, function=name)[0]
    log = b"".join(data for _, _, data in read_log(f"{run.folder}/log"))
    assert run.status == "cancelled" and log == b"tidied\n"


def test_tasks_at_once_are_in_processes_of_their_own(executor: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port = server.getsockname()[1]

        def meets(number: int) -> int:
            with socket.create_connection(("127.0.0.1", port), 60) as other:
                other.recv(1)  # which comes once all are there
            return sum(range(number))

        async def all_of_them() -> list[Any]:
            tasks = [
                Task(
                    runtime=PythonFunctionRuntime(meets),
                    inputs=[Number("number", at)],
                    executor=executor,
                    network=True,
                    resources={"cpu": 1},
                )
                for at in (3, 4)
            ]
            going = [asyncio.ensure_future(task.run()) for task in tasks]
            met = [await asyncio.to_thread(server.accept) for _ in tasks]
            for connection, _ in met:
                connection.sendall(b"!")
                connection.close()
            return await asyncio.gather(*going)

        assert [one.outputs["result"] for one in asyncio.run(all_of_them())] == [3, 6]


def test_its_memory_is_limited(executor: str) -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda: len(b"x" * (1 << 30))),
        executor=executor,
        resources={"memory_mb": 128},
    )
    failure = task.run_sync().failure
    assert failure is not None and (
        failure.kind == "out_of_memory" or "MemoryError" in failure.message
    )


def test_what_is_of_a_module_that_cannot_be_imported_by_its_name_is_sent_as_it_is(
    executor: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ModuleType("made_by_hand")
    exec(
        "TWO = 2\nclass Load:\n    n = 3\ndef area(width):\n    return width * TWO * Load.n",
        made.__dict__,
    )
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    task = Task(
        runtime=PythonFunctionRuntime(made.area), inputs=[Number("width", 2)], executor=executor
    )
    assert task.run_sync().outputs == {"result": 12}
    assert "made_by_hand" not in cloudpickle.list_registry_pickle_by_value()
