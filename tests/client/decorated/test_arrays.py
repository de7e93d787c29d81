"""Arrays and data frames there and back, where the caller has numpy and pandas, and where it has not."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge

type Start = Callable[..., Any]

NEEDS = ["numpy", "pandas"]
# Another major version, or minor where that has no wheel for this Python.
BELOW = "2" if sys.version_info < (3, 13) else "2.4"


def site() -> str:
    import importlib.util

    spec = importlib.util.find_spec("pandas")
    return os.path.dirname(os.path.dirname(spec.origin or "")) if spec else ""


@pytest.fixture
def with_arrays(start: Start) -> Callable[[str], list[str]]:
    """Runs a script of a caller that has numpy and pandas; the lines that it prints."""
    packages = kedge.function(site, name="tested", pip=NEEDS).run()
    assert Path(packages, "numpy").is_dir()
    paths = os.pathsep.join([packages, *filter(None, sys.path)])

    def run(text: str) -> list[str]:
        code, out, err = start(text, env=os.environ | {"PYTHONPATH": paths}).ended()
        assert code == 0, err
        lines: list[str] = out.splitlines()
        return lines

    return run


LARGE = """
import kedge, numpy

@kedge.function(name="tested", pip=["numpy", "pandas"])
def doubled(array):
    array *= 2
    return array

given = numpy.arange(13_107_200, dtype="float64")
one, other = doubled.run(given), doubled.run(array=given)
print(one.nbytes, numpy.array_equal(one, 2 * given), given[3])
print(one.flags.writeable, numpy.shares_memory(one, other))
one += 1
print(numpy.array_equal(other, 2 * given))
small = doubled.run(given[:10])
small[0] = 7
print(small[:2], doubled.run(given[:2]))
"""


def test_a_hundred_megabytes_there_and_back_are_right_and_the_callers_own(
    with_arrays: Callable[[str], list[str]],
) -> None:
    assert with_arrays(LARGE) == [
        "104857600 True 3.0",
        "True False",
        "True",
        "[7. 2.] [0. 2.]",
    ]


KINDS = """
import kedge, numpy as np, pandas as pd, datetime, warnings
warnings.simplefilter("error")

def same(*values):
    return values

structured = np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", ">f8")])
arrays = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(100)[::7], np.array(3.5), np.zeros((0, 3)), structured, structured.view(np.recarray),
    np.array(["a", None, {"b": 1}], dtype=object), np.array(["aé", "b"]), np.array([b"a"]),
    np.array(["2024-02-29"], dtype="datetime64[D]"), np.array([1 + 2j]), np.array([True, False]),
    np.arange(3, dtype=">i2"), np.broadcast_to(np.arange(3), (2, 3)), np.longdouble([1.5]),
    np.arange(200_000.0), np.arange(200_000.0)[::-1],
]
scalars = [np.float64(1.5), np.int32(3), np.bool_(True), np.datetime64("2024-02-29"), np.str_("x")]
frames = [
    pd.DataFrame({"a": [1, 2], "s": ["x", "y"]}), pd.Series([1.5], name="s"),
    pd.DataFrame({"t": pd.date_range("2024", periods=2, tz="UTC"), "c": pd.Categorical(["a", "b"])}),
    pd.DataFrame({"i": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}),
    pd.DataFrame({"n": range(3)}).set_index("n"), pd.MultiIndex.from_tuples([(1, "a")]), pd.RangeIndex(3),
    pd.to_timedelta([1, 2]), pd.interval_range(0, 2), pd.RangeIndex(10**6).to_frame().assign(a=1),
    pd.Series(pd.arrays.SparseArray([0] * 10**6)),
    pd.Series(pd.period_range("2024", periods=2, freq="M")), pd.Series(pd.to_timedelta([1, 2])),
]
others = [
    pd.Timestamp("2024-02-29", tz="Europe/Paris"), pd.Timedelta(3), pd.Period("2024"), pd.Interval(0, 1),
    pd.NaT, pd.NA, pd.offsets.MonthEnd(2), np.dtype("f8"), np.float64, np.polynomial.Polynomial([1, 2]),
]
run = kedge.function(same, name="tested", pip=["numpy", "pandas"]).run
for one, found in zip(arrays, run(*arrays), strict=True):
    assert type(found) is type(one) and found.dtype == one.dtype and found.shape == one.shape, one
    assert found.tolist() == one.tolist() and found.flags.writeable, one
