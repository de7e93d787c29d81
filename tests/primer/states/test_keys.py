"""What makes a state's key another one, and what does not."""

import os
import socket
from typing import Any

import pytest

from kedge.primer.keys import differences

BODY = """
import os
from pkg import helpers
from pkg.helpers import Options, decorated, double

LIMIT = 3
NAMES = {"b", "a"}

def unused():
    return 1

@state
def built(ctx):
    "What it does."
    note(ctx, "built")
    if LIMIT in NAMES | {"x", "y"}:
        return None
    return double(LIMIT), helpers.half(8), Options().size, decorated(2), [one for one in NAMES].sort()
"""

HELPERS = """
import functools

FACTOR = 2
BASE = 10

def double(number):
    "Twice."
    return number * FACTOR

def half(number):
    return rounded(number / 2)

def rounded(number):
    return int(number)

def around(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)
    return inner

@around
def decorated(number, by=3):
    return number + by

class Options:
    size = 4
    def grown(self):
        return self.size + BASE
"""


@pytest.fixture
def built(project: Any) -> Any:
    """A project with a state that uses functions and constants of two modules, reached."""
    project.states(HELPERS, module="helpers", header="")
    project.states(BODY)
    project.boot()
    assert project.reached() == ["built"]
    return project


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("things", "return None\n", "return 0\n"),
        ("things", "LIMIT = 3", "LIMIT = 4"),
        ("things", '{"b", "a"}', '{"b", "c"}'),
        ("things", '"x", "y"', '"x", "z"'),
        ("helpers", "FACTOR = 2", "FACTOR = 3"),
        ("helpers", "number / 2", "number / 3"),
        ("helpers", "int(number)", "round(number)"),
        ("helpers", "by=3", "by=4"),
        ("helpers", "number + by", "number - by"),
        ("helpers", "size = 4", "size = 5"),
        ("helpers", "BASE = 10", "BASE = 11"),
        ("helpers", "self.size + BASE", "self.size - BASE"),
    ],
)
def test_a_change_of_what_the_function_uses_reaches_it_anew(
    built: Any, module: str, old: str, new: str
) -> None:
    text = (built.root / f"src/pkg/{module}.py").read_text()
    assert text.count(old) == 1
    built.states(text.replace(old, new), module=module, header="")
    assert built.reasons() == {"built": ["its source changed"]}
    built.boot()
    assert built.reached() == ["built"]


def test_comments_moves_docstrings_and_what_it_does_not_use_reach_nothing(built: Any) -> None:
    moved = BODY.replace("@state", "# A comment.\n\n\n@state").replace("What it does.", "Else.")
    moved = moved.replace("    if LIMIT", "    # Another one.\n\n    if LIMIT")
    built.states(moved.replace("return 1", "return 2"))
    built.states(
        HELPERS.replace('"Twice."', '"Two times."').replace(
            "def half", "\n\n# A comment.\ndef half"
        ),
        module="helpers",
        header="",
    )
    built.boot()
    assert built.reached() == []


def test_a_new_start_with_another_order_of_sets_reaches_nothing(built: Any) -> None:
    for _ in range(5):  # each start has its own seed of hashes
        built.boot()
    assert built.reached() == []


def test_another_checkout_of_the_same_has_the_same_keys(built: Any, tmp_path: Any) -> None:
    built.root.rename(tmp_path / "moved")
    built.root = tmp_path / "moved"
    built.boot()
    assert built.reached() == []


def test_what_a_factory_of_states_was_given_is_part_of_the_source(project: Any) -> None:
    text = """
from kedge.primer import State

def printed(*words):
    def printed(ctx):
        note(ctx, " ".join(words))
    return State(printed)

hello = printed("hello", "world")
"""
    project.states(text)
    project.boot()
    project.states(text.replace('"world"', '"there"'))
    project.boot()
    assert project.reached() == ["hello", "world", "hello", "there"]
    assert sorted(path.name for path in project.home.iterdir()) == ["hello"]


