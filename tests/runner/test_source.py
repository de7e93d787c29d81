"""Signatures read from source text alone: nothing of the package runs, whatever it contains."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.contract.runner import Plain, Scope, UnreadableError, describe_static, read_docstring


def describe(root: Path, handler: str = "module:f", /, **sources: str) -> dict[str, Any]:
    for name, text in sources.items():
        path = root / (name.replace("__slash__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return describe_static(str(root), handler)


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = f"""
open({str(mark)!r}, "w").close()
def touch(*a, **k): open({str(mark)!r}, "w").close(); return float
@touch
def f(x: touch() = touch(), y: "Annotated[float, touch()]" = 1, z: [touch() for _ in "x"] = 2) -> touch(): ...
"""
    described = describe(tmp_path, module=source)
    assert not mark.exists()
    assert described["inputs"]["properties"]["y"]["default"] == 1
    assert len(described["warnings"]) == 4


def test_types_are_followed_through_the_package(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(
        "from .shapes import Bolt as Screw\nfrom . import more"
    )
    (tmp_path / "pkg" / "shapes.py").write_text(
        "from dataclasses import dataclass\nfrom typing import *\n"
        "Number = Union[int, float]\n@dataclass\nclass Bolt:\n    d: Number\n    tag: Optional[str] = None\n"
    )
    (tmp_path / "pkg" / "more.py").write_text("Length = float\nfrom pkg import Screw")
    (tmp_path / "pkg" / "impl.py").write_text(
        "import pkg, pkg.more as m\nfrom pkg import Screw, more\n"
        "def size(a: Screw, b: m.Length, c: pkg.more.Length, d: more.Screw, e: pkg.Nowhere): ..."
    )
    described = describe(tmp_path, module="from pkg.impl import size as f")
    properties = described["inputs"]["properties"]
    assert properties["a"]["properties"]["d"] == {"type": "number"}
    assert properties["a"] == properties["d"] and properties["a"]["required"] == ["d"]
    assert properties["b"] == properties["c"] == {"type": "number"}
    assert properties["e"] == {}


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    described = describe(
        tmp_path,
        module="from other import X\ndef f(x: X): ...",
        other="from module import X",
    )
    assert described["inputs"]["properties"] == {"x": {}}
    assert "problems" in describe(tmp_path, "a:f", a="from b import f", b="from a import f")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:", "cannot be read"),
        ("x = '\\x00'\x00", "cannot be read"),
        ("x = " + "(" * 5000 + ")" * 5000, "cannot be read"),
        ("# coding: nonsense\n", "cannot be read"),
    ],
)
def test_source_that_does_not_parse_is_an_error(tmp_path: Path, source: str, words: str) -> None:
    described = describe(tmp_path, module=source)
    assert words in described["error"]["error"] and "`module`" in described["error"]["error"]


def test_a_module_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert describe(tmp_path)["error"]["type"] == "FileNotFoundError"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("f = lambda: 0", "not written as a `def`"),
        ("class f: ...", "a class"),
        ("def g(): ...", "has no `f`"),
        ("from functools import partial\nf = partial(int)", "not written as a `def`"),
    ],
)
def test_what_is_not_a_def_is_refused(tmp_path: Path, source: str, words: str) -> None:
    problem = describe(tmp_path, module=source)["problems"][0]
    assert words in problem["message"] and problem["hint"]


def test_definitions_inside_conditions_count_and_the_last_one_wins(tmp_path: Path) -> None:
    source = (
        "try:\n    def f(a): ...\nexcept ImportError:\n    pass\nif True:\n    def f(b: int): ...\n"
    )
    assert list(describe(tmp_path, module=source)["inputs"]["properties"]) == ["b"]


def test_annotations_nested_without_end_are_any_value(tmp_path: Path) -> None:
    source = (
        f"def f(x: {'list[' * 150}int{']' * 150}, y: '{'list[' * 90}int{']' * 90}', z: int): ..."
    )
    properties = describe(tmp_path, module=source)["inputs"]["properties"]
    assert properties["z"] == {"type": "integer"}


TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            ["int", "list", "Optional", "Literal", "[", "]", ",", "|", "None", "'x'", "(", ")", "...", "3", "-",
             "Annotated", "Union", "dict", "tuple", ".", " ", "lambda", ":", "{", "}", "*", "await", "=", "if"]
        ),
        max_size=14,
    ).map(" ".join),
)  # fmt: skip


@given(TEXTS)
@settings(deadline=None)
def test_any_text_is_an_annotation_or_a_warning(text: str) -> None:
    import typing

    from kedge.contract.runner import Reader

    reader = Reader(output=False)
    schema = reader.port("x", text, Scope({**vars(typing), "__name__": "typing"}))
    assert isinstance(schema, dict)
    if not schema and "Any" not in text and "object" not in text and not reader.warnings:
        assert isinstance(ast.parse(text.strip() or "0", mode="eval"), ast.Expression)


@given(
    st.text(alphabet="abx :-()*\n\t.,'#", max_size=200),
    st.sampled_from(["Args:", "Parameters\n---", ":param x:"]),
)
@settings(deadline=None)
def test_any_docstring_is_read(text: str, head: str) -> None:
    description, names, returned = read_docstring(f"{text}\n{head}\n{text}")
    assert isinstance(description, str) and isinstance(returned, str)
    assert all(words.strip() == words for words in names.values())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def encodable(value: Any) -> bool:
    try:
        repr(value).encode()
        return "\\ud" not in ascii(value)
    except UnicodeEncodeError:
        return False


@given(JSON.filter(encodable))
@settings(deadline=None)
def test_plain_values_stay_what_they_are(value: Any) -> None:
    import json

    from kedge.contract.runner import read_json, write_json

    problems: list[tuple[str, str]] = []
    plain = Plain(problems).of(value, "x")
    assert not problems
    assert repr(json.loads(write_json(plain))) == repr(value)
    assert repr(read_json(json.dumps(value))) == repr(value)


@given(st.timedeltas())
@settings(deadline=None)
def test_durations_come_back_to_the_last_digit_that_floats_allow(value: Any) -> None:
    from datetime import timedelta

    from kedge.contract.runner import duration_text, read_duration
    from kedge.ports.moments import is_iso

    text = duration_text(value)
    assert is_iso("duration", text)
    try:
        again = read_duration(text, timedelta)
    except OverflowError:
        assert abs(value) > timedelta(days=999_999_990)
    else:
        assert abs(again - value) <= timedelta(microseconds=max(1, abs(value).days // 10_000))


def test_unreadable_text_says_what_it_was() -> None:
    with pytest.raises(UnreadableError, match="`3 \\+`"):
        Scope({}).annotation("3 +")
