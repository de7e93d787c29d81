"""Signatures read inside the function's own Python, on every version."""

import json
import re
from typing import Any

import pytest

NUMBER = {"type": "number"}
FILE = {"type": "string", "format": "binary"}

SHAPES = """
    from __future__ import annotations

    import collections
    import dataclasses
    import datetime as dt
    import decimal
    import enum
    import os
    import typing
    from pathlib import Path
    from typing import Any, Dict, List, Literal, NamedTuple, NewType, Optional, Tuple, TypedDict, Union

    import kedge

    if typing.TYPE_CHECKING:
        from fractions import Fraction

    Name = NewType("Name", str)
    Pair = Tuple[float, float]
    Tree = Dict[str, "Tree"]


    class Grade(enum.Enum):
        MILD = "S235"
        STRONG = "S355"


    class Level(enum.IntEnum):
        LOW = 1
        HIGH = 2


    class Odd(enum.Enum):
        A = (1, 2)
        B = object()


    @dataclasses.dataclass
    class Bolt:
        \"\"\"A bolt.

        Attributes:
            diameter: Nominal diameter.
        \"\"\"

        diameter: float
        grade: Grade = Grade.MILD
        tags: list[str] = dataclasses.field(default_factory=list)


    class Point(NamedTuple):
        x: float
        y: float = 0.5


    class Limits(TypedDict, total=False):
        low: float
        high: float


    class Node(TypedDict):
        value: int
        children: list[Node]


    class Special(float):
        pass


    def all(
        a: int, b: float, c: str, d: bool, e: None, f: Any, g: object,
        h: list[float], i: List[int], j: list, k: dict[str, int], l: dict, m: Dict[str, Any],
        n: tuple[int, ...], o: tuple[float, float, float], p: tuple[int, str], q: set[int],
        r: frozenset, s: Optional[float], t: int | None, u: int | str | None, v: int | float,
        w: Literal["x", 1, None], x: Grade, y: Level, z: Odd,
        aa: Bolt, ab: Point, ac: Limits, ad: Node, ae: Name, af: Pair, ag: Tree,
        ah: dt.date, ai: dt.datetime, aj: dt.timedelta, ak: decimal.Decimal, al: Fraction,
        am: Path, an: list[Path], ao: os.PathLike, ap: kedge.File, aq: kedge.File["step", ".IGES"],
        ar: kedge.Folder, at: Path | None, au: str | Path, av: Special, aw: dict[int, float],
        ax: typing.Sequence[int], ay: collections.deque[int], az: list[list[float]], ba: Union[int, str], bb: typing.Union[Path, None],
    ) -> dict: ...
"""

