"""What was reached is recorded once, whole or not at all, whoever else boots and whatever ends a boot."""

import json
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.inputs import recalled, remembered
from kedge.primer.records import Record

SLOW = """
import time

@state(inputs=["input"], outputs=["made"])
def first(ctx):
    (ctx.root / "made").write_text("half")
    note(ctx, "first")
    ctx.run("sh", "-c", "echo $$ >> tools; sleep 0.05; echo half > tool; sleep 0.05; echo whole > tool")
    (ctx.root / "made").write_text("whole")

@state(needs=[first])
def second(ctx):
    note(ctx, "second")
    assert (ctx.root / "tool").read_text() == "whole\\n"
"""


def test_ten_boots_at_once_reach_each_state_once(project: Any) -> None:
    project.states(SLOW)
    boots = [project.begin() for _ in range(10)]
    said = [boot.communicate(timeout=120)[1] for boot in boots]
    assert [boot.returncode for boot in boots] == [0] * 10, said
    assert project.reached() == ["first", "second"]


def test_a_boot_that_waited_finds_the_state_fresh(project: Any) -> None:
    project.states(
        """
@state
def held(ctx):
    note(ctx, "held")
    (ctx.root / "ready").write_text("ready")
    with open(ctx.root / "gate") as gate:
        gate.read()
"""
    )
    ready, gate = project.pipe("ready"), project.pipe("gate")
    first = project.begin()
    assert ready.text() == "ready"
    second = project.begin()
    assert second.stderr is not None
    assert second.stderr.readline() == "primer: held: another start reaches it\n"
    gate.close()
    ready.close()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    first.communicate(), second.communicate()
    assert project.reached() == ["held"]


def test_after_a_kill_at_any_instant_one_plain_boot_succeeds(project: Any) -> None:
    project.states(SLOW)
    moments = random.Random(8)
    for number in range(25):
        project.write("input", str(number))
        boot = project.begin()
        try:
            boot.wait(moments.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            boot.kill()
        boot.communicate()
        if (project.root / "made").exists() and (project.root / "made").read_text() == "half":
            assert "first" in project.reasons()
        project.boot()
        assert (project.root / "made").read_text() == "whole"
        project.reached()
        project.boot()
        assert project.reached() == []


def test_what_was_begun_for_another_input_is_not_done_when_that_is_taken_back(project: Any) -> None:
    project.write("input", "1")
    project.states(
        """
import os, signal
@state(inputs=["input"], outputs=["made"])
def made(ctx):
    note(ctx, "made")
    (ctx.root / "made").write_text((ctx.root / "input").read_text())
    if (ctx.root / "kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    project.boot()
    project.write("input", "2")
    project.write("kill", "")
    project.boot(code=-signal.SIGKILL)
    project.write("input", "1")
    (project.root / "kill").unlink()
    assert project.reasons() == {"made": ["it was begun and not finished"]}
    project.boot()
    assert (project.root / "made").read_text() == "1"


def test_tools_of_a_boot_that_was_killed_end_with_it(project: Any) -> None:
    project.states(
        """
@state
def waiting(ctx):
    ctx.run("sh", "-c", "sleep 300 & echo $! > inner; echo $$ > ready; wait")
"""
    )
    boot, tool, watched = project.begin_with_tool()
    # The guard is started right after the tool; it is there once its command stands in /proc.
    while not any(f"\0{tool}\0" in command for command in commands_of_children(boot.pid)):
        assert boot.poll() is None
    boot.kill()
    boot.communicate()
    assert project.all_end(watched)


def commands_of_children(pid: int) -> list[str]:
    """The command lines of a process's children."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found.append(Path(f"/proc/{child}/cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\xff\xfe\0\0" * 1000,
        b'{"key": {"a": [[[[]]]]}, "value": 1e999, "digest": null}',
        b"[" * 100_000,
        b"00000000\n\n\n",
        b"begun\n",
    ],
    ids=["empty", "garbage", "bytes", "hostile", "deep", "zeros", "begun"],
)
@pytest.mark.parametrize("file", ["record", "inputs"])
def test_a_corrupt_file_is_as_if_there_were_none(project: Any, data: bytes, file: str) -> None:
    project.write("input", "1")
    project.states(
        """
@state(inputs=["input"])
def first(ctx):
    note(ctx, "first")
    return [1]

@state(needs=[first])
def second(ctx):
    note(ctx, f"second:{ctx.value(first)}")
"""
    )
    project.boot()
    project.reached()
    (project.home / "first" / file).write_bytes(data)
    project.boot()
    assert project.reached() == (["first"] if file == "record" else [])
    assert project.boot(audit=True).json == []


