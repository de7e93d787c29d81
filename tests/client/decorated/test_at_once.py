"""Threads, processes and forks that call decorated functions at once, and how they end: interrupted, killed."""

import gc
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kedge
import kedge.home
from kedge.client.decorated import places
from kedge.client.session import session
from kedge.run import core, events, record

type Decorate = Callable[..., Any]
type Wait = Callable[[Callable[[], Any]], None]

SLEEPING = """
import kedge, os, signal, sys, time

@kedge.function(name="{name}")
def quick(value):
    return value + 1

@kedge.function(name="{name}")
def sleeps():
    kedge.progress(1, 2, "asleep")
    time.sleep(3600)

@kedge.function(name="{name}")
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kedge.progress(1, 2, "asleep")
    time.sleep(3600)

@kedge.function(name="{name}")
def counts():
    yield 1
    kedge.progress(1, 2, "asleep")
    time.sleep(3600)

"""


@pytest.fixture
def name() -> str:
    """A name for functions that only this test has, since others run on the same home."""
    return f"only-{uuid.uuid4().hex}"


def asleep(name: str, wait_for: Wait) -> record.Run:
    """The run of a function of that name which has said that it sleeps."""
    found: list[record.Run] = []

    def has_said() -> bool:
        found.extend(run for run in record.list_runs(20, function=name) if says(run))
        return bool(found)

    wait_for(has_said)
    return found[0]


def says(run: record.Run) -> bool:
    return any(event.type == events.PROGRESS for event in events.events(run.id))


def lives(process: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_eight_threads_call_several_functions_at_once(decorated: Decorate) -> None:
    functions = [
        decorated(lambda value: value + 1),
        decorated(lambda value: value * 2, env={"A": "1"}),
        kedge.function(lambda value: str(value), name="third"),
    ]

    def call(number: int) -> list[Any]:
        return [functions[(number + at) % 3].run(number) for at in range(6)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(call, range(8)))
    for number, results in enumerate(found):
        expected = [number + 1, number * 2, str(number)]
        assert results == [expected[(number + at) % 3] for at in range(6)]


def test_threads_that_make_the_first_call_at_once_make_one_package(
    decorated: Decorate, name: str
) -> None:
    function = kedge.function(lambda value: value, name=name)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(function.run, range(8))) == list(range(8))
    assert len({run.source for run in record.list_runs(20, function=name)}) == 1


def test_two_processes_that_want_one_environment_at_once_make_it_once(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    text = (
        "import kedge, sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def version():\n"
        "    from importlib.metadata import version\n"
        "    return version('six')\n"
        "def other():\n"
        "    import six\n"
        "    return six.__name__\n"
        "needs = ['six<1.17', 'iniconfig<2']\n"
        "functions = [kedge.function(one, pip=needs) for one in (version, other)]\n"
        "print('ready')\n"
        "sys.stdin.readline()\n"
        "with ThreadPoolExecutor(4) as threads:\n"
        "    print(sorted(threads.map(lambda at: functions[at % 2].run(), range(4))))\n"
    )
    env = os.environ | {"KEDGE_HOME": str(tmp_path / "home")}
    programs = [start(text, env=env, stdin=-1) for _ in range(2)]
    for program in programs:
        assert program.line() == "ready"
    for program in programs:
        program.stdin.write(b"\n")
        program.stdin.flush()
    for program in programs:
        code, out, err = program.ended()
        assert (code, out) == (0, "['1.16.0', '1.16.0', 'six', 'six']\n"), err
    environments = tmp_path / "home" / "environments"
    made = [one for one in os.listdir(environments) if not one.startswith(".")]
    assert len(made) == 1


def test_a_forked_child_has_runs_of_its_own_and_the_parent_keeps_its(
    start: Callable[..., Any],
) -> None:
    text = SLEEPING.format(name="forked") + (
        "print(quick.run(1), flush=True)\n"
        "run = sleeps.submit()\n"
        "while not run.progress(): time.sleep(0.01)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    print(quick.run(2), list(quick.map([3, 4])), quick.submit(5).result(), flush=True)\n"
        "    sys.exit()\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(status, run.status, quick.run(6), flush=True)\n"
        "run.cancel()\n"
        "try: run.result()\n"
        "except kedge.RunCancelled: print('cancelled', flush=True)\n"
    )
    code, out, err = start(text).ended()
    assert (code, out.splitlines()) == (
        0,
        ["2", "3 [4, 5] 6", "0 running 7", "cancelled"],
    ), err


def test_workers_of_multiprocessing_call_it_too(start: Callable[..., Any]) -> None:
    text = (
        "import kedge, multiprocessing\n"
        "@kedge.function(name='tested')\n"
        "def quick(value): return value + 1\n"
        "def calls(value): return quick.run(value)\n"
        "if __name__ == '__main__':\n"
        "    for way in ('fork', 'spawn'):\n"
        "        with multiprocessing.get_context(way).Pool(2) as pool:\n"
        "            print(pool.map(calls, range(4)))\n"
    )
    code, out, err = start(text).ended()
    assert (code, out) == (0, "[1, 2, 3, 4]\n" * 2), err


@pytest.mark.parametrize(
    "call",
    ["sleeps.run()", "list(sleeps.starmap([(), ()], jobs=2))", "list(counts.run())"],
    ids=["run", "mapped", "generator"],
)
def test_ctrl_c_is_raised_once_the_run_is_gone_in_a_moment(
    start: Callable[..., Any], wait_for: Wait, name: str, call: str
) -> None:
    text = SLEEPING.format(name=name) + (
        "from kedge.client.session import session\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "try:\n"
        f"    {call}\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic(), len(session()._going), before is signal.getsignal(signal.SIGINT))\n"
        "    print(quick.run(1))\n"
    )
    program = start(text)
    run = asleep(name, wait_for)
    began = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)
    code, out, err = program.ended()
    assert code == 0, err
    first, second = out.splitlines()
    moment, rest = first.split(" ", 1)
    assert (rest, second) == ("0 True", "2")
    assert float(moment) - began < 5  # of one second that are promised; the grace period is longer
    assert record.get(run.id).status == "cancelled"