EXPECTED: dict[str, Any] = {
    "a": {"type": "integer"},
    "b": NUMBER,
    "c": {"type": "string"},
    "d": {"type": "boolean"},
    "e": {"type": "null"},
    "f": {},
    "g": {},
    "h": {"type": "array", "items": NUMBER},
    "i": {"type": "array", "items": {"type": "integer"}},
    "j": {"type": "array"},
    "k": {"type": "object", "additionalProperties": {"type": "integer"}},
    "l": {"type": "object"},
    "m": {"type": "object"},
    "n": {"type": "array", "items": {"type": "integer"}},
    "o": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
    "p": {
        "type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}],
        "items": False, "minItems": 2, "maxItems": 2,
    },
    "q": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "r": {"type": "array", "uniqueItems": True},
    "s": {"anyOf": [NUMBER, {"type": "null"}]},
    "t": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "u": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
    "v": NUMBER,
    "w": {"enum": ["x", 1, None]},
    "x": {"enum": ["S235", "S355"], "x-enum-names": ["MILD", "STRONG"]},
    "y": {"enum": [1, 2], "x-enum-names": ["LOW", "HIGH"]},
    "z": {"enum": ["A", "B"], "x-enum-names": ["A", "B"]},
    "aa": {
        "type": "object", "additionalProperties": False, "required": ["diameter"],
        "properties": {
            "diameter": {"type": "number", "description": "Nominal diameter."},
            "grade": {"enum": ["S235", "S355"], "x-enum-names": ["MILD", "STRONG"], "default": "S235"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    },
    "ab": {
        "type": "object", "additionalProperties": False, "required": ["x"],
        "properties": {"x": NUMBER, "y": {"type": "number", "default": 0.5}},
    },
    "ac": {
        "type": "object", "additionalProperties": False,
        "properties": {"low": NUMBER, "high": NUMBER},
    },
    "ad": {
        "type": "object", "additionalProperties": False, "required": ["value", "children"],
        "properties": {"value": {"type": "integer"}, "children": {"type": "array"}},
    },
    "ae": {"type": "string"},
    "af": {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2},
    "ag": {"type": "object"},
    "ah": {"type": "string", "format": "date"},
    "ai": {"type": "string", "format": "date-time"},
    "aj": {"type": "string", "format": "duration"},
    "ak": NUMBER,
    "al": NUMBER,
    "am": FILE,
    "an": {"type": "array", "items": FILE},
    "ao": FILE,
    "ap": FILE,
    "aq": {**FILE, "x-extensions": ["step", "iges"]},
    "ar": {**FILE, "x-type": "Folder"},
    "at": FILE,
    "au": FILE,
    "av": NUMBER,
    "aw": {"type": "object", "additionalProperties": NUMBER},
    "ax": {"type": "array", "items": {"type": "integer"}},
    "ay": {"type": "array", "items": {"type": "integer"}},
    "az": {"type": "array", "items": {"type": "array", "items": NUMBER}},
    "ba": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "bb": FILE,
}  # fmt: skip
CONVERTED = [
    "n",
    "o",
    "p",
    "q",
    "r",
    "x",
    "y",
    "z",
    "aa",
    "ab",
    "af",
    "ah",
    "ai",
    "aj",
    "ak",
    "al",
    "av",
    "aw",
    "ay",
]


def check_shapes(described: dict[str, Any]) -> None:
    assert described["inputs"]["properties"] == EXPECTED
    assert described["inputs"]["required"] == [
        name for name in EXPECTED if name not in ("at", "bb")
    ]
    assert described["inputs"]["additionalProperties"] is False
    assert described["convert"] == CONVERTED
    assert described["problems"] == []
    warned = {warning["path"] for warning in described["warnings"]}
    assert warned == {"ad.children", "ag"}
    assert described["outputs"] == {"type": "object", "additionalProperties": True}


def test_every_type_has_the_same_schema_on_every_python(everywhere: Any) -> None:
    check_shapes(everywhere.write(shapes=SHAPES).describe("shapes:all")["shapes:all"])


def test_source_alone_gives_the_same_schemas(workspace: Any) -> None:
    from kedge.contract.runner import describe_static

    workspace.write(shapes=SHAPES)
    check_shapes(describe_static(str(workspace.root), "shapes:all"))


def one(workspace: Any, source: str, name: str = "f") -> dict[str, Any]:
    """The description by import, which that by source must equal."""
    from kedge.contract.runner import describe_static

    workspace.write(module=source)
    described: dict[str, Any] = workspace.describe("module:" + name)["module:" + name]
    static = describe_static(str(workspace.root), "module:" + name)
    for part in ("inputs", "outputs", "description", "convert", "problems"):
        assert without_words(static[part]) == without_words(described[part])
    return described


def without_words(part: Any) -> Any:
    """Descriptions without the defaults in them: source spells `Path("x")`, the object reads `x`."""
    return re.sub(r"\(default: .*?\)\"", '"', json.dumps(part).replace("\\'", ""))


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        ("", {"type": "object", "additionalProperties": True}),
        ("-> dict", {"type": "object", "additionalProperties": True}),
        ("-> 'typing.Mapping[str, typing.Any]'", {"type": "object", "additionalProperties": True}),
        ("-> object", {"type": "object", "additionalProperties": True}),
        ("-> typing.Any", {"type": "object", "additionalProperties": True}),
        ("-> 'Nowhere'", {"type": "object", "additionalProperties": True}),
        ("-> None", {"type": "object", "properties": {}, "additionalProperties": False}),
        ("-> typing.Dict[str, float]", {"type": "object", "additionalProperties": NUMBER}),
        ("-> float", {"result": NUMBER}),
        ("-> typing.List[int]", {"result": {"type": "array", "items": {"type": "integer"}}}),
        ("-> Path", {"result": FILE}),
        ("-> typing.List[Path]", {"result": {"type": "array", "items": FILE}}),
        ("-> typing.Tuple[int, int]",
         {"result": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}}),
        ("-> Report", {"area": NUMBER, "plot": FILE}),
        ("-> Point", {"x": NUMBER, "y": {"type": "number", "default": 0.0}}),
        ("-> 'typing.Awaitable[float]'", {"result": NUMBER}),
    ],
)  # fmt: skip
def test_the_return_annotation_declares_the_outputs(
    workspace: Any, annotation: str, outputs: dict[str, Any]
) -> None:
    source = f"""
        import typing
        from pathlib import Path

        class Report(typing.TypedDict):
            area: float
            plot: typing.Optional[Path]

        class Point(typing.NamedTuple):
            x: float
            y: float = 0.0

        def f(){annotation}: ...
    """
    described = one(workspace, source)["outputs"]
    if "type" in outputs:
        assert described == outputs
    else:
        assert described["properties"] == outputs
        assert described["additionalProperties"] is False
        assert described["required"] == [name for name in outputs if name != "plot"]


