"""How it ends: interrupted, at the end of the interpreter, killed, in a forked child."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.run import record

Start = Callable[..., Any]


def test_ctrl_c_cancels_the_call_and_is_raised(program: Start, sleeping: Path) -> None:
    waits = program(
        "import kedge, signal\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "package.area(1)\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "print('ready')\n"
        "try:\n"
        "    package.waits()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', before is signal.getsignal(signal.SIGINT))\n"
        "    print(package.area(3))\n"
    )
    assert waits.line() == "ready"
    run = newest("waits", sleeping)
    os.killpg(waits.pid, signal.SIGINT)
    assert waits.ended() == (0, "interrupted True\n6.0\n", "")
    ended = record.get(run.id)
    assert ended.status == "cancelled"
    assert list(ended.artifacts) == ["asked"]  # it had its grace period


def test_a_second_ctrl_c_ends_a_call_that_does_not_listen(program: Start, sleeping: Path) -> None:
    waits = program(
        "import kedge\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "try:\n"
        "    package.deaf()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    run = newest("deaf", sleeping)
    os.killpg(waits.pid, signal.SIGINT)
    time.sleep(0.3)  # two of one signal that come together are one
    began = time.monotonic()
    os.killpg(waits.pid, signal.SIGINT)
    assert waits.ended()[:2] == (0, "interrupted\n")
    assert time.monotonic() - began < 15
    assert record.get(run.id).status == "cancelled"


def test_ctrl_c_ends_a_map(program: Start, sleeping: Path) -> None:
    waits = program(
        "import kedge\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "try:\n"
        "    list(package.waits.map([{}] * 4, jobs=2))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    run = newest("waits", sleeping)
    os.killpg(waits.pid, signal.SIGINT)
    assert waits.ended() == (0, "interrupted\n", "")
    assert record.get(run.id).status == "cancelled"


@pytest.mark.parametrize(
    "left",
    [
        "run = package.waits.submit()\n",
        "results = package.waits.map([{}, {}], jobs=2)\n"
        "import threading\n"
        "threading.Thread(target=lambda: list(results), daemon=True).start()\n",
        "import threading\nthreading.Thread(target=package.waits, daemon=True).start()\n",
    ],
    ids=["submitted", "mapped", "called in a thread"],
)
def test_the_end_of_the_interpreter_cancels_what_goes_on(
    program: Start, sleeping: Path, left: str
) -> None:
    ends = program(
        f"import kedge, sys\npackage = kedge.load({str(sleeping)!r})\n{left}"
        "print('left')\nsys.stdin.read()\n",
        stdin=-1,
    )
    assert ends.line() == "left"
    run = newest("waits", sleeping)
    held = processes_of(ends.pid)
    assert held
    began = time.monotonic()
    assert ends.ended()[0] == 0
    assert time.monotonic() - began < 15
    assert record.get(run.id).status == "cancelled"
    wait_for_the_end_of(held)


def test_a_thread_calls_after_the_end_of_the_main_thread(program: Start, sleeping: Path) -> None:
    ends = program(
        "import kedge, threading\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "def calls():\n"
        "    threading.main_thread().join()\n"
        "    print(package.area(1), package.area(2), flush=True)\n"
        "    for begin in (package.area.submit, lambda one: list(package.area.map([{'width': one}]))):\n"
        "        try:\n"
        "            begin(3)\n"
        "        except kedge.KedgeError as error:\n"
        "            print(error.__notes__[0][:23], flush=True)\n"
        "threading.Thread(target=calls).start()\n"
    )
    code, out, err = ends.ended()
    assert (code, err) == (0, "")
    first, *others = out.splitlines()  # since Python 3.14 other threads can start some for longer
    assert first == "2.0 4.0"
    assert set(others) <= {"hint: call the function"}


def test_nothing_is_left_of_a_process_that_is_killed(program: Start, sleeping: Path) -> None:
    ends = program(
        f"import kedge\npackage = kedge.load({str(sleeping)!r})\npackage.area(1)\n"
        "print('ready')\npackage.waits()\n"
    )
    assert ends.line() == "ready"
    newest("waits", sleeping)
    held = processes_of(ends.pid)
    assert held
    os.kill(ends.pid, signal.SIGKILL)
    ends.wait()
    wait_for_the_end_of(held)


def test_what_nobody_refers_to_any_more_is_closed(program: Start, sleeping: Path) -> None:
    ends = program(
        "import kedge, os\n"
        "def children():\n"
        "    return open(f'/proc/self/task/{os.getpid()}/children').read().split()\n"
        f"area = kedge.load({str(sleeping)!r}).area\n"
        "print(area(1))\n"
        "del area\n"
        "import time, threading, glob\n"
        "until = time.monotonic() + 10\n"
        "while any(open(one).read() for one in glob.glob('/proc/self/task/*/children')):\n"
        "    assert time.monotonic() < until\n"
        "    time.sleep(0.01)\n"
        "print('nothing')\n"
    )
    assert ends.ended() == (0, "2.0\nnothing\n", "")


def test_a_forked_child_has_runs_of_its_own_and_the_parent_keeps_its(
    program: Start, sleeping: Path
) -> None:
    forks = program(
        "import kedge, os, sys\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "print(package.area(1), flush=True)\n"
        "run = package.waits.submit(seconds=1, says='of the parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    print(package.area(2), package.area.submit(4).result(), flush=True)\n"
        "    sys.exit()\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(status, run.result(), package.area(3), flush=True)\n"
        "sys.stdin.read()\n"
        "package.close()\n",
        stdin=-1,
    )
    said = [forks.line() for _ in range(3)]
    held = processes_of(forks.pid)
    code, _, err = forks.ended()
    assert (code, said) == (0, ["2.0", "4.0 8.0", "0 of the parent 6.0"]), err
    assert held
    wait_for_the_end_of(held)


def test_a_package_that_was_closed_is_closed_in_a_forked_child_too(
    program: Start, sleeping: Path
) -> None:
    forks = program(
        "import kedge, os\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "package.close()\n"
        "if not os.fork():\n"
        "    try:\n"
        "        print(package.area(2), flush=True)\n"
        "    except kedge.KedgeError as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert forks.ended() == (0, "the package was closed\n", "")


def test_a_run_is_waited_for_and_cancelled_only_in_the_process_that_submitted_it(
    program: Start, sleeping: Path
) -> None:
    forks = program(
        "import asyncio, kedge, os\n"
        f"package = kedge.load({str(sleeping)!r})\n"
        "run = package.waits.submit(seconds=1, says='of the parent')\n"
        "async def waits():\n"
        "    await run\n"
        "if not os.fork():\n"
        "    for attempt in (run.result, run.cancel, lambda: asyncio.run(waits())):\n"
        "        try:\n"
        "            print(attempt(), flush=True)\n"
        "        except kedge.KedgeError as error:\n"
        "            print('submitted it' in str(error), error.__notes__[0][:5], flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(run.result())\n"
    )
    code, out, err = forks.ended()
    assert (code, out) == (0, "True hint:\n" * 3 + "of the parent\n"), err


def newest(function: str, source: Path) -> record.Run:
    """The newest run of a function, once its code has said that it works."""
    from kedge.run import events

    until = time.monotonic() + 60
    while time.monotonic() < until:
        for run in record.list_runs(50, function=function):
            told = [event.type for event in events.events(run.id)]
            if run.source == str(source) and events.PROGRESS in told:
                return run
        time.sleep(0.01)
    raise AssertionError("it has not begun")


def processes_of(process: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    parents: dict[int, list[int]] = {}
    for one in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{one}/stat").read_text()
        except OSError:
            continue
        parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(one))
    found = [process]
    for one in found:
        found += parents.get(one, [])
    return found[1:]


def wait_for_the_end_of(processes: list[int]) -> None:
    """Until none of them lives, which takes no more than a moment."""
    until = time.monotonic() + 5
    while any(map(lives, processes)):
        assert time.monotonic() < until
        time.sleep(0.01)


def lives(process: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
