"""Objects that JSON cannot say, as inputs and outputs of tasks."""

import os
import pickle
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kedge import (
    CommandRuntime,
    Folder,
    Number,
    Pickle,
    PythonCodeStringRuntime,
    PythonFunctionRuntime,
    PythonScriptRuntime,
    Task,
)
from kedge.client.definition import dump, load, load_file
from kedge.errors import TaskError


class Marking:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


def unpickled(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())


def test_a_function_is_given_the_object_and_what_it_returns_is_a_file(tmp_path: Path) -> None:
    def halved(part: Fraction) -> dict[str, Any]:
        return {"half": part / 2, "double": None, "size": 1}

    task = Task(
        runtime=PythonFunctionRuntime(halved),
        inputs=[Pickle("part", value=Fraction(1, 3))],
        outputs=[Pickle("half", tmp_path / "half.object"), Pickle("double"), Number("size")],
    )
    ended = task.run_sync()
    assert ended.outputs["half"].endswith("/half.pkl") and ended.outputs["size"] == 1
    assert unpickled(ended.outputs["half"]) == Fraction(1, 6)
    assert unpickled(ended.outputs["double"]) is None
    assert unpickled(str(tmp_path / "half.object")) == Fraction(1, 6)
    again = Task(
        runtime=PythonCodeStringRuntime("whole = part * 6"),
        inputs=[Pickle("part", ended.outputs["half"])],
        outputs=[Pickle("whole")],
    )
    assert unpickled(again.run_sync().outputs["whole"]) == 1


def test_an_object_and_a_folder_that_is_to_be_somewhere(tmp_path: Path) -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda one, rest: (rest.mkdir(), {"rest": rest})[1]),
        inputs=[Pickle("one", value=3)],
        outputs=[Folder("rest", tmp_path / "rest")],
    )
    assert task.run_sync().failure is None and (tmp_path / "rest").is_dir()


def test_a_run_changes_nothing_of_its_task_and_leaves_no_file(home: Path) -> None:
    seen: list[Any] = []
    runtime = PythonFunctionRuntime(lambda many: (many.append(4), seen.append(many))[0])
    task = Task(runtime=runtime, inputs=[Pickle("many", value=[3])])
    for _ in range(2):
        assert task.run_sync().failure is None
    assert seen == [[3, 4], [3, 4]] and task.inputs[0] == Pickle("many", value=[3])
    assert not list(home.glob("tmp/*/many.pkl"))


def test_none_is_an_object() -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda one: one is None), inputs=[Pickle("one", value=None)]
    )
    assert task.run_sync().outputs == {"result": True}


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_for_a_program_it_is_a_file_on_either_side(tmp_path: Path, executor: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "double.py").write_text(
        "import pickle, sys\n"
        "found = pickle.load(open(sys.argv[1], 'rb'))\n"
        "pickle.dump(found * 2, open(sys.argv[2], 'wb'))\n"
    )
    task = Task(
        runtime=PythonScriptRuntime(tmp_path / "double.py", ("{one}", "{two}")),
        inputs=[Pickle("one", value=Fraction(1, 3))],
        outputs=[Pickle("two")],
        executor=executor,
    )
    assert unpickled(task.run_sync().outputs["two"]) == Fraction(2, 3)


def test_what_a_program_wrote_is_not_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "hostile").write_bytes(pickle.dumps(Marking(mark)))
    (tmp_path / "task.yml").write_text(
        "runtime: {kind: command, command: 'cp {one} {two}'}\n"
        "inputs: [{id: one, kind: pickle, path: hostile}]\n"
        "outputs: [{id: two, kind: pickle, path: copied}]\n"
    )
    task = load_file(tmp_path / "task.yml")
    assert load(dump(task)) == task
    assert os.path.isfile(task.run_sync().outputs["two"]) and (tmp_path / "copied").is_file()
    assert not mark.exists()
    inner = Task(runtime=PythonFunctionRuntime(lambda one: 1), inputs=task.inputs)
    assert not mark.exists()
    assert inner.run_sync().outputs == {"result": 1} and mark.exists()


def test_an_object_is_not_dumped_and_not_loaded_and_says_why() -> None:
    for value in (Fraction(1, 3), 3, None, len):
        task = Task(runtime=CommandRuntime("true"), inputs=[Pickle("one", value=value)])
        with pytest.raises(TaskError, match=r"`inputs\.one\.value` is an object") as raised:
            dump(task)
        assert "path" in str(raised.value.hint)
    port = {"id": "one", "kind": "pickle", "value": 3}
    with pytest.raises(TaskError, match="`value` is not known here"):
        load({"runtime": {"kind": "command", "command": "true"}, "inputs": [port]})


def test_what_cannot_be_pickled_or_unpickled_is_an_error_that_names_it(tmp_path: Path) -> None:
    runtime = PythonFunctionRuntime(lambda **given: 1)
    locks = [Pickle("one", value=threading.Lock()), Pickle("two", value=lambda: 1)]
    with pytest.raises(TaskError) as raised:
        Task(runtime=runtime, inputs=locks).run_sync()
    assert len(raised.value.problems) == 2 and "`one` cannot be pickled" in str(raised.value)
    (tmp_path / "text").write_text("no pickle")
    with pytest.raises(TaskError, match="`one` cannot be unpickled"):
        Task(runtime=runtime, inputs=[Pickle("one", tmp_path / "text")]).run_sync()
    task = Task(runtime=PythonFunctionRuntime(lambda: threading.Lock()), outputs=[Pickle("one")])
    assert "`one` cannot be pickled" in str(task.run_sync().failure)


def test_a_path_and_a_value_or_an_output_with_a_value_are_refused() -> None:
    for side, port, said in (
        ("inputs", Pickle("one", "x.pkl", 3), "a path and a value"),
        ("inputs", Pickle("one"), "bound to nothing"),
        ("outputs", Pickle("one", value=3), "only an input"),
    ):
        with pytest.raises(TaskError, match=said):
            Task(runtime=CommandRuntime("true"), **{side: [port]})  # type: ignore[arg-type]


class Model(Pickle):
    """A plug-in's kind of port that builds on pickles."""

    kind = "test-model"


@pytest.mark.parametrize("port", [Pickle, Model])
def test_an_object_is_recorded_as_one_and_not_by_the_path_that_it_had(port: type[Pickle]) -> None:
    task = Task(
        runtime=PythonFunctionRuntime(lambda one: float(one)),
        inputs=[port("one", value=Fraction(1, 2))],
    )
    ended = task.run_sync()
    assert ended.outputs == {"result": 0.5}
    assert ended.run.inputs == {"one": "an object of <class 'fractions.Fraction'>"}
    assert ended.run.input_files == ()


def test_half_a_pickle_is_no_output() -> None:
    def large() -> Any:
        return [b"x" * 200_000, lambda: 1]

    ended = Task(runtime=PythonFunctionRuntime(large), outputs=[Pickle("one")]).run_sync()
    assert ended.failure is not None and "cannot be pickled" in str(ended.failure)
    assert not ended.run.output_files
