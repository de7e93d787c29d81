"""What a runtime gives is read where it may run nothing: hostile answers, damaged ones, and plain data."""

import array
import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import os
import pathlib
import pickle
import subprocess
import sys
import tracemalloc
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen  # noqa: F401 - a hostile pickle may find it here
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import strategies as st

import kedge
from kedge.client.decorated import unpickling
from kedge.client.decorated.unpickling import Known, RefusedError
from kedge.contract import pickled

type Decorate = Callable[..., Any]
type Script = Callable[..., list[str]]

NOBODYS = Known({}, frozenset())


class Counted:
    """A class that changes itself when an object of it is read."""

    number = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        Counted.number += 1
        vars(self).update(state)


class Shade(enum.Enum):
    DARK = 1


class Mine:
    kept = "kept"

    def method(self) -> str:
        return "mine"


def hostile(data: bytes) -> str:
    """Gives a pickle that was written by hand."""
    program: Any = sys.modules["_kedge_call"]

    def value(answers: Any, _: Any) -> str:
        program.write(answers._path, {"kind": "value"}, [data])
        return str(answers._path)

    program._Answers.value = value
    return ""


def damaging(content: bytes) -> str:
    """Writes another file in place of the answer."""
    program: Any = sys.modules["_kedge_call"]

    def value(answers: Any, _: Any) -> str:
        with open(answers._path, "wb") as file:
            file.write(content)
        return str(answers._path)

    program._Answers.value = value
    return ""


def named(module: str, name: str) -> bytes:
    """The part of a pickle that puts something with a name on its stack."""
    return text(module) + text(name) + b"\x93"