for one, found in zip(scalars, run(*scalars), strict=True):
    assert type(found) is type(one) and found == one, one
for one, found in zip(frames, run(*frames), strict=True):
    assert type(found) is type(one) and found.equals(one), one
for one, found in zip(others, run(*others), strict=True):
    assert type(found) is type(one) and repr(found) == repr(one), one
masked = np.ma.array([1, 2], mask=[False, True])
(found,) = run(masked)
assert type(found) is np.ma.MaskedArray and found.tolist() == [1, None]
(first, second), mapping = run([arrays[0]] * 2, {"a": arrays[1], ("k", 1): scalars})
assert first is second and mapping["a"].tolist() == arrays[1].tolist()
(chance,) = run(np.random.default_rng(3))
assert chance.integers(1000) == np.random.default_rng(3).integers(1000)

def failing():
    import numpy
    numpy.linalg.inv(numpy.zeros((2, 2)))

try: kedge.function(failing, name="tested", pip=["numpy", "pandas"]).run()
except np.linalg.LinAlgError as error: print(error)
kedge.function(lambda frame: frame.assign(b=frame.a * 2), name="tested", pip=["numpy", "pandas"])
mean = kedge.function(lambda frame: frame.a.mean(), name="tested", pip=["numpy", "pandas"])
print(mean.run(frames[0]), type(mean.run(frames[0])).__name__)
"""


def test_arrays_of_all_kinds_and_data_frames_are_the_same_there_and_back(
    with_arrays: Callable[[str], list[str]],
) -> None:
    assert with_arrays(KINDS) == ["Singular matrix", "1.5 float64"]


OTHER_VERSION = f"""
import kedge, numpy

def told(array):
    import numpy
    return numpy.__version__, array * 2, array.sum(), {{"m": numpy.ma.array([1])}}, array.astype(object)

older = kedge.function(told, name="tested", pip=["numpy<{BELOW}"])
version, doubled, total, named, plain = older.run(numpy.arange(3))
print(version == numpy.__version__, doubled.tolist(), total, type(total).__name__, named["m"].tolist(), plain.tolist())
"""


def test_another_version_of_numpy_inside_does_no_harm(
    with_arrays: Callable[[str], list[str]],
) -> None:
    (line,) = with_arrays(OTHER_VERSION)
    assert line == "False [0, 2, 4] 3 int64 [1] [0, 1, 2]"


MAPPED = """
import kedge, numpy, os

def mapped():
    import numpy
    found = numpy.memmap("out/file", "uint8", "w+", shape=(4,))
    found[:] = 7
    return found

found = kedge.function(mapped, name="tested", pip=["numpy", "pandas"]).run()
print(type(found).__name__, found.tolist(), os.path.exists("out"))
"""


def test_what_is_mapped_from_a_file_there_is_an_array_here(
    with_arrays: Callable[[str], list[str]],
) -> None:
    assert with_arrays(MAPPED) == ["ndarray [7, 7, 7, 7] False"]


WITHOUT = """
import sys
class NoNumpy:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("numpy", "pandas"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoNumpy())
import kedge

def scalars():
    import numpy as np
    return [np.float64(1.5), np.int32(3), np.bool_(True), np.str_("x"), {np.int64(1): np.float32(2)}]

def array():
    import numpy as np
    return np.arange(3)

