"""TOML with places: every key and value has one, and it is the right one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import ManifestError
from kedge.package.document import Path
from kedge.package.toml_source import read_toml

SAMPLE = '''\
# a comment with [brackets] and "quotes"
title = "a = b # c"
[tool.kedge]
name = 'bolt'   # trailing
"quoted key".inner = 1
long = """
several "lines" \\
"""""
literal = \'\'\'
it's\'\'\'
[tool.kedge.functions.size]
handler = "bolts:size"
entry = [
  "one", # comment ]
  { a = 1, b = [2, 3] },
]
[[many]]
x = 1
[[many.inner]]
y = 2
[[many]]
x = 2026-01-02
'''


def test_the_values_are_those_of_tomllib() -> None:
    document = read_toml(SAMPLE.replace("2026-01-02", '"2026-01-02"'), "pyproject.toml")
    assert document.data == tomllib.loads(SAMPLE.replace("2026-01-02", '"2026-01-02"'))


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        (("title",), 2, 9),
        (("tool", "kedge", "name"), 4, 8),
        (("tool", "kedge", "quoted key", "inner"), 5, 22),
        (("tool", "kedge", "long"), 6, 8),
        (("tool", "kedge", "literal"), 9, 11),
        (("tool", "kedge", "functions", "size", "handler"), 12, 11),
        (("tool", "kedge", "functions", "size", "entry", 1, "b", 1), 15, 20),
        (("many", 0, "inner", 0, "y"), 20, 5),
        (("many", 1, "x"), 22, 5),
    ],
)
def test_values_are_found_where_they_stand(path: Path, line: int, column: int) -> None:
    where = read_toml(SAMPLE, "pyproject.toml").where(path)
    assert (where.line, where.column) == (line, column)


def test_what_was_written_is_kept() -> None:
    document = read_toml("[runtime]\nversion = 3.10 # no quotes\n", "f")
    assert document.written(("runtime", "version")) == "3.10"


def test_dates_become_text() -> None:
    assert read_toml("d = 2026-01-02\nt = 10:00:00\n", "f").data == {
        "d": "2026-01-02",
        "t": "10:00:00",
    }


def test_places_can_be_those_of_a_file_around_it() -> None:
    where = read_toml("a = 1\nb = 2\n", "beam.py", first_line=5, indent=2).where(("b",))
    assert str(where) == "beam.py:6:7 (b)"


@pytest.mark.parametrize(
    "text",
    ["a = ", "a = 1\na = 2", "[a", "a = 'x", "= 1", "a = [1", 'a = """x', "x = " + "[" * 3000],
)
def test_a_mistake_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_toml(text, "pyproject.toml")
    assert caught.value.where.line is not None
    assert caught.value.hint


keys = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
leaves = (
    st.integers(-(2**60), 2**60) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]))
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def quoted(text: str) -> str:
    escaped = "".join(
        f"\\U{ord(c):08x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in text
    )
    return f'"{escaped}"'


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",\n ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def every_path(value: object, path: Path = ()) -> set[Path]:
    found = {path}
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        found |= every_path(inner, (*path, key))
    return found


@given(st.dictionaries(keys, trees, max_size=4))
def test_every_value_has_a_place(tree: dict[str, object]) -> None:
    text = "".join(f"{quoted(key)} = {written(value)}\n" for key, value in tree.items())
    document = read_toml(text, "f")
    assert document.data == tree
    assert set(document.values) == every_path(tree)