def test_an_optional_file_without_a_default_is_not_required(workspace: Any) -> None:
    described = one(
        workspace,
        """
        from __future__ import annotations
        from pathlib import Path

        def f(a: Path | None, b: list[Path] | None, c: Path = Path("x.csv"), d: Path = None): ...
        """,
    )
    assert "required" not in described["inputs"]
    properties = described["inputs"]["properties"]
    assert properties["a"] == FILE and properties["d"] == FILE
    assert properties["c"]["description"].startswith("(default:")
    assert "default" not in properties["c"]


def test_metadata_is_read_by_duck_type(workspace: Any) -> None:
    described = one(
        workspace,
        """
        from dataclasses import dataclass
        from typing import Annotated, List, Optional

        from kedge import File, Unit
        from pathlib import Path

        @dataclass
        class Interval:
            ge: object = None
            lt: object = None

        @dataclass
        class Len:
            min_length: int = 0
            max_length: object = None

        def f(
            a: Annotated[float, Unit("mm"), "Width", Interval(ge=0, lt=10.5)],
            b: Annotated[Optional[float], Unit("MPa")] = None,
            c: Annotated[List[int], Len(min_length=1, max_length=5)] = (),
            d: Annotated[str, Len(min_length=2)] = "xx",
            e: Annotated[Path, File["pdf"]] = None,
            g: Annotated[float, Interval(ge=float("nan"))] = 1.0,
        ): ...
        """,
    )
    properties = described["inputs"]["properties"]
    assert properties["a"] == {
        "type": "number", "x-unit": "mm", "description": "Width",
        "minimum": 0, "exclusiveMaximum": 10.5,
    }  # fmt: skip
    assert properties["b"] == {
        "anyOf": [{"type": "number", "x-unit": "MPa"}, {"type": "null"}], "default": None
    }  # fmt: skip
    assert (properties["c"]["minItems"], properties["c"]["maxItems"]) == (1, 5)
    assert properties["d"]["minLength"] == 2 and properties["d"]["default"] == "xx"
    assert properties["e"] == {**FILE, "x-extensions": ["pdf"]}
    assert properties["g"] == {"type": "number", "default": 1.0}


def test_defaults_become_schema_defaults_or_words(workspace: Any) -> None:
    described = one(
        workspace,
        """
        import math
        from enum import Enum

        class Grade(Enum):
            MILD = "S235"

        def f(a: int = 3, b: list = [1, 2], c: Grade = Grade.MILD, d: float = None, e=-1.5,
              g: float = math.inf): ...
        """,
    )["inputs"]
    properties = described["properties"]
    assert "required" not in described
    assert properties["a"]["default"] == 3
    assert properties["b"]["default"] == [1, 2]
    assert properties["c"]["default"] == "S235"
    assert properties["d"] == NUMBER
    assert properties["e"] == {"default": -1.5}
    assert "default" not in properties["g"] and "inf" in properties["g"]["description"]


def test_keywords_allow_extra_inputs_and_nameless_parameters_are_refused(workspace: Any) -> None:
    assert one(workspace, "def f(a, **more): ...")["inputs"]["additionalProperties"] is True
    typed = one(workspace, "def f(a, *, b: int = 0, **more: float): ...")
    assert typed["inputs"]["additionalProperties"] == NUMBER
    star, positional = one(workspace, "def f(a, /, *rest): ...")["problems"][::-1]
    assert "`*rest`" in star["message"] and star["hint"]
    assert "`a` is positional-only" in positional["message"] and "/" in positional["hint"]


