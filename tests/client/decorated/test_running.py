"""A decorated function, run: what it takes with it, what it finds there, what comes back."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import os
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import kedge

type Decorate = Callable[..., Any]
type Script = Callable[..., list[str]]

multiplier = 10


@dataclasses.dataclass
class Bolt:
    diameter: float
    grade: "Grade"


class Grade(enum.Enum):
    LOW = "4.6"
    HIGH = "10.9"


class Flags(enum.Flag):
    WET = 1
    HOT = 2


class Point(NamedTuple):
    x: float
    y: float


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass(slots=True)
class Narrow:
    value: int
    inner: "Outer.Inner | None" = None


class Outer:
    class Inner:
        def __eq__(self, other: object) -> bool:
            return type(other) is Outer.Inner

        __hash__ = None  # type: ignore[assignment]


def same(*values: Any, **named: Any) -> Any:
    return values, named


def kinds(*values: Any) -> list[str]:
    return [type(value).__qualname__ for value in values]


@kedge.function(name="tested")
def factorial(number: int) -> int:
    return 1 if number < 2 else number * factorial(number - 1)


@kedge.function(name="tested")
def binomial(number: int, chosen: int) -> int:
    below = list(factorial.map([chosen, number - chosen]))
    return factorial.run(number) // math.prod(below)


async def awaited(value: int) -> int:
    import asyncio

    await asyncio.sleep(0)
    return value + 1


def test_arguments_go_in_and_the_result_comes_back(decorated: Decorate) -> None:
    run = decorated(same).run
    assert run() == ((), {})
    assert run(1, "é", flag=None) == ((1, "é"), {"flag": None})


def test_none_comes_back_for_none(decorated: Decorate) -> None:
    assert decorated(lambda: None).run() is None


def test_it_runs_in_another_process_in_a_place_of_its_own(decorated: Decorate) -> None:
    def told() -> tuple[int, str]:
        return os.getpid(), os.getcwd()

    run = decorated(told).submit()
    process, place = run.result()
    assert (process, place) != (os.getpid(), os.getcwd())
    assert run.record()["executor"] == "sandbox"


def test_a_variable_of_its_module_is_captured_as_it_is_at_the_call(
    decorated: Decorate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = decorated(lambda x: x * multiplier)
    assert scale.run(5) == 50
    monkeypatch.setitem(globals(), "multiplier", 3)
    assert scale.run(5) == 15


def of_classes(value: int) -> list[int]:
    class Outer:
        factor = multiplier

        class Inner:
            factor = 1
            kinds = [Grade.HIGH]  # noqa: RUF012

        def made(self) -> int:
            return self.factor * self.Inner.factor * value

    return [Outer().made(), len(Outer.Inner.kinds)]


def test_what_the_body_of_a_class_within_it_refers_to_travels(decorated: Decorate) -> None:
    assert decorated(of_classes).run(4) == [40, 1]


def test_what_it_closes_over_travels(decorated: Decorate) -> None:
    counted = {"calls": 0}

    def counting(text: str) -> int:
        counted["calls"] += 1
        return counted["calls"] + len(text)

    run = decorated(counting).run
    assert (run("ab"), run("ab")) == (3, 3)
    assert counted == {"calls": 0}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=type(value).__name__)
        for value in (
            Bolt(12.0, Grade.HIGH),
            Flags.WET | Flags.HOT,
            Point(1.0, -0.0),
            Slotted(3),
            Narrow(3, Outer.Inner()),
            1 + 2j,
            b"\0\xff",
            bytearray(b"ab"),
            {1, 2},
            frozenset({"a"}),
            range(2, 9, 3),
            slice(1, None),
            Ellipsis,
            10**400,
            array.array("d", [1.5]),
            collections.OrderedDict(b=1, a=2),
            collections.Counter("abca"),
            collections.deque([1, 2], maxlen=3),
            collections.defaultdict(list, a=[1]),
            types.SimpleNamespace(a=1),
            decimal.Decimal("0.10"),
            fractions.Fraction(1, 3),
            datetime.date(2024, 2, 29),
            datetime.timedelta(minutes=90),
            datetime.datetime(2024, 2, 29, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
            datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
            pathlib.Path("/etc/hosts"),
            uuid.UUID(int=3),
            {"deep": [({"x": (None, True, 1.5)},)]},
        )
    ],
)
def test_a_value_is_the_same_there_and_back(decorated: Decorate, value: Any) -> None:
    (found,), _ = decorated(same).run(value)
    assert type(found) is type(value)
    assert found == value


def test_numbers_that_equal_nothing_and_shared_objects_stay_what_they_are(
    decorated: Decorate,
) -> None:
    shared: list[Any] = [math.nan, -math.inf]
    shared.append(shared)
    (one, other), _ = decorated(same).run(shared, shared)
    assert math.isnan(one[0]) and one[1] == -math.inf
    assert one is other and one[2] is one


def test_classes_of_the_caller_are_what_they_are_inside(decorated: Decorate) -> None:
    given = (Bolt(1.0, Grade.LOW), Grade.LOW, Point(1, 2), [Slotted(1)])
    assert decorated(kinds).run(*given) == ["Bolt", "Grade", "Point", "list"]
    assert decorated(lambda bolt: bolt.grade is Grade.LOW and isinstance(bolt, Bolt)).run(given[0])
    assert decorated(lambda: Bolt).run() is Bolt


def test_a_class_of_a_function_of_the_caller_comes_back_as_itself(decorated: Decorate) -> None:
    class Inner:
        def __init__(self, value: int) -> None:
            self.value = value

    assert type(decorated(lambda: Inner(3)).run()) is Inner
    assert type(decorated(lambda value: value).run(Inner(4))) is Inner


def test_classes_of_one_name_are_told_apart(decorated: Decorate) -> None:
    def made() -> type:
        class One:
            pass

        return One

    classes = [made(), made()]
    (found,), _ = decorated(same, unpickle="any").run([one() for one in classes])
    assert [type(one) for one in found] == classes
    assert decorated(lambda: [one() for one in classes][1].__class__).run() is classes[1]


def test_a_function_calls_itself_and_other_decorated_ones_there(decorated: Decorate) -> None:
    assert factorial.run(10) == 3628800
    assert binomial.run(6, 2) == 15

    @kedge.function(name="tested")
    def where() -> int:
        return os.getpid()

    def processes() -> set[int]:
        mapped = [*where.map(()), *where.starmap([(), ()])]
        return {os.getpid(), where(), where.run(), *mapped}

    assert len(decorated(processes).run()) == 1


def test_calls_within_take_several_columns_and_give_errors_for_results(decorated: Decorate) -> None:
    divide = kedge.function(lambda left, right: left // right)

    def within() -> list[Any]:
        import copy

        found = list(divide.map([6, 8], [2, 4]))
        found += list(copy.deepcopy(divide).starmap([(9, 3)]))
        found += [type(one) for one in divide.map([1], [0], return_exceptions=True)]
        return found

    assert decorated(within).run() == [3, 2, 3, ZeroDivisionError]


def test_decorated_functions_of_a_shipped_module_are_called_there_too(script: Script) -> None:
    tools = (
        "import kedge, os\n"
        "@kedge.function(pip=['numpy'], memory=512)\n"
        "def halved(value): return value / 2, os.getpid()\n"
        "@kedge.function\n"
        "def counted(most): yield from range(most)\n"
    )
    text = (
        "import kedge, os\n"
        "@kedge.function(name='tested', copy=['tools.py'])\n"
        "def uses():\n"
        "    import tools\n"
        "    both = tools.halved(3), tools.halved.run(4), *tools.halved.map([5])\n"
        "    assert {process for _, process in both} == {os.getpid()}\n"
        "    return [value for value, _ in both], list(tools.counted.run(2)), tools.halved.__name__\n"
        "print(uses.run())\n"
    )
    assert script(text, {"tools.py": tools}) == ["([1.5, 2.0, 2.5], [0, 1], 'halved')"]


def test_what_cannot_be_asked_for_within_says_so(decorated: Decorate) -> None:
    with pytest.raises(AttributeError, match="`submit` of a decorated function"):
        decorated(lambda: factorial.submit(3)).run()


def test_methods_call_each_other_there(decorated: Decorate) -> None:
    class Ladder:
        @decorated
        def height(self, steps: int) -> int:
            return steps if steps < 2 else 1 + self.height(steps - 1)

    assert Ladder().height.run(4) == 4


def test_an_asynchronous_function_is_awaited(decorated: Decorate) -> None:
    assert decorated(awaited).run(1) == 2
    both = decorated(lambda: (awaited(1), awaited(2))[0])
    assert both.run() == 2


def test_a_changed_body_is_what_runs(script: Script) -> None:
    text = (
        "import kedge\n"
        "def times(factor): return kedge.function(lambda x: factor * x, name='tested')\n"
        "print([times(factor).run(2) for factor in (1, 2, 3)])\n"
    )
    assert script(text) == ["[2, 4, 6]"]


def test_a_script_may_stand_at_any_path(script: Script, written: Callable[..., Any]) -> None:
    folder = written({'it\'s "größe" 图/helper one.txt': "text"}) / 'it\'s "größe" 图'
    odd = (
        "import kedge\n"
        "@kedge.function(copy=['helper one.txt'])\n"
        "def größe():\n"
        "    with open('helper one.txt') as file:\n"
        "        return file.read()\n"
        "print(größe.run())\n"
    )
    (folder / "größe 'x\".py").write_text(odd)
    text = f"import runpy\nrunpy.run_path({str(folder / 'größe \'x".py')!r}, run_name='__main__')"
    assert script(text) == ["text"]


def test_without_a_file_paths_are_relative_to_the_working_directory(
    program: Callable[..., Any], written: Callable[..., Any]
) -> None:
    text = (
        "import kedge\n"
        "run = kedge.function(lambda: open('data.txt').read(), copy=['data.txt']).run\n"
        "print(run())\n"
    )
    typed = program(text, cwd=written({"data.txt": "here"}))
    assert typed.ended() == (0, "here\n", "")


def test_variables_and_secrets_are_there_and_none_of_the_callers(
    decorated: Decorate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDGE_SECRET_TOKEN", "mellon")
    monkeypatch.setenv("OF_THE_CALLER", "yes")

    def variables() -> dict[str, str]:
        return {
            name: value
            for name, value in os.environ.items()
            if name in ("MODE", "TOKEN", "PASSWORD", "OF_THE_CALLER", "KEDGE_SECRET_TOKEN")
        }

    options = {"env": {"MODE": "fast"}, "secrets": ["TOKEN"]}
    assert decorated(variables, **options).run() == {"MODE": "fast", "TOKEN": "mellon"}
    renamed = decorated(variables, secrets={"PASSWORD": "TOKEN"})
    assert renamed.run() == {"PASSWORD": "mellon"}
    with pytest.raises(kedge.KedgeError, match="the secret `NOT_SET` is not set"):
        decorated(variables, secrets=["NOT_SET"]).run()


def test_limits_are_those_that_were_declared(decorated: Decorate) -> None:
    run = decorated(lambda: 1, cpu=0.5, memory=256, timeout=30).submit()
    assert run.result() == 1
    limits = run.record()["resources"]
    assert (limits["cpu"], limits["memory_mb"], limits["timeout"]) == (0.5, 256, 30)


def test_the_executor_is_the_one_that_was_declared(decorated: Decorate) -> None:
    run = decorated(lambda: 1, executor="process").submit()
    assert (run.result(), run.record()["executor"]) == (1, "process")


def test_names_that_modules_of_kedge_have_too_are_the_functions_own(script: Script) -> None:
    text = (
        "import kedge\n"
        "class Found:\n"
        "    data = 3\n"
        "    def run(self): return self.data\n"
        "found = Found()\n"
        "@kedge.function(name='tested')\n"
        "def read():\n"
        "    kedge.progress(1, 1)\n"
        "    return found.data + found.run()\n"
        "read.run()\n"
        "print(read.run())\n"
    )
    assert script(text) == ["6"]


def test_a_gpu_that_is_asked_for_and_not_given_is_a_notice(
    decorated: Decorate, caplog: pytest.LogCaptureFixture
) -> None:
    assert decorated(lambda: 1, gpu=1).run() == 1
    assert "1 GPU is asked for, and this version of Kedge gives none" in caplog.text
