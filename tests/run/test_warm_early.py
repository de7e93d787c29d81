"""A call is answered when nothing of it runs any more, and not only when its process has ended."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.executor.warm.pool import Pool, Taken
from kedge.run.core import Observer, Request, run

MANIFEST = """\
name: early
runtime: {kind: python, version: "3.12"}
resources: {memory_mb: 500, pids: 50, timeout: 60}
functions:
"""
CODE = """\
import ctypes, os, subprocess, sys, threading, time

def returns() -> int:
    open("out/artifacts/a", "w").write("x" * 100_000)
    print("said")
    return 1

def raises() -> int:
    raise ValueError("no")

def exits() -> int:
    os._exit(0)

def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    return 1

def leaves_a_child() -> int:
    if os.fork() == 0:
        time.sleep(100)
    return 1

def waits_for_a_child() -> int:
    subprocess.run([sys.executable, "-c", "import time\\nkept = b'x' * (100 << 20)\\nwhile time.process_time() < 0.4: pass"])
    return 1

def works_in_a_thread() -> int:
    def work():
        while time.thread_time() < 0.4: pass
    one = threading.Thread(target=work)
    one.start()
    one.join()
    return 1

def closes_its_streams() -> int:
    os.close(1)
    os.close(2)
    time.sleep(0.2)
    return 1

def claims_to_be_done() -> int:
    frame, name = sys._getframe(), None
    while frame and not name:
        name = (frame.f_locals.get("order") or {}).get("done")
        frame = frame.f_back
    open("out/data.json", "w").write('{"result": 7}')
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
    os.closerange(0, 20)
    while True:
        if os.fork() == 0:
            while True:
                open("out/artifacts/later", "w").write("x")
"""
FUNCTIONS = [line.split()[1].partition("(")[0] for line in CODE.splitlines() if line[:4] == "def "]


class Noted:
    """A pool with a note of the last fork that it gave."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.last: Taken | None = None
        take = pool.take

        def noting(*arguments: Any) -> Taken:
            self.last = take(*arguments)
            return self.last

        pool.take = noting  # type: ignore[method-assign]

    def was_early(self) -> bool:
        assert self.last is not None
        return self.last.is_leaving


@pytest.fixture
def early(package: Callable[[Path], Any], own_pool: Pool, tmp_path: Path) -> tuple[Any, Noted]:
    """The package of this file in a pool of its own."""
    functions = "".join(f'  {name}: {{handler: "m:{name}"}}\n' for name in FUNCTIONS)
    (tmp_path / "kedge.yml").write_text(MANIFEST + functions)
    (tmp_path / "m.py").write_text(CODE)
    calls = package(tmp_path)
    calls.pool = own_pool
    return calls, Noted(own_pool)


@pytest.mark.parametrize(
    ("function", "is_early"),
    {
        "returns": True,
        "closes_its_streams": False,
        "raises": False,
        "exits": False,
        "leaves_a_thread": False,
        "leaves_a_child": False,
        "waits_for_a_child": False,
    }.items(),
)
def test_only_what_nobody_else_has_a_part_in_is_answered_early(
    early: Any, function: str, is_early: bool
) -> None:
    calls, noted = early
    warm, cold = calls.warm(function), calls.cold(function)
    assert warm.is_warm and warm.told() == cold.told()
    assert noted.was_early() is is_early
    assert (
        calls.warm("returns").kind is None
    )  # whatever that did, its slot serves again or is another


@pytest.mark.parametrize("function", ["returns", "waits_for_a_child", "works_in_a_thread"])
def test_what_was_used_is_what_a_run_of_its_own_uses(early: Any, function: str) -> None:
    calls, _ = early
    warm, cold = (call(function).result.run.measured for call in (calls.warm, calls.cold))
    busy = function != "returns"
    for measured in (warm, cold):
        assert (measured["cpu_s"] > 0.35) is busy
        assert (measured["peak_memory_mb"] > 100) is (function == "waits_for_a_child")
    assert warm["read_bytes"] > 0  # of a short cold run it may not be known
    assert (warm["written_bytes"] >= 100_000) is not busy


def test_who_only_says_that_it_is_done_has_nothing_left_when_its_outputs_are_looked_at(
    early: Any,
) -> None:
    calls, noted = early
    left: list[list[str]] = []

    def look(_folder: str) -> None:
        first = noted.last.first
        with_others = Path(f"/proc/{first}/task/{first}/children")
        left.append(with_others.read_text().split() if with_others.exists() else [])

    for _ in range(30):
        ended = run(
            calls.ready, Request("claims_to_be_done"), Observer(ended=look), None, noted.pool
        )
        assert ended.outputs == {"result": 7}
    assert left == [[]] * 30


def test_an_import_with_odd_names_is_its_own_misfortune(
    package: Callable[[Path], Any], own_pool: Pool, early: Any, tmp_path_factory: Any
) -> None:
    calls, _ = early
    assert calls.warm("returns").is_warm
    keeper = own_pool._keeper
    for number, code in enumerate((
        "ctypes.CDLL(None).prctl(15, b'a\\x0bb\\x85c', 0, 0, 0)",
        "os.close(os.open(b'/tmp/\\xff\\r\\n', os.O_CREAT))\n"
        "kept = mmap.mmap(os.open(b'/tmp/\\xff\\r\\n', os.O_RDWR | os.O_TRUNC), 0) if 0 else None",
        "file = os.open(b'/tmp/\\xff\\r', os.O_CREAT | os.O_RDWR)\nos.truncate(file, 4096)\n"
        "kept = mmap.mmap(file, 4096)\nos.close(file)\nos.unlink(b'/tmp/\\xff\\r')",
        # To the keeper, while it is still being imported; cold there may be nobody.
        "try:\n    os.write(3, b'ready')\nexcept OSError:\n    pass",
    )):  # fmt: skip
        place = tmp_path_factory.mktemp(f"odd{number}")
        (place / "kedge.yml").write_text(
            MANIFEST.replace("early", f"odd{number}") + '  f: {handler: "m:f"}\n'
        )
        (place / "m.py").write_text(
            f"import ctypes, mmap, os\n{code}\ndef f() -> int:\n    return 1\n"
        )
        odd = package(place)
        odd.pool = own_pool
        assert odd.warm("f").outputs == {"result": 1}
        assert calls.warm("returns").is_warm
    assert own_pool._keeper == keeper and os.path.exists(f"/proc/{keeper[0]}")