def test_functions_that_use_each_other_and_values_that_hold_themselves_have_an_end(
    project: Any,
) -> None:
    project.states(
        """
import functools
import pathlib
import sys

LOOP = [1]
LOOP.append(LOOP)
HERE = pathlib.Path("here")
part = functools.partial(int, base=8)

def even(number):
    return number == 0 or odd(number - 1)

def odd(number):
    return number != 0 and even(number - 1)

@functools.lru_cache
def cached(number):
    return even(number)

@state
def counted(ctx):
    note(ctx, "counted")
    this = sys.modules[__name__]
    return [even(4), len(LOOP), str(HERE), part("10"), cached(2), counted is None, this is None]
"""
    )
    project.boot()
    project.boot()
    assert project.reached() == ["counted"]


def test_a_change_through_what_functools_wraps_is_seen(project: Any) -> None:
    text = """
import functools

@functools.lru_cache
def size(number):
    return number * 2

twice = functools.partial(size, 4)

@state
def sized(ctx):
    note(ctx, "sized")
    return twice()
"""
    project.states(text)
    project.boot()
    project.states(text.replace("* 2", "* 3"))
    project.boot()
    project.states(text.replace("* 2", "* 3").replace("size, 4", "size, 5"))
    project.boot()
    assert project.reached() == ["sized"] * 3


def test_links_pipes_and_sockets_among_inputs_are_no_trouble(project: Any) -> None:
    source = project.write("web/a.ts", "1").parent
    (source / "dangling").symlink_to("nowhere")
    (source / "loop").symlink_to("loop")
    (source / "up").symlink_to("..")
    (source / "all").symlink_to("/")
    outside = project.write("outside.txt", "1")
    (source / "outside").symlink_to(outside)
    os.mkfifo(source / "pipe")
    (project.root / "linked").symlink_to("web")
    before = os.getcwd()
    os.chdir(source)  # the path of a socket is limited to 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
    finally:
        os.chdir(before)
    project.states(
        '@state(inputs=["web", "linked", "web/**/*.ts"])\ndef built(ctx):\n    note(ctx, "built")\n'
    )
    project.boot()
    project.boot()
    assert project.reached() == ["built"]
    outside.write_text("2")
    assert project.reasons() == {
        "built": ["input `linked/outside` changed", "input `web/outside` changed"]
    }
    (source / "dangling").unlink()
    (source / "dangling").symlink_to("elsewhere")
    project.boot()
    (source / "a.ts").write_text("2")
    reasons = project.reasons()["built"]
    assert reasons == ["input `linked/a.ts` changed", "input `web/a.ts` changed"]


def test_names_of_inputs_may_have_any_letters(project: Any) -> None:
    odd = os.fsencode(project.root) + b"/web/a\tb\n\xff `'\".ts"
    os.mkdir(project.root / "web")
    with open(odd, "w") as stream:
        stream.write("1")
    project.write("web/*.ts", "a file of that name")
    project.states('@state(inputs=["web", "web/*.ts"])\ndef größe(ctx):\n    note(ctx, "größe")\n')
    project.boot()
    project.boot()
    assert project.reached() == ["größe"]
    with open(odd, "w") as stream:
        stream.write("2")
    [reason] = project.reasons()["größe"]
    assert reason.startswith("input `web/a\tb\n") and reason.endswith("changed")
    project.boot()
    assert project.reached() == ["größe"]


def test_a_file_written_again_at_once_is_seen(project: Any) -> None:
    file = project.write("input", "0")
    project.states('@state(inputs=["input"])\ndef built(ctx):\n    note(ctx, "built")\n')
    for number in range(1, 6):
        file.write_text(str(number))  # the same size, and often the same tick of the file system
        project.boot()
    assert project.reached() == ["built"] * 5


def test_an_input_that_changes_while_its_state_is_reached_makes_it_stale(project: Any) -> None:
    project.write("input", "1")
    project.states(
        """
@state(inputs=["input"])
def built(ctx):
    note(ctx, "built")
    (ctx.root / "input").write_text("2")
"""
    )
    project.boot()
    project.boot()
    project.boot()
    assert project.reached() == ["built"] * 2


def test_another_python_is_one_reason_and_not_two() -> None:
    before = "python\tcpython-312\nsource\tas it was compiled\n"
    now = "python\tcpython-314\nsource\tas it is compiled now\n"
    assert differences(before, now, set()) == ["Python changed"]
