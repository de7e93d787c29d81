"""Work beside the watch loop: it is never waited for long, and its result comes once."""

import threading
import time
from collections.abc import Callable

import pytest

from kedge.executor.aside import CLOSE_S, Aside


def eventually[T](take: Callable[[], T | None]) -> T:
    """What `take` gives once it gives something."""
    give_up = time.monotonic() + 30
    while (found := take()) is None:
        assert time.monotonic() < give_up
        time.sleep(0.001)
    return found


def test_a_result_comes_once() -> None:
    aside: Aside[str] = Aside()
    assert aside.take() is None
    assert aside.begin(lambda: "done")
    assert eventually(aside.take) == "done"
    assert aside.take() is None


def test_one_piece_at_a_time_and_nobody_waits_for_it() -> None:
    aside: Aside[str] = Aside()
    go_on = threading.Event()
    assert aside.begin(lambda: str(go_on.wait(60)))
    assert not aside.begin(lambda: "another")
    assert aside.take() is None
    go_on.set()
    assert eventually(aside.take) == "True"
    assert aside.begin(lambda: "another")
    assert eventually(aside.take) == "another"


def test_what_goes_wrong_is_raised_where_the_result_is_fetched() -> None:
    aside: Aside[float] = Aside()
    aside.begin(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        eventually(aside.take)
    assert aside.begin(lambda: 2.0)
    assert eventually(aside.take) == 2.0


def test_closing_waits_for_what_ends_and_gives_up_on_what_hangs() -> None:
    aside: Aside[bool] = Aside()
    assert aside.close()
    go_on = threading.Event()
    aside.begin(lambda: go_on.wait(60))
    begun = time.monotonic()
    assert not aside.close()
    assert time.monotonic() - begun < CLOSE_S + 10
    go_on.set()
    eventually(aside.take)
    assert aside.close()