found = kedge.function(scalars, name="tested", pip=["numpy", "pandas"]).run()
print(found, [type(one).__name__ for one in found])
try: kedge.function(array, name="tested", pip=["numpy", "pandas"]).run()
except kedge.FunctionError as error: print("numpy" in str(error), "installed here" in error.__notes__[-1])
print(sorted({"numpy", "pandas"} & sys.modules.keys()))
"""


def test_without_numpy_here_its_scalars_are_pythons_and_an_array_says_what_to_install(
    start: Start,
) -> None:
    code, out, err = start(WITHOUT).ended()
    assert code == 0, err
    assert out.splitlines() == [
        "[1.5, 3, True, 'x', {1: 2.0}] ['float', 'int', 'bool', 'str', 'dict']",
        "True True",
        "[]",
    ]


HOSTILE = """
import os, pickle, sys
import numpy, pandas, numpy.random, numpy.ma
from kedge.client.decorated import unpickling
from kedge.contract import pickled
os.chdir(os.path.dirname(os.path.abspath(__file__)))
with open("precious", "w") as file:
    file.write("precious data")

def literal(value):
    return pickle.dumps(value, 3)[2:-1]

def tried(module, name, *args, state=None):
    data = b"\\x80\\x04" + literal(module) + literal(name) + b"\\x93"
    data += literal(args) + b"R" if state is None else literal((None, state)) + b"b"
    if os.path.exists("answer"):
        os.unlink("answer")
    pickled.write("answer", {"kind": "value"}, [data + b"."])
    try:
        found = unpickling.read("answer", unpickling.Known({}, frozenset()), free=False).value
    except unpickling.RefusedError:
        return
    except TypeError as error:  # the file's name is no shape of an array
        assert name == "memmap" or state is not None, error
        return
    print(module, name, found)

for given in (
    ("numpy", "load", "precious"), ("numpy", "save", "precious", 1), ("numpy", "fromfile", "precious"),
    ("numpy", "memmap", "precious", "uint8", "w+", 0, (4,)),
    ("numpy", "lib.format.open_memmap", "precious", "w+"),
    ("numpy.lib.format", "open_memmap", "precious", "w+"),
    ("numpy.lib.npyio", "DataSource", "."), ("numpy.lib._datasource", "open", "precious"),
    ("numpy", "os.system", "false"), ("numpy", "ndarray.tofile", 1, "precious"),
    ("numpy", "vectorize", 1), ("numpy", "frompyfunc", 1, 1, 1),
    ("numpy.testing._private.utils", "runstring", "1", {}), ("numpy.testing", "rundocs", "x"),
    ("numpy.f2py.__main__", "main"), ("numpy.f2py", "compile", b""), ("numpy.ctypeslib", "load_library", "c", "."),
    ("numpy._core._multiarray_umath", "fromfile", "precious"), ("numpy", "_core.multiarray.os.system", "false"),
    ("numpy.random._examples.cffi.extending", "rng"), ("numpy._core.tests.test_array_coercion", "np"),
    ("numpy.random", "_pickle.BitGenerators.clear"),
    ("pandas", "read_pickle", "precious"), ("pandas", "eval", "1"), ("pandas", "DataFrame.eval", 1, "1"),
    ("pandas", "ExcelWriter", "precious"), ("pandas", "HDFStore", "precious", "w"), ("pandas", "ExcelFile", "x"),
    ("pandas", "read_csv", "precious"), ("pandas.io.common", "get_handle", "precious", "w"),
    ("pandas.io.common", "os.system", "false"), ("pandas", "io.common.os.system", "false"),
    ("pandas.core.computation.eval", "eval", "1"), ("pandas.core.computation.expr", "Expr", "1"),
    ("pandas.core.common", "pipe", 1, 1), ("pandas.compat.pickle_compat", "loads", b"N."),
    ("pandas.api.typing", "StataReader", "precious"), ("pandas.testing", "assert_frame_equal"),
    ("pandas._libs.parsers", "TextReader", "precious"), ("pandas.conftest", "os.system", "false"),
    ("pandas.core.apply", "frame_apply", 1, 1), ("pandas.util._print_versions", "main"),
):
    tried(*given)
