"""Generator functions: their items come while they go on, and nothing goes on that nobody wants."""

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.contract import pickled
from kedge.errors import UsageError
from kedge.run import record

type Decorate = Callable[..., Any]
type Wait = Callable[[Callable[[], Any]], None]


class Spoilt(Exception):
    pass


def counting(most: int) -> Iterator[int]:
    yield from range(most)


def endless() -> Iterator[int]:
    yield from itertools.count()


def then_asleep(first: int) -> Iterator[int]:
    yield from range(first)
    time.sleep(3600)


def then_failing(first: int) -> Iterator[int]:
    yield from range(first)
    raise Spoilt("after the items")


async def asynchronous(most: int) -> AsyncIterator[int]:
    import asyncio

    for number in range(most):
        await asyncio.sleep(0)
        yield number * number


def waiting(items: Any) -> list[str]:
    """The items that a run has made and nobody has taken."""
    folder = Path(record.get(items._run.id).folder, "workspace", "out", "files", pickled.ITEMS)
    return [name for name in os.listdir(folder) if not name.endswith(".partial")]


def test_items_come_in_order_and_then_it_is_over(decorated: Decorate) -> None:
    items = decorated(counting).run(1000)
    assert iter(items) is items
    assert list(items) == list(range(1000))
    assert list(items) == []
    assert next(items, None) is None
    assert record.get(items._run.id).status == "succeeded"


def test_items_come_while_it_goes_on(decorated: Decorate) -> None:
    with decorated(then_asleep).run(3) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        assert items._run.status == "running"
    assert items._run.status == "cancelled"


def test_no_items_are_none_and_what_a_generator_returns_is_nobodys(decorated: Decorate) -> None:
    def nothing() -> Iterator[int]:
        return 3
        yield

    assert list(decorated(nothing).run()) == []


def test_items_may_be_anything_a_result_may_be(decorated: Decorate) -> None:
    def mixed(given: Any) -> Iterator[Any]:
        yield given
        yield bytearray(10_000_000)
        yield Spoilt("no error here")

    first, second, third = decorated(mixed).run({"a": (1, None)})
    assert first == {"a": (1, None)}
    assert len(second) == 10_000_000
    assert type(third) is Spoilt and third.args == ("no error here",)


def test_it_does_not_run_far_ahead_of_who_takes_the_items(
    decorated: Decorate, wait_for: Wait
) -> None:
    with decorated(endless).run() as items:
        for taken in (1, 100):
            for _ in range(taken):
                next(items)
            wait_for(lambda: len(waiting(items)) >= pickled._AHEAD)
            assert len(waiting(items)) == pickled._AHEAD
        assert next(items) == 101


def test_nor_are_many_large_items_made_ahead(decorated: Decorate, wait_for: Wait) -> None:
    size = pickled._AHEAD_BYTES // 4

    def large() -> Iterator[bytes]:
        for _ in range(8):
            yield bytes(size)

    with decorated(large).run() as items:
        next(items)
        wait_for(lambda: len(waiting(items)) >= 4)
        assert len(waiting(items)) <= 4
        assert len(list(items)) == 7


def test_an_error_comes_after_the_items(decorated: Decorate) -> None:
    items = decorated(then_failing).run(300)
    found: list[int] = []
    with pytest.raises(Spoilt, match="after the items") as raised:
        found.extend(items)
    assert found == list(range(300))
    assert 'raise Spoilt("after the items")' in raised.value.__notes__[0]
    assert list(items) == []


@pytest.mark.parametrize("most", [0, 5])
def test_asynchronous_generators_give_items_too(decorated: Decorate, most: int) -> None:
    assert list(decorated(asynchronous).run(most)) == [number**2 for number in range(most)]


def test_an_asynchronous_generator_that_fails(decorated: Decorate) -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise Spoilt("later")

    items = decorated(fails).run()
    assert next(items) == 1
    with pytest.raises(Spoilt, match="later"):
        next(items)


def test_other_ends_come_after_the_items_too(decorated: Decorate) -> None:
    def exits() -> Iterator[int]:
        yield 1
        sys.exit(3)

    def vanishes() -> Iterator[int]:
        yield 1
        os._exit(0)

    items = decorated(exits).run()
    assert next(items) == 1
    with pytest.raises(kedge.FunctionError, match=r"sys\.exit\(3\)"):
        next(items)
    items = decorated(vanishes).run()
    with pytest.raises(kedge.ContractError, match="ended before"):
        list(items)