def test_a_second_ctrl_c_ends_what_does_not_listen(
    start: Callable[..., Any], wait_for: Wait, name: str
) -> None:
    text = SLEEPING.format(name=name) + (
        "try: deaf.run()\nexcept KeyboardInterrupt: print('interrupted')\n"
    )
    program = start(text)
    run = asleep(name, wait_for)
    os.killpg(program.pid, signal.SIGINT)
    time.sleep(0.3)  # two of one signal that come together are one
    os.killpg(program.pid, signal.SIGINT)
    code, out, err = program.ended()
    assert (code, out) == (0, "interrupted\n"), err
    assert record.get(run.id).status == "cancelled"


@pytest.mark.parametrize("is_queued", [True, False])
@pytest.mark.parametrize("yields", [True, False])
def test_ctrl_c_before_a_call_is_waited_for_leaves_nothing(
    decorated: Decorate,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Wait,
    name: str,
    is_queued: bool,
    yields: bool,
) -> None:
    def sleeps() -> None:
        time.sleep(3600)

    def counts() -> Iterator[int]:
        yield 1
        time.sleep(3600)

    def call() -> None:
        kedge.function(counts if yields else sleeps, name=name).run()

    def interrupted(work: Callable[[], None]) -> None:
        if is_queued:
            submit(work)
        raise KeyboardInterrupt

    decorated(lambda: 1).run()
    folder = Path(places._folder(kedge.home.folder("tmp"), os.getpid()))
    submit = session().calls.submit
    with monkeypatch.context() as patched:
        patched.setattr(session().calls, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call()
    gc.collect()
    wait_for(lambda: not session()._going and list(folder.iterdir()) == [])
    assert {run.status for run in record.list_runs(20, function=name)} <= {"cancelled"}


@pytest.mark.parametrize(
    "waits",
    [
        "caller = threading.Thread(target=sleeps.run); caller.start(); caller.join()",
        "ThreadPoolExecutor().submit(sleeps.run).result()",
    ],
    ids=["thread", "executor"],
)
def test_ctrl_c_again_ends_the_calls_of_other_threads(
    start: Callable[..., Any], wait_for: Wait, groups: SimpleNamespace, name: str, waits: str
) -> None:
    text = SLEEPING.format(name=name) + (
        f"import threading\nfrom concurrent.futures import ThreadPoolExecutor\n{waits}\n"
    )
    program = start(text)
    run = asleep(name, wait_for)
    held = list(groups.descendants(program.pid))

    def interrupted() -> bool:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGINT)
        time.sleep(0.3)  # two of one signal that come together are one
        return program.poll() is not None

    wait_for(interrupted)
    assert record.get(run.id).status == "cancelled"
    assert not any(map(lives, held))


def test_the_end_of_the_program_cancels_what_goes_on(
    start: Callable[..., Any], wait_for: Wait, groups: SimpleNamespace, name: str
) -> None:
    text = SLEEPING.format(name=name) + (
        "run, items = sleeps.submit(), counts.run()\nnext(items)\nsys.stdin.read()\n"
    )
    program = start(text, stdin=-1)
    asleep(name, wait_for)
    wait_for(lambda: len(record.list_runs(20, function=name)) == 2)
    held = list(groups.descendants(program.pid))
    assert held
    code, _, err = program.ended()
    assert (code, err) == (0, "")
    wait_for(lambda: not any(map(lives, held)))
    assert {run.status for run in record.list_runs(20, function=name)} == {"cancelled"}


@pytest.mark.parametrize(
    "call", ["sleeps.run()", "deaf.run()", "list(counts.run())", "list(sleeps.starmap([(), ()]))"]
)
def test_nothing_is_left_of_a_caller_that_is_killed(
    start: Callable[..., Any],
    wait_for: Wait,
    groups: SimpleNamespace,
    home: Path,
    name: str,
    call: str,
) -> None:
    program = start(SLEEPING.format(name=name) + call + "\n")
    run = asleep(name, wait_for)
    held, theirs = list(groups.descendants(program.pid)), groups.groups_of(program.pid)
    assert held
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    wait_for(lambda: not any(map(lives, held)))
    core.settle()  # as the next call of any function does
    assert record.get(run.id).to_json()["failure_kind"] == "lost"
    assert groups.standing(theirs) == []
    assert str(home / "runs" / run.id) not in Path("/proc/self/mountinfo").read_text()
    # Another process may be at it as well.
    wait_for(lambda: not os.path.exists(os.path.join(run.folder, "workspace")))
    assert kedge.function(lambda: "well", name="tested").run() == "well"


def test_a_call_in_another_thread_ends_with_the_program(
    start: Callable[..., Any], wait_for: Wait, name: str
) -> None:
    text = SLEEPING.format(name=name) + (
        "import threading\n"
        "threading.Thread(target=sleeps.run, daemon=True).start()\n"
        "sys.stdin.read()\n"
    )
    program = start(text, stdin=-1)
    run = asleep(name, wait_for)
    assert program.ended()[0] == 0
    assert record.get(run.id).status == "cancelled"
