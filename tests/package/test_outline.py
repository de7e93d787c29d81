"""The outline changes with whatever an import may execute, and with nothing else."""

from pathlib import Path

import pytest

from kedge.package.outline import outline

BASE = '''
"""What it does."""
from functools import cache

import helper
from helper import third as other

LIMIT = 5

def default():
    return 1

@cache
def twice(x: float = default()) -> float:
    """Twice."""
    return 2 * x

def load(x: "Shape", n: int = LIMIT) -> float:
    return once(x)

def once(x):
    return x

class Shape:
    sides: int = 4

    def area(self):
        return 1

class Alone:
    def method(self):
        return 1

def registered(function):
    return function

@registered
def decorated(x: int) -> int:
    return x

FIRST = helper.first()
SECOND = other()
'''
HELPER = """
def first():
    return inner()

def inner():
    return 1

def third():
    return 3

def never():
    return 1
"""


def outlined(folder: Path, base: str = BASE, helper: str = HELPER, **others: str) -> str | None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "base.py").write_text(base)
    (folder / "helper.py").write_text(helper)
    for name, text in others.items():
        (folder / name).write_text(text)
    return outline(str(folder))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return 2 * x", "y = 3\n    return y * x"),
        ("return once(x)", "return load(once(x))"),
        ("def once(x):\n    return x", "def once(x):\n    # a comment\n    return -x"),
        ("class Alone:\n    def method(self):\n        return 1", "class Alone:\n    def method(self):\n        return 2"),
        ("LIMIT = 5", "LIMIT  =  5  # a comment"),
    ],
)  # fmt: skip
def test_what_no_import_executes_does_not_matter(tmp_path: Path, before: str, after: str) -> None:
    assert before in BASE
    assert outlined(tmp_path / "a") == outlined(tmp_path / "b", BASE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 5", "LIMIT = 6"),
        ("n: int", "n: float"),
        ("n: int = LIMIT", "n: int"),
        ('"""Twice."""', '"""Double."""'),
        ("def default():\n    return 1", "def default():\n    return 2"),
        ("@registered\ndef decorated(x: int) -> int:\n    return x", "@registered\ndef decorated(x: int) -> int:\n    return -x"),
        ("def area(self):\n        return 1", "def area(self):\n        return 2"),
        ("return function", "return function or None"),
        ("return once(x)", "yield once(x)"),
        ("sides: int = 4", "sides: int = 5"),
        ("def once(x)", "def once(x, y=1)"),
        ("def once(x)", "async def once(x)"),
        ("@cache", "@cache\n@registered"),
    ],
)  # fmt: skip
def test_what_an_import_may_execute_does(tmp_path: Path, before: str, after: str) -> None:
    assert before in BASE
    assert outlined(tmp_path / "a") != outlined(tmp_path / "b", BASE.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("return inner()", "return inner() + 1", False),
        ("def inner():\n    return 1", "def inner():\n    return 2", False),
        ("return 3", "return 4", False),  # called under another name
        ("def never():\n    return 1", "def never():\n    return 2", True),
    ],
)
def test_it_follows_calls_into_other_modules(
    tmp_path: Path, before: str, after: str, same: bool
) -> None:
    assert before in HELPER
    other = outlined(tmp_path / "b", helper=HELPER.replace(before, after))
    assert (outlined(tmp_path / "a") == other) is same


def test_a_decorator_of_the_package_may_call_whatever_it_is_called(tmp_path: Path) -> None:
    own = BASE.replace(
        "from functools import cache\n", "def cache(function):\n    return function()\n"
    )
    changed = own.replace("return 2 * x", "return 3 * x")
    assert outlined(tmp_path / "a", own) != outlined(tmp_path / "b", changed)


OTHER = "from functools import cache\n"


@pytest.mark.parametrize(
    ("imported", "decorator", "plain"),
    [
        (OTHER, "@cache", True),
        (OTHER, "@cache()", True),
        ("import functools\n", "@functools.lru_cache(maxsize=3)", True),
        ("import typing\n", "@typing.final", True),
        ("from kedge import function\n", "@function", True),
        ("", "@staticmethod", True),
        ("from helper import third as cache\n", "@cache", False),
        ("from helper import cache\n", "@cache", False),
        ("from .functools import cache\n", "@cache", False),
        ("from functools import wraps as cache\n", "@cache", False),
        ("import helper as functools\n", "@functools.cache", False),
        ("import functools\nimport helper\n", "@helper.cache", False),
        ("from helper import *\n", "@staticmethod", False),
        ("from helper import third as staticmethod\n", "@staticmethod", False),
        (OTHER + "import functools\nfunctools.cache = helper.third\n", "@cache", False),
        ("", "@cache", False),
    ],
)
def test_a_decorator_calls_nothing_where_it_comes_from_a_known_module(
    tmp_path: Path, imported: str, decorator: str, plain: bool
) -> None:
    own = BASE.replace(OTHER, imported).replace("@cache", decorator)
    changed = own.replace("return 2 * x", "return 3 * x")
    assert own != changed
    same = outlined(tmp_path / "a", own) == outlined(tmp_path / "b", changed)
    assert same is plain


def test_a_module_of_the_package_is_not_the_known_one_of_its_name(tmp_path: Path) -> None:
    changed = BASE.replace("return 2 * x", "return 3 * x")
    others = {"functools.py": "def cache(function):\n    return function\n"}
    one = outlined(tmp_path / "a", **others)
    assert one != outlined(tmp_path / "b", changed, **others)


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("def inner():\n        yield 1", True),
        ("inner = lambda: (yield)", True),
        ("def inner(x=(yield)):\n        pass", False),
        ("inner = [(yield)]", False),
    ],
)
def test_it_is_no_generator_by_what_is_within_it(tmp_path: Path, line: str, same: bool) -> None:
    changed = BASE.replace("return once(x)", f"{line}\n    return once(x)")
    assert (outlined(tmp_path / "a") == outlined(tmp_path / "b", changed)) is same


def test_special_methods_count_always(tmp_path: Path) -> None:
    own = BASE.replace("def method(self)", "def __set_name__(self, owner, name)")
    changed = own.replace("name):\n        return 1", "name):\n        return 2")
    assert own != changed
    assert outlined(tmp_path / "a", own) != outlined(tmp_path / "b", changed)


@pytest.mark.parametrize(
    "line",
    [
        "globals()['x'] = 1",
        "import inspect",
        "from inspect import getsource as g",
        "exec('x = 1')",
        "X = getattr(helper, 'fir' + 'st')()",
        "X = helper.__dict__['first']()",
        "def f(x=eval('1')):\n    pass",
    ],
)
def test_what_looks_at_itself_has_none(tmp_path: Path, line: str) -> None:
    assert outlined(tmp_path / "a", f"{BASE}\n{line}\n") is None


def test_other_files_count_whole(tmp_path: Path) -> None:
    one = outlined(tmp_path / "a", **{"table.csv": "1"})
    assert one != outlined(tmp_path / "b", **{"table.csv": "2"})
    assert one != outlined(tmp_path / "c")


@pytest.mark.parametrize("name", ["new.py", "fast.so", "old.pyc"])
def test_code_that_cannot_be_read_leaves_none(tmp_path: Path, name: str) -> None:
    assert outlined(tmp_path / "a", **{name: "def ("}) is None


def test_a_link_counts_by_where_it_leads(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    one = outlined(folder)
    (folder / "link.py").symlink_to("base.py")
    two = outline(str(folder))
    (folder / "link.py").unlink()
    (folder / "link.py").symlink_to("helper.py")
    assert len({one, two, outline(str(folder))}) == 3