tried("pandas", "DataFrame", state={"to_csv": None})
tried("pandas.core.indexes.base", "Index", state={"map": None})
tried("numpy.ma", "MaskedArray", state={"sum": None})
print(callable(pandas.DataFrame.to_csv), callable(pandas.Index.map), callable(numpy.ma.MaskedArray.sum))
print(open("precious").read(), sorted(os.listdir(".")))
print([name for name in sys.modules if name.endswith("__main__") and name != "__main__"])
"""


def test_of_numpy_and_pandas_only_what_puts_data_together_is_called(
    with_arrays: Callable[[str], list[str]],
) -> None:
    assert with_arrays(HOSTILE) == [
        "True True True",
        "precious data ['answer', 'main.py', 'precious']",
        "[]",
    ]


MUCH = """
import os, pickle, tracemalloc
import numpy, pandas, numpy.ma, numpy.random
from kedge.client.decorated import unpickling
from kedge.contract import pickled
os.chdir(os.path.dirname(os.path.abspath(__file__)))

SIZE = 1 << 24

def literal(value):
    return pickle.dumps(value, 3)[2:-1]

def called(module, name, *parts):
    return literal(module) + literal(name) + b"\\x93(" + b"".join(parts) + b"tR"

def named(module, name):
    return literal(module) + literal(name) + b"\\x93"

def tried(data):
    if os.path.exists("answer"):
        os.unlink("answer")
    pickled.write("answer", {"kind": "value"}, [b"\\x80\\x05" + data + b"."])
    tracemalloc.start()
    try:
        unpickling.read("answer", unpickling.Known({}, frozenset()), free=False)
    except unpickling.RefusedError as error:
        assert tracemalloc.get_traced_memory()[1] < 2 * SIZE, data
        return
    finally:
        tracemalloc.stop()
    print("made:", data)

array = named("numpy", "ndarray")
span = called("builtins", "range", literal(SIZE))
rows = called(
    "pandas.core.indexes.base", "_new_Index", named("pandas", "RangeIndex"),
    literal({"start": 0, "stop": 1 << 40, "step": 1, "name": None}),
)
fields = literal([("a", "f8"), ("b", "f8")]) + b"q\\x63"
for _ in range(20):
    fields += b"0](" + b"".join(literal(name) + b"h\\x63\\x86" for name in "ab") + b"eq\\x63"
for data in (
    called("numpy._core.multiarray", "_reconstruct", array, literal((SIZE,)), literal("d")),
    called("numpy.ma.core", "_mareconstruct", named("numpy.ma", "MaskedArray"), array, literal((SIZE,)), literal("d")),
    called("numpy", "ndarray", literal((SIZE,))),
    array + literal(((SIZE,),)) + b"\\x81",
    called("numpy", "str_", span),
    called("numpy", "void", literal(SIZE)),
    called("numpy", "dtype", fields),
    called("numpy._core.multiarray", "scalar", called("numpy", "dtype", literal("V%d" % SIZE), b"\\x89\\x88")),
    called("numpy.random.bit_generator", "SeedSequence", literal(1), literal(()), literal(SIZE)),
    called("numpy", "poly1d", span),
    rows,
    called("pandas", "Series", literal(0), rows),
    called("pandas", "Index", span),
    called("pandas", "DataFrame", span),
    called("pandas.core.indexes.base", "_new_Index", named("builtins", "bytes"), literal({"source": SIZE})),
    called("pandas.core.indexes.datetimes", "_new_DatetimeIndex", named("builtins", "bytes"), literal({"source": SIZE})),
    called("pandas.core.indexes.base", "_new_Index", named("pandas", "Index"), b"}" + literal("data") + span + b"s"),
    called("pandas.core.indexes.interval", "_new_IntervalIndex", named("pandas", "IntervalIndex"),
           b"}(" + literal("left") + span + literal("right") + span + b"u"),
    called("pandas._libs.tslibs.offsets", "CustomBusinessDay", literal(1), b"\\x89", literal("Mon"), b"(" + span + b"t"),
):
    tried(data)
print("tried")
"""


def test_a_few_bytes_do_not_make_large_arrays(
    with_arrays: Callable[[str], list[str]],
) -> None:
    assert with_arrays(MUCH) == ["tried"]