def test_a_timeout_ends_it(decorated: Decorate) -> None:
    items = decorated(then_asleep, timeout=2).run(0)
    with pytest.raises(kedge.RunTimeout):
        next(items)


def test_an_item_that_cannot_be_pickled_is_named(decorated: Decorate) -> None:
    def locks() -> Iterator[Any]:
        yield 1
        yield threading.Lock()

    items = decorated(locks).run()
    assert next(items) == 1
    with pytest.raises(kedge.FunctionError, match=r"`_thread\.lock`") as raised:
        next(items)
    assert any("return plain data" in note for note in raised.value.__notes__)
    assert items._run.done()


def test_an_item_of_a_type_that_is_not_taken_ends_the_run(decorated: Decorate) -> None:
    def patterns() -> Iterator[Any]:
        import re

        yield re.compile("a")
        time.sleep(3600)

    items = decorated(patterns).run()
    with pytest.raises(kedge.FunctionError, match=r"`re\._compile`"):
        next(items)
    assert items._run.status == "cancelled"
    assert list(items) == []
    with decorated(patterns, unpickle="any").run() as free:
        assert next(free).pattern == "a"


def test_closing_early_cancels_the_run_and_leaves_nothing(decorated: Decorate) -> None:
    items = decorated(then_asleep).run(2)
    assert next(items) == 0
    items.close()
    items.close()
    assert list(items) == []
    run = record.get(items._run.id)
    assert run.status == "cancelled"
    assert not os.path.exists(os.path.join(run.folder, "workspace"))


def test_who_leaves_the_loop_or_lets_go_cancels_it(decorated: Decorate, wait_for: Wait) -> None:
    runs = []
    for leaves in (True, False):
        items = decorated(then_asleep).run(2)
        runs.append(items._run)
        if leaves:
            for _ in items:
                break
        del items
        gc.collect()
    wait_for(lambda: all(run.done() for run in runs))
    assert [run.status for run in runs] == ["cancelled", "cancelled"]


def test_descriptors_are_given_back(decorated: Decorate) -> None:
    function = decorated(counting)
    list(function.run(3))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        list(function.run(3))
        with function.run(3) as items:
            next(items)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_forked_child_lets_go_of_what_its_parent_still_takes(start: Callable[..., Any]) -> None:
    text = (
        "import kedge, os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"  # that there are threads
        "@kedge.function(name='tested')\n"
        "def counts(): yield from range(3)\n"
        "items = counts.run()\n"
        "print(next(items), flush=True)\n"
        "if not os.fork():\n"
        "    del items\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "print(list(items))\n"
    )
    assert start(text).ended() == (0, "0\n[1, 2]\n", "")


def test_several_go_on_at_once(decorated: Decorate) -> None:
    function = decorated(counting)
    one, other = function.run(500), function.run(500)
    assert list(zip(one, other, strict=True)) == [(number, number) for number in range(500)]


def test_a_method_may_be_a_generator_function(decorated: Decorate) -> None:
    class Stairs:
        steps = 3

        @decorated
        def heights(self) -> Iterator[int]:
            yield from range(self.steps)

    assert list(Stairs().heights.run()) == [0, 1, 2]


def test_one_takes_the_items_of_another_there(decorated: Decorate) -> None:
    inner = decorated(counting)

    def doubled(most: int) -> Iterator[int]:
        for number in inner.run(most):
            yield 2 * number

    assert list(decorated(doubled).run(3)) == [0, 2, 4]
    assert decorated(lambda: sum(inner(4))).run() == 6


def test_what_it_prints_appears(decorated: Decorate, capfd: pytest.CaptureFixture[str]) -> None:
    def says() -> Iterator[int]:
        print("before")
        yield 1
        print("after")

    assert list(decorated(says).run()) == [1]
    assert capfd.readouterr().out == "before\nafter\n"


def test_it_is_neither_submitted_nor_mapped(decorated: Decorate) -> None:
    for function in (counting, asynchronous):
        with pytest.raises(UsageError, match="cannot be submitted") as raised:
            decorated(function).submit(1)
        assert raised.value.hint
        with pytest.raises(UsageError, match="cannot be mapped"):
            decorated(function).map([1])
        with pytest.raises(UsageError, match="cannot be mapped"):
            decorated(function).starmap([(1,)])


def test_a_plain_call_is_the_generator_itself() -> None:
    assert list(kedge.function(counting)(3)) == [0, 1, 2]
