"""Arrays that a caller with numpy of its own gives to decorated functions, and gets from them."""

from collections.abc import Callable

type Script = Callable[..., list[str]]

# The caller's numpy is that of the environment: the same version, wherever these tests run.
HEAD = """
import os, sys
import kedge
numbers = kedge.function(pip=["numpy"], name="tested")
@numbers
def place():
    import numpy
    return numpy.__file__
sys.path.append(os.path.dirname(os.path.dirname(place.run())))
import numpy as np
"""


def test_an_array_comes_back_as_it_went_and_is_the_callers_own(script: Script) -> None:
    text = """
@numbers
def doubled(values):
    assert values.flags.writeable
    values *= 2
    return values
given = np.arange(2_500_000, dtype=float)  # 20 MB: mapped, not read
found = doubled.run(given)
print(np.array_equal(found, given * 2), given[1], found.flags.writeable)
found += 1
print(doubled.run(given)[1])
"""
    assert script(HEAD + text) == ["True 1.0 True", "2.0"]


def test_every_kind_of_array_comes_back(script: Script) -> None:
    text = """
given = [
    np.array(3.5), np.zeros((0, 3)), np.arange(6).reshape(2, 3).T, np.array(["a", "bc"]), np.array([b"x"]),
    np.array([1, "a", None], dtype=object), np.array(["2020-01-01"], dtype="M8[D]"), np.arange(3, dtype=">i4"),
    np.zeros(2, dtype=[("name", "U3"), ("place", "f8", (2,))]),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.ma.array([1, 2], mask=[False, True]),
]
@numbers
def same(values):
    return values
found = same.run(given)
print(all(one.dtype == other.dtype and repr(one) == repr(other) for one, other in zip(given, found)))
print(same.run([np.float32(1.5), np.dtype("i2"), np.random.default_rng(3)])[:2])
rows = [np.linalg.svd(np.eye(2)), np.unique_counts(np.array([1, 1]))]
print([type(one) for one in same.run(rows)] == [type(one) for one in rows], *same.run(rows)[1])
"""
    assert script(HEAD + text) == ["True", "[np.float32(1.5), dtype('int16')]", "True [1] [2]"]


def test_a_type_that_lies_about_memory_is_refused(script: Script) -> None:
    text = """
LIES = [
    ("V8", (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 0)),
    ("V8", (3, "|", None, ("a",), {"a": ("f8", 4)}, 8, 1, 0)),
    ("V8", (3, "|", ("f8", (100,)), None, None, 8, 1, 0)),
    ("V8", (3, "|", ("O", (1,)), None, None, 8, 1, 0)),
    ("V8", (3, "|", None, None, None, 8, 1, 1)),
    ("O", (3, "|", None, None, None, -1, -1, 0)),
]
@numbers
def lies(kind, state):
    import numpy as np
    state = list(state)
    if state[2]:
        state[2] = (np.dtype(state[2][0]), state[2][1])
    if state[4]:
        state[4] = {name: (np.dtype(one), at) for name, (one, at) in state[4].items()}
    class Lie:
        def __reduce__(self):
            return np.dtype, (kind,), tuple(state)
    return Lie()
for kind, state in LIES:
    try:
        print(lies.run(kind, state))
    except kedge.FunctionError as error:
        print("numpy.dtype" in str(error))
"""
    assert script(HEAD + text) == ["True"] * 6