def test_one_unreadable_annotation_harms_no_other(everywhere: Any) -> None:
    everywhere.write(
        module="""
        from typing import Callable, Iterator

        def f(a: "Nowhere", b: "int | None", c: "not an expression", d: Callable, e: "list[float]", g,
              h: "list[Nowhere]", i: Iterator[int], j: "3 + 4"): ...
        """
    )
    described = everywhere.describe("module:f")["module:f"]
    properties = described["inputs"]["properties"]
    assert properties["b"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert properties["e"] == {"type": "array", "items": NUMBER}
    assert properties["h"] == {"type": "array"}
    warned = {warning["path"]: warning["message"] for warning in described["warnings"]}
    assert set(warned) == {"a", "c", "d", "g", "h", "i", "j"}
    assert all(properties[name] == {} for name in set(warned) - {"h"})
    assert "`Nowhere` is not defined" in warned["a"]


def test_forms_without_their_types_say_nothing(everywhere: Any) -> None:
    """Bare `Union` and its like: on 3.14 it is a class, and on all of them some forms' classes are."""
    everywhere.write(
        module="""
        import typing, types
        from typing import *

        def f(a: Union, b: Literal, c: Optional, d: type(List[int]), e: type(Union[int, str]),
              g: getattr(types, "UnionType", Union), h: getattr(types, "GenericAlias", Union),
              i: "Union", j: "Literal", k: Callable, l: Generic, m: ClassVar, n: ForwardRef,
              o: typing, p: list, q: List, r: dict, s: Tuple, t: Optional[int]): ...

        def given(a: Union, b: Literal, g: getattr(types, "UnionType", Union), q: List):
            return {"as_it_came": [a, b, g, q]}
        """
    )
    described = everywhere.describe("module:f")["module:f"]
    properties = described["inputs"]["properties"]
    assert properties.pop("t") == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert [properties.pop(name)["type"] for name in "pqrs"] == [
        "array",
        "array",
        "object",
        "array",
    ]
    assert all(one == {} for one in properties.values())
    assert {one["path"] for one in described["warnings"]} == set(properties)
    values = {"a": 1, "b": "x", "g": None, "q": [2]}
    came = everywhere.result("module:given", values, convert=sorted(values))
    assert came == {"as_it_came": [1, "x", None, [2]]}


def test_annotations_are_not_evaluated_on_3_14_either(everywhere: Any) -> None:
    """Without the future import: what the version evaluates at definition must exist, on 3.14 nothing."""
    everywhere.write(
        module="""
        import sys
        from typing import TYPE_CHECKING, TypedDict, NamedTuple
        from dataclasses import dataclass

        if TYPE_CHECKING:
            from decimal import Decimal

        if sys.version_info >= (3, 14):
            @dataclass
            class Data:
                a: Decimal
                b: int

            class Row(NamedTuple):
                a: Decimal
                b: int

            class Typed(TypedDict):
                a: Decimal
                b: Missing

            def f(data: Data, row: Row, typed: Typed, late: list[Later], no: Missing) -> Decimal: ...

            class Later(TypedDict):
                x: int
        else:
            def f(late: "list[Later]") -> "Decimal": ...

            class Later(TypedDict):
                x: int
        """
    )
    described = everywhere.describe("module:f")["module:f"]
    properties = described["inputs"]["properties"]
    assert properties["late"]["items"]["properties"] == {"x": {"type": "integer"}}
    assert described["outputs"]["properties"] == {"result": NUMBER}
    if "data" in properties:
        for name in ("data", "row"):
            assert properties[name]["properties"] == {"a": NUMBER, "b": {"type": "integer"}}
        assert properties["typed"]["properties"] == {"a": NUMBER, "b": {}}
        assert properties["no"] == {}


def test_newer_typing_is_read_where_it_exists(workspace: Any) -> None:
    described = one(
        workspace,
        """
        from typing import Literal, NotRequired, Required, TypedDict

        type Vector = list[float]
        type Json = dict[str, Json] | list[Json] | str | None

        class Base(TypedDict, total=False):
            a: Required[int]
            b: "NotRequired[str]"

        class Derived(Base):
            c: "NotRequired[int]"
            d: int

        def f[T: float](v: Vector, json: Json, d: Derived, t: T) -> Derived: ...
        """,
    )
    properties = described["inputs"]["properties"]
    assert properties["v"] == {"type": "array", "items": NUMBER}
    assert properties["json"]["anyOf"][0] == {"type": "object"}
    assert properties["d"]["required"] == ["a", "d"]
    assert described["outputs"]["required"] == ["a", "d"]
    assert properties["t"] in (NUMBER, {})


GOOGLE = '''
    """Sizes a bolt.

    By the book.

    Args:
        diameter (float, optional): Nominal diameter,
            in mm: without thread.
        *load: The load.
        grade (Dict[str, Tuple[int]]): See: table 3.

    Returns:
        float: The stress.

    Raises:
        ValueError: never: ever.
    """
'''
NUMPY = '''
    """
    Sizes a bolt.

    By the book.

    Parameters
    ----------
    diameter : float, optional
        Nominal diameter,
        in mm: without thread.
    load, other : float
        The load.
    grade
        See: table 3.

    Returns
    -------
    float
        The stress.

    Notes
    -----
    grade : nothing
    """
'''
SPHINX = '''
    """Sizes a bolt.

    By the book.

    :param float diameter: Nominal diameter,
        in mm: without thread.
    :type diameter: float
    :param load: The load.
    :param grade: See: table 3.
    :raises ValueError: never
    :returns: The stress.
    :rtype: float
    """
'''


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_descriptions_come_from_docstrings(workspace: Any, docstring: str) -> None:
    workspace.write(
        {"module.py": f"def f(diameter: float, load: float, grade=0) -> float:{docstring}"}
    )
    described = workspace.describe("module:f")["module:f"]
    properties = described["inputs"]["properties"]
    assert described["description"] == "Sizes a bolt.\n\nBy the book."
    assert properties["diameter"]["description"] == "Nominal diameter, in mm: without thread."
    assert properties["load"]["description"] == "The load."
    assert properties["grade"]["description"] == "See: table 3."
    result = described["outputs"]["properties"]["result"]
    assert result["description"].endswith("The stress.")


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("module:Bolt", "a class"),
        ("module:Bolt.stress", "a method"),
        ("module:half", "a partial"),
        ("module:twice", "a lambda"),
        ("module:root", "a built-in function"),
        ("module:bound", "a method"),
        ("module:callable_object", "a Bolt"),
        ("module:number", "a int"),
        ("module:nowhere", "has no `nowhere`"),
        ("module", "module:function"),
    ],
)
def test_what_is_no_function_is_refused(workspace: Any, handler: str, words: str) -> None:
    workspace.write(
        module="""
        import functools, math

        class Bolt:
            def stress(self): ...
            def __call__(self): ...

        half = functools.partial(pow, 2)
        twice = lambda x: 2 * x
        root = math.sqrt
        bound = Bolt().stress
        callable_object = Bolt()
        number = 3
        """
    )
    described = workspace.describe(handler)[handler]
    assert words in described["problems"][0]["message"]
    assert described["problems"][0]["hint"]
    ran = workspace.run(handler)
    assert ran.code == 1 and words in ran.error["error"] and ran.error["type"] == "HandlerError"