def text(value: str) -> bytes:
    """The part of a pickle that puts a short text there."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def literal(value: Any) -> bytes:
    """The part of a pickle that puts plain data there."""
    return pickle.dumps(value, 3)[2:-1]


def called(module: str, name: str, *parts: bytes) -> bytes:
    """The part of a pickle that calls something with what other parts put there."""
    return named(module, name) + b"(" + b"".join(parts) + b"tR"


def calling(module: str, name: str, *args: Any) -> bytes:
    """A pickle that calls something."""
    return b"\x80\x04" + named(module, name) + literal(args) + b"R."


def setting(module: str, name: str, **attributes: Any) -> bytes:
    """A pickle that sets attributes of something that has a name."""
    return b"\x80\x04" + named(module, name) + literal((None, attributes)) + b"b."


def read(folder: Path, data: bytes, known: Known = NOBODYS, *, free: bool = False) -> Any:
    """What an answer with that pickle gives."""
    path = folder / "answer"
    path.unlink(missing_ok=True)
    pickled.write(str(path), {"kind": "value"}, [data])
    return unpickling.read(str(path), known, free=free).value


# ---- hostile ------------------------------------------------------------------------------------------


def test_a_result_that_would_run_a_command_runs_none_and_is_named(
    decorated: Decorate, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {trace}",)

    with pytest.raises(kedge.FunctionError, match=r"`posix\.system`") as raised:
        decorated(lambda: [Evil()]).run()
    assert 'unpickle="any"' in raised.value.__notes__[-1]
    assert "numpy, pandas or pyarrow" in raised.value.__notes__[-1]
    assert not trace.exists()
    assert decorated(lambda: [Evil()], unpickle="any").run() == [0]
    assert trace.exists()


def test_a_result_written_by_hand_runs_nothing_either(decorated: Decorate, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    data = calling("os", "system", f"touch {trace}")
    with pytest.raises(kedge.FunctionError, match=r"`os\.system`"):
        decorated(hostile).run(data)
    assert not trace.exists()


def test_an_exception_that_would_run_something_runs_nothing(
    decorated: Decorate, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"

    class EvilError(Exception):
        def __reduce__(self) -> Any:
            return os.system, (f"touch {trace}",)

    def fails() -> None:
        raise EvilError("evil")

    with pytest.raises(kedge.FunctionError, match="EvilError: evil"):
        decorated(fails).run()
    assert not trace.exists()


@pytest.mark.parametrize(
    ("module", "name", "args"),
    [
        ("os", "system", ("false",)),
        ("posix", "system", ("false",)),
        ("subprocess", "Popen", (["false"],)),
        ("builtins", "eval", ("1",)),
        ("builtins", "exec", ("1",)),
        ("builtins", "open", ("/dev/null",)),
        ("builtins", "__import__", ("antigravity",)),
        ("builtins", "getattr", (1, "real")),
        ("builtins", "type", ("Made", (), {})),
        ("functools", "partial", ("print",)),
        ("operator", "attrgetter", ("a",)),
        ("importlib", "import_module", ("antigravity",)),
        ("pickle", "loads", (b"N.",)),
        ("types", "FunctionType", ()),
        ("code", "InteractiveConsole", ()),
        ("ctypes", "CDLL", ("libc.so.6",)),
        ("multiprocessing", "Process", ()),
        ("socket", "socket", ()),
        ("tempfile", "NamedTemporaryFile", ()),
        ("logging", "FileHandler", ("/dev/null",)),
        ("pathlib", "Path.home", ()),
        ("pathlib", "os.system", ("false",)),
        ("decimal", "sys.modules.clear", ()),
        ("collections", "OrderedDict.__init__.__objclass__", ()),
        ("zoneinfo", "ZoneInfo.clear_cache", ()),
        ("kedge", "load", (".",)),
        ("kedge.client", "load", (".",)),
        ("kedge.client.decorated.unpickling", "read", ("x", None)),
        ("kedge.contract.pickled", "write", ("x", {}, [])),
        ("cloudpickle", "loads", (b"N.",)),
        ("cloudpickle.cloudpickle", "_make_function", ()),
        ("_kedge_call", "write", ("x", {}, [])),
        ("_kedge_call", "call", ("x",)),
        ("_kedge_call", "named", (None, "os", "system")),
        ("_kedge_call", "named", (None, __name__, "subprocess.Popen")),
        ("_kedge_call", "raised", (int, ())),
        ("_kedge_call", "restored", (Mine, {"kept": 1})),
        (__name__, "subprocess.Popen", (["false"],)),
        (__name__, "Popen", (["false"],)),
        (__name__, "os.system", ("false",)),
        (__name__, "Mine.method", (1,)),
        (__name__, "read", (1, b"")),
        ("unittest.__main__", "main", ()),
        ("venv.__main__", "main", ()),
        ("this", "s", ()),
        ("antigravity", "webbrowser", ()),
        ("no_such_module", "thing", ()),
        ("", "", ()),
        ("..", "thing", ()),
        ("a\\b", "thing", ()),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, args: tuple[Any, ...]
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda *given, **_: started.append(given))
    monkeypatch.setattr(os, "system", started.append)
    with pytest.raises((RefusedError, pickled.FramesError)):
        read(tmp_path, calling(module, name, *args))
    assert started == []
    assert not {"antigravity", "this", "unittest.__main__"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("module", "name"),
    [(__name__, "Mine"), (__name__, "Shade"), ("pathlib", "PosixPath"), ("fractions", "Fraction")],
)
def test_a_result_that_changes_a_class_is_refused_and_the_class_is_what_it_was(
    tmp_path: Path, module: str, name: str
) -> None:
    changed = getattr(sys.modules[module], name)
    before = dict(vars(changed))
    with pytest.raises(RefusedError, match=f"`{name}` with changes to it"):
        read(tmp_path, setting(module, name, kept=7, method=8, __str__=9))
    assert dict(vars(changed)) == before


def test_a_result_that_changes_a_member_or_a_sent_class_is_refused_too(tmp_path: Path) -> None:
    member = b"\x80\x04" + named(__name__, "Shade") + literal((1,)) + b"R"
    with pytest.raises(RefusedError, match="changes"):
        read(tmp_path, member + literal({"_value_": 2}) + b"b.")
    assert Shade.DARK.value == 1
    own = b"\x80\x04" + named("_kedge_call", "named") + literal(("1", __name__, "Mine")) + b"R"
    with pytest.raises(RefusedError, match="changes"):
        read(tmp_path, own + literal((None, {"kept": 7})) + b"b.", Known({"1": Mine}, frozenset()))
    assert Mine.kept == "kept"


def test_what_a_class_changes_itself_is_its_own_affair(tmp_path: Path) -> None:
    before = Counted.number
    thing = Counted()
    thing.text = "here"  # type: ignore[attr-defined]
    found = read(tmp_path, pickle.dumps(thing, 5))
    assert (type(found), found.text) == (Counted, "here")
    assert Counted.number > before


def test_functions_that_put_data_together_cannot_be_changed(tmp_path: Path) -> None:
    for name in ("itself", "raised"):
        with suppress(Exception):
            read(tmp_path, setting("_kedge_call", name, __defaults__=(1,), mark=1))
        function = getattr(pickled, name)
        assert function.__defaults__ is None and not hasattr(function, "mark")


def test_a_class_of_the_callers_own_script_is_taken(script: Script) -> None:
    text = (
        "import dataclasses, kedge\n"
        "@dataclasses.dataclass\n"
        "class Section:\n"
        "    area: float\n"
        "@kedge.function(name='tested')\n"
        "def made(): return [Section(2.5)]\n"
        "(found,) = made.run()\n"
        "print(type(found) is Section, found)\n"
    )
    assert script(text) == ["True Section(area=2.5)"]


def test_a_type_that_is_not_taken_says_what_to_return_and_is_taken_by_any(
    decorated: Decorate,
) -> None:
    import re

    def pattern() -> Any:
        return re.compile("a+")

    with pytest.raises(kedge.FunctionError, match=r"`re\._compile`") as raised:
        decorated(pattern).run()
    assert "return plain data, an array or a data frame" in raised.value.__notes__[-1]
    assert raised.value.run_id
    assert decorated(pattern, unpickle="any").run() == re.compile("a+")
    assert decorated(lambda: lambda value: value + 1, unpickle="any").run()(2) == 3


# ---- much ---------------------------------------------------------------------------------------------

SIZE = 1 << 24
SLICE = called("builtins", "slice", literal(0), literal(0))
RANGE = called("builtins", "range", literal(SIZE))
NETWORK = called("ipaddress", "IPv4Network", literal("0.0.0.0/8"))
# Each of these lists has the one before it twice; the last is of two to the power of 24, written out.
SHARED = b"]" + b"".join(b"q\x00]q\x01h\x00ah\x00a" for _ in range(24))


class Row(list[Any]):
    pass


class Raw(bytes):
    pass


class Remade(list[Any]):
    """A class that says how it is pickled, and has Python say most of it."""

    def __reduce_ex__(self, _: Any) -> Any:
        return super().__reduce_ex__(1)


class Rows(collections.UserList[Any]):
    """A class that takes anything that a list is made of."""


class Text(collections.UserString):
    """A class that takes anything that can be written out."""


class Bunch(list[Any]):
    """A class that says how it is pickled."""

    def __reduce__(self) -> Any:
        return Bunch, (tuple(self),)


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize(
    "made",
    [
        called("builtins", "bytearray", literal(SIZE)),
        called("builtins", "bytes", literal(SIZE)),
        named("builtins", "bytes") + literal((SIZE,)) + b"\x81",
        named("builtins", "bytes") + literal(()) + literal({"source": SIZE}) + b"\x92",
        called("builtins", "list", RANGE),
        called("builtins", "tuple", RANGE),
        called("builtins", "set", NETWORK),
        called("builtins", "frozenset", RANGE),
        called("builtins", "str", SHARED),
        called("builtins", "int", called("decimal", "Decimal", literal("1e999999"))),
        called("builtins", "ExceptionGroup", literal("both"), RANGE),
        called("array", "array", literal("b"), RANGE),
        called("collections", "Counter", RANGE),
        called("collections", "deque", RANGE),
        named("collections", "deque") + RANGE + b"R",
        called("fractions", "Fraction", literal("1e999999")),
        called("_kedge_call", "raised", named("builtins", "ExceptionGroup"), literal("a") + RANGE + b"\x86"),
        called("_kedge_call", "named", literal(None), literal(__name__), literal("Row")) + RANGE + b"\x85R",
        called(__name__, "Row", RANGE),
        called(__name__, "Raw", literal(SIZE)),
        called("copyreg", "_reconstructor", named(__name__, "Row"), named("builtins", "list"), RANGE),
        called("copyreg", "__newobj__", named("builtins", "bytes"), literal(SIZE)),
        literal([None]) + b"q\x70" + (SLICE + b"h\x70s") * 24,
        called("builtins", "bytearray", literal(b"x")) + b"q\x70" + (b"(" + SLICE + b"h\x70u") * 24,
        named("_kedge_call", "itself") + b"(" + named("builtins", "list") + RANGE + b"\x85}Ntb)R",
        called(__name__, "Rows", RANGE),
        called(__name__, "Text", SHARED),
        b"Nr\xff\xff\xff\x01",
        b"Np9999999\n",
        b"(" + named("builtins", "bytes") + literal(SIZE) + b"o",
    ],
)  # fmt: skip
def test_a_few_bytes_do_not_make_much(tmp_path: Path, made: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((RefusedError, pickled.FramesError)):
            read(tmp_path, b"\x80\x04" + made + b".")
        assert tracemalloc.get_traced_memory()[1] < SIZE // 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "made",
    [
        called("builtins", "bytearray", b"h\x70"),
        called(__name__, "Raw", b"h\x70"),
        called(__name__, "Row", b"h\x71"),
        called("collections", "Counter", b"h\x72"),
        called("copyreg", "_reconstructor", named(__name__, "Row"), named("builtins", "list"), b"h\x71"),
    ],
)  # fmt: skip
def test_what_is_shared_is_not_copied_again_and_again(tmp_path: Path, made: bytes) -> None:
    shared = (
        literal(b"x" * 100_000),
        literal([None] * 100_000),
        literal({n: n for n in range(50_000)}),
    )
    puts = b"".join(one + b"q%c0" % (0x70 + number) for number, one in enumerate(shared))
    read(tmp_path, b"\x80\x04" + puts + b"](" + made * 10 + b"e.")
    with pytest.raises(RefusedError, match="larger than what came of it"):
        read(tmp_path, b"\x80\x04" + puts + b"](" + made * 100 + b"e.")


def test_parts_of_exceptions_have_no_parts_and_are_no_more_than_what_came(tmp_path: Path) -> None:
    inner = b"\x80\x05" + literal(b"x" * 100) + b"."
    assert read(tmp_path, calling("_kedge_call", "part", inner, "text")) == b"x" * 100
    assert read(tmp_path, calling("_kedge_call", "part", b"", "text")) == "text"
    outer = calling("_kedge_call", "part", inner, "text")
    assert read(tmp_path, calling("_kedge_call", "part", outer, "text")) == "text"
    twice = literal(inner) + b"q\x07"
    again = called("_kedge_call", "part", b"h\x07", literal("text"))
    with pytest.raises(RefusedError, match="parts, larger than what came"):
        read(tmp_path, b"\x80\x05" + twice + again * 5 + b".")


def test_more_than_what_came_is_refused_by_name(decorated: Decorate) -> None:
    data = calling("builtins", "bytearray", SIZE)
    with pytest.raises(kedge.FunctionError, match="`bytearray`, larger than what came of it"):
        decorated(hostile).run(data)


@pytest.mark.parametrize(
    "value",
    [
        Row([1, 2]),
        Raw(b"raw"),
        Remade([1, [2]]),
        Bunch([1]),
        Rows([1]),
        Text("x"),
        collections.UserList([1]),
        collections.UserString("x"),
        Pair(1, Row()),
        {"kinds": [int, list, bytes, Row]},
        collections.defaultdict(list, {"a": [1]}),
        collections.Counter("aab"),
        collections.deque([1, 2], 5),
        collections.OrderedDict(a=1),
        collections.UserDict({"a": 1}),
        collections.ChainMap({"a": 1}, {"b": 2}),
        types.SimpleNamespace(a=1),
        array.array("d", [1.5, 2.5]),
        [range(10**12), ipaddress.ip_network("::/0"), frozenset([Raw(b"x")])],
        fractions.Fraction(1, 3),
        [slice(1, 2), {"a": slice(None)}],
        "x" * 300,
        b"x" * 300,
        bytearray(70_000),
        [2**100, -(2**3000), 1e300, True],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_made_of_what_came_is_taken(folder: Path, value: Any) -> None:
    written(folder / "made", value)
    found = unpickling.read(str(folder / "made"), NOBODYS, free=False).value
    assert (type(found), found) == (type(value), value)


# ---- damaged ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\0" * 100_000,
        pickle.dumps("no frames"),
        b"kedge\x00\x01\n" + (1 << 62).to_bytes(8, "little"),
        b"kedge\x00\x01\n" + (2).to_bytes(8, "little") + b"{}",
        b'kedge\x00\x01\n\x0d\x00\x00\x00\x00\x00\x00\x00{"parts":[9]}',
    ],
    ids=["empty", "garbage", "zeros", "a pickle", "an endless head", "no parts", "cut off"],
)
def test_a_garbled_answer_is_a_contract_error(decorated: Decorate, content: bytes) -> None:
    with pytest.raises(kedge.ContractError, match="the answer of the run is damaged") as raised:
        decorated(damaging).run(content)
    assert raised.value.run_id and raised.value.hint


def test_a_pickle_that_is_cut_off_is_a_contract_error(decorated: Decorate) -> None:
    with pytest.raises(kedge.ContractError, match="damaged"):
        decorated(hostile).run(pickle.dumps(list(range(1000)))[:-10])


def test_what_a_function_writes_itself_in_place_of_the_answer_does_no_harm(
    decorated: Decorate,
) -> None:
    def writes() -> int:
        with open("out/files/result", "wb") as file:
            file.write(b"garbage")
        return 3

    def fails() -> None:
        writes()
        raise ValueError("after it")

    assert decorated(writes).run() == 3
    with pytest.raises(ValueError, match="after it"):
        decorated(fails).run()


@pytest.mark.parametrize("mapped", [True, False])
def test_a_hole_is_not_copied_into_memory(tmp_path: Path, mapped: bool) -> None:
    path = tmp_path / "hollow"
    size = 1 << 27
    text = json.dumps({"kind": "value", "parts": [size]}).encode()
    head = b"kedge\x00\x01\n" + len(text).to_bytes(8, "little") + text
    head += bytes(-len(head) % 64)
    path.write_bytes(head + b"\x80\x05\x8e" + (size - 12).to_bytes(8, "little"))
    os.truncate(path, len(head) + size - 1)
    with open(path, "ab") as file:
        file.write(b".")
    tracemalloc.start()
    try:
        with pytest.raises(pickled.FramesError, match="hole"):
            unpickling.read(str(path), NOBODYS, free=False, mapped=mapped)
        assert tracemalloc.get_traced_memory()[1] < size // 8
    finally:
        tracemalloc.stop()


def test_an_array_of_nothing_but_zeros_may_be_kept_as_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    buffer = bytearray(1 << 27)
    parts: list[Any] = []
    data = pickle.dumps(pickle.PickleBuffer(buffer), 5, buffer_callback=parts.append)
    pickled.write(str(path), {"kind": "value"}, [data, *parts])
    size = path.stat().st_size
    os.truncate(path, 4096)  # as a file system does that compresses
    os.truncate(path, size)
    assert unpickling.read(str(path), NOBODYS, free=False).value == buffer


# ---- plain data ---------------------------------------------------------------------------------------

_PLAIN: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.just(datetime.UTC) | st.none())
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.sampled_from([*Shade, pathlib.PurePosixPath("a/b"), range(3), Ellipsis]),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(st.integers() | st.text())
        | st.sets(st.integers())
        | st.builds(bytearray, st.binary())
        | st.builds(lambda value: ValueError("no", value), inner)
    ),
    max_leaves=20,
)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same, NaN and exceptions too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or one == other
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, Exception):
        return alike(one.args, other.args)
    return bool(one == other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("answers")


def written(path: Path, value: Any, kind: str = "value") -> None:
    """An answer as the inside program writes it."""
    answers: Any = object.__new__(pickled._Answers)
    answers._free, answers._without_numpy = False, False
    path.unlink(missing_ok=True)
    pickled.write(str(path), {"kind": kind}, answers._pickled(value))


@hypothesis.given(value=_PLAIN)
def test_plain_data_is_the_same_there_and_back(folder: Path, value: Any) -> None:
    path = folder / "plain"
    written(path, value)
    assert alike(unpickling.read(str(path), NOBODYS, free=False).value, value)


@hypothesis.settings(max_examples=10)  # each takes a run
@hypothesis.given(values=st.lists(_PLAIN, min_size=3, max_size=20))
def test_many_values_are_the_same_after_a_run(decorated: Decorate, values: list[Any]) -> None:
    assert alike(decorated(lambda *given: list(given)).run(*values), values)


@hypothesis.given(content=st.binary(max_size=400))
def test_bytes_of_any_kind_are_an_answer_or_a_documented_error(
    folder: Path, content: bytes
) -> None:
    path = folder / "any"
    for head in (b"", b"kedge\x00\x01\n"):
        path.write_bytes(head + content)
        with suppress(pickled.FramesError, RefusedError):
            unpickling.read(str(path), NOBODYS, free=False)


@hypothesis.given(value=_PLAIN, data=st.data())
def test_an_answer_that_was_cut_off_is_never_taken(
    folder: Path, value: Any, data: st.DataObject
) -> None:
    path = folder / "cut"
    written(path, value)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(pickled.FramesError):
        unpickling.read(str(path), NOBODYS, free=False)


@hypothesis.given(value=_PLAIN, data=st.data())
def test_an_answer_with_changed_bytes_is_a_value_or_an_error(
    folder: Path, value: Any, data: st.DataObject
) -> None:
    path = folder / "changed"
    written(path, value)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(Exception):  # of a type, what it raises; never what ends the interpreter
        unpickling.read(str(path), NOBODYS, free=False)
    assert not {"antigravity", "this"} & sys.modules.keys()


@hypothesis.given(data=st.binary(max_size=200))
def test_a_pickle_of_any_bytes_is_a_value_or_an_error(folder: Path, data: bytes) -> None:
    with suppress(Exception):
        read(folder, data)


def test_fractions_and_decimals_are_exact(decorated: Decorate) -> None:
    given = [fractions.Fraction(1, 3), decimal.Decimal("1e-400")]
    assert decorated(lambda values: values).run(given) == given
