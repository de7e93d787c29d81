"""`kedge task run`: one task of a file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

TASK = """\
name: sort words
runtime: {kind: command, command: "sort {words} > {sorted}; echo {task.name}"}
inputs: [{id: words, kind: file, path: words.txt}]
outputs: [{id: sorted, kind: file, path: made/sorted.txt}]
"""


def test_a_task_runs_and_its_outputs_are_where_they_are_wanted(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("b\na\n")
    file = tmp_path / "task.yml"
    file.write_text(TASK)
    ended = kedge("task", "run", file)
    assert ended.out.startswith("sorted  ") and "sort words\n" in ended.err
    assert (tmp_path / "made" / "sorted.txt").read_text() == "a\nb\n"
    found = json.loads(kedge("task", "run", file, "--json").out)
    assert found["sorted"]["size"] == 4 and found["_run"]["id"]
    shown = kedge("show", found["_run"]["id"]).out
    assert "?" not in shown.splitlines()[2]


@pytest.mark.parametrize("executor", ["inprocess", "process", "sandbox"])
def test_a_function_beside_the_file_is_found(kedge: Any, tmp_path: Path, executor: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "areas.py").write_text("def area(w):\n    print('called')\n    return w * w\n")
    (tmp_path / "task.yml").write_text(
        'runtime: {kind: python_function, func: "areas:area"}\n'
        f"inputs: [{{id: w, kind: number, value: 3}}]\nexecutor: {executor}\n"
    )
    ended = kedge("task", "run", tmp_path / "task.yml", "--json")
    assert json.loads(ended.out)["result"] == 9 and "called" in ended.err


def test_what_is_wrong_is_told_and_a_failure_is_one(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "task.yml").write_text("runtime: {kind: command, command: 3}\n")
    assert (
        "task.yml:1:35 (runtime.command)" in kedge("task", "run", tmp_path / "task.yml", code=2).err
    )
    (tmp_path / "task.yml").write_text("runtime: {kind: command, command: exit 4}\n")
    ended = kedge("task", "run", tmp_path / "task.yml", "--json", code=1)
    assert json.loads(ended.out)["error"]["code"] == "function_error"


def test_nothing_of_the_authors_is_imported_before_a_task_is_set_up(
    kedge: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "marking.py").write_text(f"open({str(mark)!r}, 'w').close()\ndef f(): return 7\n")
    function = 'runtime: {kind: python_function, func: "marking:f"}\n'
    (tmp_path / "task.yml").write_text(function)
    (tmp_path / "wrong.yml").write_text(function + "inputs: [{id: a, kind: marking}]\n")
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    for words in (
        ("schema", "task"),
        ("task", "--help"),
        ("task", "run", "--help"),
        ("task", "run", "task.yml", "--help"),
        ("plugins",),
    ):
        kedge(*words, cwd=tmp_path, env=env)
    kedge("task", "run", "wrong.yml", cwd=tmp_path, env=env, code=2)
    assert not mark.exists()
    kedge("task", "run", "task.yml", cwd=tmp_path, env=env)
    assert mark.exists()


COMMAND = 'runtime: {kind: command, command: "echo {n}"}\n'
FUNCTION = "runtime: {kind: python_function, func: "
WRONG = {  # a file, and how what is wrong with it is told: found when it is read, made, set up or given its values
    COMMAND + "inputs: [{id: n, kind: file, path: nowhere}]": "2:10 (n)",
    COMMAND + "inputs:\n- {id: n, kind: number, value: twelve}": '3:3 (n)|the text "twelve"',
    COMMAND + "inputs: [{id: n, kind: json, value: [.inf]}]": "2:10 (n[0])|is inf",
    COMMAND + "inputs: [{id: n, kind: number}]": "2:10 (n)|bound to nothing",
    COMMAND + "inputs: [{id: a b, kind: number, value: 1}]": "2:10 (a b)|not a name",
    COMMAND + 'inputs: [{id: n, kind: file, path: "a\\0b"}]': "2:10 (n)|it has a NUL in it",
    COMMAND + "outputs: [{id: n, kind: file, path: .}]": "2:11 (n)",
    COMMAND: "1:35 (command:1:6)|`{n}` is not declared",
    COMMAND + "executor: inprocess": "2:11 (executor)|does not take",
    "runtime: {kind: command, command: [a, 3]}": "(runtime.command",
    'runtime: {kind: command, command: [a, "\\0"]}': "1:39 (command[1])|NUL",
    "runtime: {kind: command, command: []}": "1:35 (command)|the command is empty",
    'runtime: {kind: command, command: ""}': "1:35 (command)|the command is empty",
    "runtime: {kind: 3, command: x}": "1:17 (runtime.kind)|`3` is no kind of runtime",
    "runtime: {kind: python_script, script: nowhere.py}": "1:40 (script)",
    FUNCTION + "nowhere:f}": "1:40 (func)|No module named 'nowhere'",
    FUNCTION + "divides:f}": "1:40 (func)|ZeroDivisionError|divides.py:2",
    FUNCTION + "leaves:f}": "1:40 (func)|SystemExit: 3|leaves.py:1",
    FUNCTION + "torn:f}": "1:40 (func)|SyntaxError|torn.py:1",
    FUNCTION + "os:sep}": "1:40 (func)|is no function",
}


@pytest.mark.parametrize(("text", "told"), WRONG.items(), ids=map(str, range(len(WRONG))))
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(
    kedge: Any, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "divides.py").write_text("\n1 / 0\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "torn.py").write_text("def f(:\n")
    (tmp_path / "task.yml").write_text(text)
    said = kedge("task", "run", tmp_path / "task.yml", code=2).err
    for words in told.split("|"):
        assert words in said, said
    assert f"at {tmp_path}/task.yml:" in said and "hint: " in said