def test_decorated_functions_pass(workspace: Any) -> None:
    workspace.write(
        module="""
        import functools

        import kedge

        def log(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs)
            return wrapper

        @log
        def logged(x: int) -> int: return x
        @functools.lru_cache(maxsize=None)
        def cached(x: int) -> int: return x
        @kedge.function
        def bare(x: int) -> int: return x
        @kedge.function(pip=["numpy"], timeout=3)
        def marked(x: int) -> int: return x
        """
    )
    for described in workspace.describe(
        *(f"module:{n}" for n in ("logged", "cached", "bare", "marked"))
    ).values():
        assert described["inputs"]["properties"] == {"x": {"type": "integer"}}
        assert not described["problems"]


def test_hostile_modules_get_an_answer_or_a_clear_failure(workspace: Any) -> None:
    workspace.write(
        exits="import sys\nsys.exit(0)",
        raises="1 / 0",
        broken="def f(:\n",
        missing="import nowhere_at_all",
        loud="print('x' * 1_000_000)\ndef f(a: int): ...",
        moves="import os\nos.chdir('/')\ndef f(a: int): ...",
        after="def f(a: int): ...",
        lingers="""
        import threading, time
        threading.Thread(target=time.sleep, args=(3600,)).start()
        def f(a: int): ...
        """,
        closes="import os\nos.close(1); os.close(2)\ndef f(a: int): ...",
        traceback="def f(a: int): ...",
        surrogate="raise ValueError('\\udc80')",
    )
    names = [
        "exits",
        "raises",
        "broken",
        "missing",
        "loud",
        "moves",
        "after",
        "lingers",
        "traceback",
        "surrogate",
        "closes",
        "nowhere",
    ]
    described = {
        n.partition(":")[0]: d for n, d in workspace.describe(*(f"{n}:f" for n in names)).items()
    }
    assert described["exits"]["error"]["type"] == "SystemExit"
    assert "sys.exit(0) while its module was imported" in described["exits"]["error"]["error"]
    assert described["raises"]["error"]["type"] == "ZeroDivisionError"
    assert "runner" not in described["raises"]["error"]["traceback"]
    assert 'raises.py", line 1' in described["raises"]["error"]["traceback"]
    assert described["broken"]["error"]["type"] == "SyntaxError"
    assert "requirements" in described["missing"]["error"]["hint"]
    assert "nowhere.py" in described["nowhere"]["error"]["hint"]
    for name in ("loud", "moves", "after", "lingers", "closes"):
        assert described[name]["inputs"]["properties"] == {"a": {"type": "integer"}}
