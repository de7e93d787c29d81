"""Tasks as data: what is dumped is loaded again, what is wrong is told, nothing is imported."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge import (
    Boolean,
    CommandRuntime,
    File,
    Folder,
    Json,
    KedgeError,
    Number,
    PythonCodeStringRuntime,
    PythonFunctionRuntime,
    PythonScriptRuntime,
    String,
    Task,
)
from kedge.client.definition import dump, load, load_file, schema
from kedge.errors import ManifestError, TaskError

TASKS = [
    Task(runtime=CommandRuntime("true")),
    Task(
        id="n1",
        name="sort words",
        description="Sorts.",
        runtime=CommandRuntime("sort {words} > {sorted}", env={"LC_ALL": "C"}),
        inputs=[
            File["txt", "csv"]("words", Path("w.txt")),
            Number("load", 1.5, unit="N"),
            Json("cases", {"a": [1, None]}),
            Json("nothing", None),
            Boolean("wet", False),
            String("text", "1"),
            Folder("case", "case"),
        ],
        outputs=[File("sorted", "s.txt"), Folder("rest"), Number("count")],
        executor="sandbox",
        target="local",
        resources={"cpu": 1, "timeout": 60},
        network=True,
    ),
    Task(runtime=CommandRuntime(("cp", "{a}", "b c")), inputs=[File("a", "x")]),
    Task(runtime=PythonFunctionRuntime("module.inner:function"), executor="inprocess"),
    Task(runtime=PythonFunctionRuntime(os.path.join)),
    Task(runtime=PythonCodeStringRuntime("x = 1"), outputs=[Number("x")]),
    Task(runtime=PythonScriptRuntime("/a.py"), inputs=[File("a", "x")]),
    Task(runtime=PythonScriptRuntime("/b c.py", ("{{x}}", "-v"), "3.11"), executor="sandbox"),
]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_dumped_is_loaded_as_an_equal_task(task: Task, tmp_path: Path) -> None:
    data = dump(task)
    text = json.dumps(data)
    found = load(json.loads(text))
    if task is TASKS[1]:  # a path is a text there
        assert dump(found) == data
        found = load(data)
        assert found.runtime == task.runtime and found.executor == task.executor
        assert [port.bound for port in found.inputs] == [port.bound for port in task.inputs]
    else:
        assert found == task
    jsonschema_rs.validator_for(schema()).validate(data)
    (tmp_path / "task.yml").write_text(text)  # JSON is YAML
    assert dump(load_file(tmp_path / "task.yml"))["runtime"] == data["runtime"]


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_any_value_comes_back(text: str, value: Any) -> None:
    task = Task(
        runtime=PythonCodeStringRuntime(text),
        inputs=[String("text", text), Json("value", [value])],
    )
    assert load(json.loads(json.dumps(dump(task)))) == task


def test_what_is_only_in_this_process_is_not_dumped_and_says_why() -> None:
    def inner() -> None: ...

    for func, name in ((lambda: 1, "<lambda>"), (inner, "inner")):
        with pytest.raises(TaskError, match="only in this process") as raised:
            dump(Task(runtime=PythonFunctionRuntime(func)))
        assert name in str(raised.value) and "module" in str(raised.value.hint)
    with pytest.raises(TaskError, match="JSON cannot say"):
        dump(Task(runtime=CommandRuntime("true"), inputs=[Json("a", {1, 2})]))


WRONG = """\
nam: x
runtime: {kind: comand, command: 3}
inputs:
  - {id: 3, kind: number, valu: 1}
  - {kind: file}
  - words
outputs: 3
resources: {cpu: -1}
network: "yes"
executor: sandbx
target: {kind: local, host: x}
"""


def test_all_that_is_wrong_with_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "task.yml"
    file.write_text(WRONG)
    with pytest.raises(TaskError) as raised:
        load_file(file)
    lines = [(one.where.line, one.message) for one in raised.value.problems if one.where]
    assert [line for line, _ in lines] == [1, 2, 4, 4, 5, 6, 7, 8, 9, 10, 11]
    said = str(raised.value)
    for text in ("did you mean `name`?", "did you mean 'command'?", "did you mean 'sandbox'?"):
        assert text in said
    assert all(problem.hint for problem in raised.value.problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is no task"),
        ("- 1", "it is no task"),
        ("name: x", "it has no runtime"),
        ("runtime: command", "says no kind"),
        ("runtime: {kind: python}", "is of packages"),
        ("runtime: {kind: command}", "`command` is missing"),
        ("runtime: {kind: command, command: [1]}", "expected"),
        ("runtime: {kind: command, command: ls, env: {A: 1}}", "expected a text"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "task.yml").write_text(text)
    with pytest.raises(TaskError, match=said):
        load_file(tmp_path / "task.yml")


def test_a_file_that_is_no_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load_file(tmp_path / "none.yml")
    (tmp_path / "task.yml").write_text("runtime: {kind: [")
    with pytest.raises(KedgeError):
        load_file(tmp_path / "task.yml")


FUNCTION = 'runtime: {kind: python_function, func: "marking:f"}\n'


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What there is once `marking` is imported, which can be, beside a task's file as everywhere."""
    mark = tmp_path / "mark"
    (tmp_path / "marking.py").write_text(f"open({str(mark)!r}, 'w').close()\ndef f(): return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "marking", raising=False)
    return mark


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task.yml", FUNCTION),
        ("task.json", '{"runtime": {"kind": "python_function", "func": "marking:f"}}'),
    ],
)
def test_to_load_imports_nothing_of_the_authors(
    tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    task = load_file(tmp_path / name)
    assert load(dump(task)) == task == load_file(tmp_path / name)
    schema()
    assert "marking:f" in repr(task) and hash(task.runtime)
    assert not mark.exists() and "marking" not in sys.modules
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "home"))
    assert task.run_sync().outputs == {"result": 7} and mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        FUNCTION + "inputs: 3\n",
        'runtime: {kind: python_function, func: "marking:f", args: []}',
        'runtime: {kind: "marking:f", func: "marking:f"}',
        "runtime: {kind: marking, func: f}",
        FUNCTION + "executor: marking\ntarget: {kind: 'marking:f'}\n",
        FUNCTION + "inputs: [{id: a, kind: marking, value: 1}, {id: b, kind: 'marking:f'}]\n",
        "runtime: !!python/object/apply:marking.f []",
        "runtime: {kind: python_function, func: !!python/name:marking.f }",
        "!!python/module:marking ",
    ],
)
def test_what_cannot_be_loaded_imports_nothing_of_the_authors(
    tmp_path: Path, mark: Path, text: str
) -> None:
    (tmp_path / "task.yml").write_text(text)
    with pytest.raises(KedgeError):
        load_file(tmp_path / "task.yml")
    assert not mark.exists() and "marking" not in sys.modules


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    (tmp_path / "task.yml").write_text(
        "runtime: {kind: command, command: 'true'}\n"
        "inputs: [{id: a, kind: file, path: a.txt}]\n"
        f"outputs: [{{id: b, kind: file, path: {tmp_path}/elsewhere}}, {{id: c, kind: file}}]\n"
    )
    task = load_file(tmp_path / "task.yml")
    assert task.inputs[0].bound == str(tmp_path / "a.txt")
    assert [port.bound for port in task.outputs] == [f"{tmp_path}/elsewhere", None]
