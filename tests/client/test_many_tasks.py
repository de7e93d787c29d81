"""Many tasks at once: no more of the machine than it has, and each to its own log."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import kedge
from kedge import CommandRuntime, Number, PythonFunctionRuntime, Task
from kedge.client.session import _at_once as at_once
from kedge.run.log import read_log

SOURCE = str(Path(kedge.__file__).parents[1])


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


def said(folder: str) -> bytes:
    return b"".join(data for _, stream, data in read_log(f"{folder}/log") if stream == "stdout")


# Of what it does, only what is asked about goes to its standard output.
MANY = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
from kedge import CommandRuntime, Number, Task

def task(number):
    return Task(runtime=CommandRuntime("echo {n}; echo {n} >&2"), inputs=[Number("n", number)])

async def main():
    return await asyncio.gather(*[task(number).run() for number in range(400)])

for number, ended in enumerate(asyncio.run(main())):
    assert ended.failure is None, ended.failure
    print(number, ended.run.folder)
"""


@pytest.mark.slow
def test_four_hundred_shell_tasks_at_once_with_a_thousand_descriptors(home: Path) -> None:
    environment = os.environ | {"PYTHONPATH": SOURCE}
    command = [sys.executable, "-c", MANY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert len(told) == 400
    assert [said(folder) for _, folder in told] == [f"{number}\n".encode() for number, _ in told]


def test_a_line_of_ten_megabytes_is_kept_whole() -> None:
    made = "head -c 10000000 /dev/zero | tr '\\0' x; echo"
    ended = Task(runtime=CommandRuntime(made)).run_sync()
    assert ended.failure is None
    assert said(ended.run.folder) == b"x" * 10_000_000 + b"\n"


def test_two_event_loops_one_after_the_other_run_the_same_tasks() -> None:
    shell = Task(runtime=CommandRuntime("echo {n}"), inputs=[Number("n", 1)])
    here = Task(runtime=PythonFunctionRuntime(lambda n: n + 1), inputs=[Number("n", 1)])

    async def both() -> list[object]:
        ended = await asyncio.gather(shell.run(), here.run(), shell.run(), here.run())
        return [one.outputs for one in ended]

    for _ in range(2):
        assert asyncio.run(both()) == [{}, {"result": 2}] * 2


def test_no_more_tasks_run_at_once_than_the_machine_has_room_for() -> None:
    lock, going, most = threading.Lock(), 0, 0

    def counted() -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        threading.Event().wait(0.01)
        with lock:
            going -= 1

    async def main() -> None:
        task = Task(runtime=PythonFunctionRuntime(counted))
        await asyncio.gather(*[task.run() for _ in range(200)])

    before = threading.active_count()
    asyncio.run(main())
    assert 1 < most <= at_once()
    assert threading.active_count() - before <= at_once() + 2


def test_tasks_that_wait_for_tasks_of_their_own_do_not_wait_for_each_other() -> None:
    inner = Task(runtime=PythonFunctionRuntime(lambda: 1))

    async def middle() -> int:
        return sum([(await inner.run()).outputs["result"] for _ in range(2)])

    async def outer() -> int:
        task = Task(runtime=PythonFunctionRuntime(middle))
        ended = await asyncio.gather(*[task.run() for _ in range(40)])
        return sum(one.outputs["result"] for one in ended)

    async def main() -> list[int]:
        task = Task(runtime=PythonFunctionRuntime(outer))
        ended = await asyncio.gather(*[task.run() for _ in range(3)])
        return [one.outputs["result"] for one in ended]

    assert asyncio.run(asyncio.wait_for(main(), 120)) == [80, 80, 80]


def test_a_task_that_waits_for_its_turn_can_be_cancelled() -> None:
    gate = threading.Event()
    ran = []

    async def main() -> None:
        blocking = Task(runtime=PythonFunctionRuntime(lambda: gate.wait(60) and None))
        late = Task(runtime=PythonFunctionRuntime(lambda: ran.append(1)))
        first = [asyncio.ensure_future(blocking.run()) for _ in range(32)]
        last = asyncio.ensure_future(late.run())
        await asyncio.sleep(0.1)
        last.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(last, 30)
        assert not gate.is_set()
        gate.set()
        await asyncio.gather(*first)

    asyncio.run(main())
    assert ran == []