def test_a_record_that_was_cut_or_changed_anywhere_is_none() -> None:
    whole = Record("python\tx\nsource\ty\n", "5f", '{"a": 1}').to_bytes()
    read = Record.of(whole)
    assert read is not None
    assert (read.key, read.digest, read.value) == ("python\tx\nsource\ty\n", "5f", '{"a": 1}')
    memory = remembered("'a' 1 2\n", "input\t'a'\tfile 5f\n")
    assert recalled(memory) == ("'a' 1 2\n", "input\t'a'\tfile 5f\n")
    for at in range(len(whole)):
        assert Record.of(whole[:at]) is None
        assert Record.of(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]) is None
    for at in range(len(memory)):
        assert recalled(memory[:at]) == ("", "")
        assert recalled(memory[:at] + bytes([memory[at] ^ 1]) + memory[at + 1 :]) == ("", "")


def test_records_that_cannot_be_written_are_an_error_before_anything_is_executed(
    project: Any, own_mounts: list[str]
) -> None:
    project.states('@state(inputs=["input"])\ndef made(ctx):\n    note(ctx, "made")\n')
    project.home.mkdir(parents=True)
    read_only = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    before = (*own_mounts, "sh", "-c", read_only, "sh", str(project.home))
    ended = project.boot(code=3, before=before)
    assert f"what is reached cannot be recorded in {project.home}" in ended.err
    assert "Read-only file system" in ended.err
    assert "hint: make that folder one that you can write" in ended.err
    assert project.reached() == []
    project.boot()
    assert project.reached() == ["made"]
    project.write("input", "")
    (project.root / "input").unlink()
    project.boot(before=before)  # fresh: nothing is to be written
    assert project.reached() == []


def test_a_folder_where_a_record_should_be_is_an_error(project: Any) -> None:
    project.states('@state\ndef made(ctx):\n    note(ctx, "made")\n')
    (project.home / "made/record").mkdir(parents=True)
    ended = project.boot(code=3)
    assert "cannot be recorded" in ended.err
    assert project.reached() == []


def test_a_value_is_the_one_that_was_found_though_another_boot_reaches_its_state_meanwhile(
    project: Any,
) -> None:
    project.states(
        """
import os

@state
def given(ctx):
    return "found"

@state(needs=[given], always=True)
def taken(ctx):
    record = os.path.join(ctx.folder, "../../given/record")
    with open(record, "wb") as file:
        file.write(b"begun\\n")
    return ctx.value(given)

@state(needs=[taken])
def printed(ctx):
    (ctx.root / "printed").write_text(ctx.value(taken))
"""
    )
    project.boot("given")
    project.boot()
    assert (project.root / "printed").read_text() == "found"


def test_values_are_json_also_for_a_state_of_the_same_boot(project: Any) -> None:
    project.states(
        """
@state
def given(ctx):
    return {"pair": (1, 2), "name": "ü", "none": None}

@state(needs=[given])
def taken(ctx):
    import json
    (ctx.root / "taken").write_text(json.dumps(ctx.value(given)))
"""
    )
    project.boot()
    taken = json.loads((project.root / "taken").read_text())
    assert taken == {"pair": [1, 2], "name": "ü", "none": None}
