"""A pool over time: many calls at once, whatever is killed, and nothing of it left or growing."""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kedge.executor import Cancel, cgroups
from kedge.executor.processes import wait_readable
from kedge.executor.warm import forked, messages, mounting, remembered
from kedge.executor.warm.keeper import FAILURES, Keeper
from kedge.executor.warm.pool import Pool
from kedge.executor.warm.states import Box
from kedge.run import core
from kedge.run.core import Request

HERE = Path(__file__).parent
PACKAGES = HERE.parent / "packages"
PATIENCE_S = 30.0  # for something that takes milliseconds, on a machine that tests
GONE_S = 2.0  # for what takes tens of milliseconds where nobody else tests
AT_ONCE = 8


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KEDGE_HOME that no other test uses, so that what is left in it is seen."""
    return tmp_path_factory.mktemp("pool") / "home"


@pytest.fixture
def many(own_home: Path, package: Callable[[str], Any], own_pool: Pool, monkeypatch: Any) -> Any:
    """The package of many calls, in a pool of its own and that home."""
    monkeypatch.setenv("KEDGE_HOME", str(own_home))
    calls = package("warm-many")
    calls.pool = own_pool
    return calls


@pytest.fixture
def left(own_home: Path, groups: SimpleNamespace) -> Iterator["Left"]:
    """What there is besides, seen to be the same after the test."""
    found = Left(own_home, groups)
    yield found


class Left:
    """Processes, control groups, folders and descriptors of this process and its pools."""

    def __init__(self, home: Path, groups: SimpleNamespace) -> None:
        self.home = home
        self.groups = groups
        self.before = self.now()

    def now(self) -> dict[str, Any]:
        return {
            "processes": self.processes(),
            "folders": sorted(os.listdir(self.home / "tmp"))
            if (self.home / "tmp").exists()
            else [],
            "descriptors": len(opened()),
        }

    def processes(self) -> list[int]:
        return sorted(one for one in self.groups.descendants(os.getpid()) if lives(one))

    def of_pool(self, pool: Pool) -> "Tree":
        """The processes of a pool, and its control groups."""
        assert pool._keeper is not None
        return Tree(pool._keeper[0], self.groups)

    def nothing(self) -> None:
        """See that there is no more than before."""
        wait_until(lambda: self.now()["processes"] == self.before["processes"])
        gc.collect()  # a failure and the frames that it came through hold each other
        now = self.now()
        assert now["folders"] == []
        assert now["descriptors"] <= self.before["descriptors"]


class Tree:
    """The processes below a keeper by what they are, and the names of the groups that they are in."""

    def __init__(self, keeper: int, groups: SimpleNamespace) -> None:
        self.keeper = keeper
        self.all = [keeper, *groups.descendants(keeper)]
        self.groups = groups.groups_of(keeper)
        words = {one: cmdline(one) for one in self.all}
        zygotes = [one for one in self.all if b"zygote" in words[one]]
        self.zygote = next(one for one in zygotes if parent(one) not in zygotes)
        self.init = parent(self.zygote)
        self.firsts = [one for one in self.all if parent(one) == self.init and one != self.zygote]
        self.calls = [one for one in zygotes if parent(one) == self.zygote]

    def those(self, name: str) -> list[int]:
        """The processes of a kind."""
        found = getattr(self, f"{name}s" if name in ("first", "call") else name)
        return found if isinstance(found, list) else [found]

    def below(self, name: str) -> list[int]:
        """Those that end with the processes of a kind."""
        all_of_box = [one for one in self.all if one != self.keeper]
        ends = {"keeper": self.all, "first": [*self.firsts, *self.calls], "call": self.calls}
        return ends.get(name, all_of_box)

    def gone(self) -> bool:
        return not any(map(lives, self.all))


def opened() -> list[str]:
    """What this process has open but for the store, which closes what it needs no more when it may."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [one for one in found if "/kedge.db" not in one]


def cmdline(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def parent(process: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_until(true: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.001)
    return time.monotonic() - began


def test_many_calls_at_once_keep_apart(many: Any) -> None:
    def work(number: int) -> Any:
        return number, many.warm("works", number=number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        made = list(threads.map(work, range(56)))
    stamps = set()
    for number, called in made:
        mine = f"{number:06d}"
        kinds = {3: "out_of_memory", 5: "function_error"}
        assert called.is_warm
        assert called.kind == kinds.get(number % 7)
        assert {event["message"] for event in called.progress} <= {mine}
        lines = called.log["stdout"].split()
        if called.kind is None:
            assert lines == [mine, mine]
            assert called.outputs["number"] == number
            assert called.outputs["read"] == [mine] * 3
            assert called.outputs["processes"] == 2
            stamps.add(called.outputs["stamp"])
            artifact = called.result.run.artifacts["mine"]["uri"]
            assert Path(artifact.removeprefix("file://")).read_text() == mine
        elif called.kind == "function_error":
            assert mine in str(called.result.failure)
    assert len(stamps) == 1


def test_calls_at_once_do_not_see_each_others_terminals(many: Any) -> None:
    with waiting(many, "terminals", wait=True) as first:
        assert many.warm("terminals", wait=False).outputs == {"result": ["ptmx"]}
    assert first.kind == "cancelled"


class waiting:  # noqa: N801 - used as a function
    """A call that goes on in a thread for a block, and is cancelled after it; `kind` is that of its failure."""

    def __init__(self, calls: Any, function: str = "waits", **values: Any) -> None:
        self.cancel: Cancel | None = Cancel()
        self.ready = threading.Event()
        self.kind: str | None = None

        def call() -> None:
            request = Request(function, values)
            called = calls.call(request, calls.pool, self.cancel, self.ready.set)
            self.kind = called.kind
            self.cancel = None  # which has descriptors, as a failure's frames may

        self.thread = threading.Thread(target=call)

    def __enter__(self) -> "waiting":
        self.thread.start()
        assert self.ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        if (cancel := self.cancel) is not None:
            cancel.request(force=True)
        self.thread.join(PATIENCE_S)

    def ends(self) -> str | None:
        """By itself: the kind of its failure."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        return self.kind


@pytest.mark.parametrize("victim", ["keeper", "init", "zygote", "first", "call"])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_whatever_is_killed_the_next_call_works(
    many: Any, own_home: Path, left: Any, victim: str, busy: bool
) -> None:
    assert many.warm("other").is_warm
    wait_until(lambda: len(left.of_pool(many.pool).calls) >= 2)
    before = left.of_pool(many.pool)
    with contextlib.ExitStack() as after:
        going = after.enter_context(waiting(many)) if busy else None
        tree = left.of_pool(many.pool)
        for one in tree.those(victim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        took = wait_until(lambda: not any(map(lives, tree.below(victim))))
        print(f"after the kill of the {victim} all had ended within {took * 1000:.0f} ms")
        assert took < GONE_S
        if going is not None:
            assert going.ends() in ("lost", "function_error")
        made = [many.warm("other") for _ in range(3)]
        assert all(called.kind is None for called in made)
        assert made[-1].is_warm
        assert made[-1].notices == ()
    if victim == "keeper":
        core.settle()
    many.pool.close()
    left.nothing()
    assert not left.groups.standing(before.groups | tree.groups)


@pytest.mark.parametrize("function", ["other", "waits"], ids=["idle", "busy"])
def test_a_killed_holder_leaves_nothing(
    own_home: Path, groups: SimpleNamespace, kedge: Any, monkeypatch: Any, function: str
) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(own_home))
    with subprocess.Popen(
        [sys.executable, str(HERE / "holding.py"), str(PACKAGES / "warm-many"), function],
        stdout=subprocess.PIPE,
        process_group=0,
    ) as holder:
        assert holder.stdout is not None
        said = json.loads(holder.stdout.readline())
        assert said.get("warm", said.get("began"))
        below = list(groups.descendants(holder.pid))
        names = groups.groups_of(holder.pid)
        assert len(below) > 5
        holder.kill()
        took = wait_until(lambda: not any(map(lives, below)))
    print(f"{len(below)} processes had ended within {took * 1000:.0f} ms")
    assert took < GONE_S
    runs = kedge("runs", "--json").json
    assert not groups.standing(names)
    assert os.listdir(own_home / "tmp") == []
    if function == "waits":
        assert (runs[0]["status"], runs[0]["failure_kind"]) == ("failed", "lost")
        assert not os.path.exists(os.path.join(runs[0]["folder"], "workspace"))


def test_a_fork_that_is_killed_before_its_call_is_held_to_limits_does_no_harm(
    many: Any, monkeypatch: Any
) -> None:
    def hold(process: int, *_: Any) -> None:
        monkeypatch.setattr(forked.limits, "hold", once)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{process}"))
        os.sched_setaffinity(process, {0})  # as where no control group limits its time

    many.warm("works", number=1)
    once = forked.limits.hold
    monkeypatch.setattr(forked.limits, "hold", hold)
    called = many.warm("works", number=2)
    assert (called.kind, called.outputs["number"]) == (None, 2)


def test_an_answer_that_comes_too_late_is_nobody_elses(many: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(forked, "KILL_PATIENCE_S", 0.1)
    with waiting(many, "terminals", wait=True) as going:
        keeper, _ = many.pool._keeper
        os.kill(keeper, signal.SIGSTOP)
    assert going.kind == "lost"
    os.kill(keeper, signal.SIGCONT)
    for number, kind in ((5, "function_error"), (1, None), (5, "function_error")):
        called = many.warm("works", number=number)
        assert called.is_warm
        assert called.kind == kind
    assert [one["calls"] for one in many.pool.kept()] == [0]


def test_a_keeper_that_was_slow_once_is_no_reason_to_stay_cold(many: Any) -> None:
    assert many.warm("other").is_warm
    keeper, _ = many.pool._keeper
    os.kill(keeper, signal.SIGSTOP)
    try:
        called = many.warm("other", {"timeout": 3})
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert (called.kind, called.is_warm, called.notices) == (None, False, ())
    assert many.warm("other").is_warm


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Keeper]:
    """A keeper in this process, which serves nobody."""
    main, others = messages.pair()
    owner = os.pidfd_open(os.getpid())
    with main, others, open(owner, "rb"):
        keeper = Keeper(main, owner, str(tmp_path))
        with keeper.selector:
            yield keeper


def test_who_cannot_be_answered_does_not_wait_for_it(held: Keeper) -> None:
    mine, theirs = messages.pair()
    with mine, theirs, open(os.devnull) as closed:
        number = closed.fileno()
        closed.close()
        held._answer(theirs, "called", give=(number,))
        for end in (mine, theirs):  # both hear of it
            assert wait_readable(end.fileno(), GONE_S)
        assert messages.receive(mine) is None
        held._hear(theirs)
        assert theirs.fileno() < 0


def test_a_file_that_is_gone_leaves_the_others_closed(tmp_path: Path) -> None:
    before = opened()
    for place in (tmp_path, tmp_path / "gone"):
        wanted = [(str(tmp_path), True), (str(place), False)]
        with contextlib.suppress(OSError), mounting.detached(wanted):
            pass
        assert opened() == before


def test_what_a_keeper_remembers_of_many_keys_has_an_end(
    held: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "MOST", 2)
    mine, theirs = messages.pair()

    def ends(*keys: str, served: bool = False) -> None:
        for key in keys:
            box = held.boxes[key] = Box(key, {"resources": {"cpu": 1, "memory_mb": 64}})
            box.openers, box.has_served = [theirs], served
            held._crashed(box)

    with mine, theirs:
        ends("one", "two", "three")
        assert held.crashes == {"two": 1, "three": 1}
        ends("two", served=True)
        assert held.crashes == {"three": 1}
        ends("three", "three")
        assert list(held.cold) == ["three"]
        ends(*("four", "five") * FAILURES)
        assert list(held.cold) == ["four", "five"]


def test_a_closed_pool_leaves_nothing(many: Any, left: Any) -> None:
    with waiting(many) as going:
        tree = left.of_pool(many.pool)
        assert tree.groups or not cgroups.available().controllers
        many.pool.close()
        assert going.ends() in ("lost", "function_error")
    wait_until(tree.gone)
    left.nothing()
    assert not left.groups.standing(tree.groups)
    assert many.warm("other").kind is None  # cold


def test_a_fork_of_the_holder_does_not_end_what_is_its_parents(many: Any) -> None:
    assert many.warm("other").is_warm
    keeper = many.pool._keeper[0]
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            many.pool.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert many.warm("other").is_warm
    assert many.pool._keeper[0] == keeper


def test_what_files_are_to_be_is_the_callers_choice_of_the_moment(many: Any) -> None:
    for mask in (0o077, 0, 0o077):
        before = os.umask(mask)
        try:
            called = many.warm("mask")
        finally:
            os.umask(before)
        assert called.is_warm
        assert called.outputs == {"result": mask}


def test_a_secret_stays_with_the_function_that_has_it(many: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("KEDGE_SECRET_WARM_TOKEN", "a-word-that-nobody-says")
    knowing, other, again = (many.warm(name) for name in ("secret", "other", "secret"))
    assert knowing.is_warm and other.is_warm and again.is_warm
    assert knowing.outputs["found"] == ["TOKEN", "True"]
    assert other.outputs["found"] == []
    assert knowing.outputs["stamp"] == again.outputs["stamp"] != other.outputs["stamp"]
    monkeypatch.setenv("KEDGE_SECRET_WARM_TOKEN", "another")
    assert many.warm("secret").outputs["found"] == []


def test_what_is_remembered_of_many_keys_has_an_end(many: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(remembered, "MOST", 1)
    secrets = ("one", "two", "one")
    for secret in secrets:  # each is a variable of the box, and makes a key
        monkeypatch.setenv("KEDGE_SECRET_WARM_TOKEN", secret)
        assert many.warm("secret").is_warm
    assert len(many.pool._plans) == 1
    assert len(many.pool.kept()) == 2
    for key in secrets:
        many.pool.note_cold(key, "why")
    assert many.pool.cold == {"one": "why"}


def test_many_calls_leave_nothing_that_grows(many: Any, left: Any) -> None:
    def used() -> dict[str, int]:
        keeper = many.pool._keeper[0]
        tree = left.of_pool(many.pool)
        return {
            "processes": len(tree.all),
            "groups": len(tree.groups),
            "folders": len(left.now()["folders"]),
            "descriptors": left.now()["descriptors"],
            "descriptors of the keeper": len(os.listdir(f"/proc/{keeper}/fd")),
            "KiB": resident("self"),
            "KiB of the keeper": resident(str(keeper)),
        }

    def call(times: int) -> None:
        for number in range(times):
            called = many.warm("works", number=number) if number % 10 == 0 else many.warm("other")
            assert called.is_warm

    call(50)
    before = settled(used)
    call(CALLS)
    after = settled(used)
    print(before, after, sep="\n")
    for name, number in before.items():
        # What the store keeps in memory of its file takes its time to be all there.
        slack = 4096 if name.startswith("KiB") else 0
        assert after[name] <= number + slack, name


CALLS = int(os.environ.get("KEDGE_TEST_WARM_CALLS", "150"))


def resident(process: str) -> int:
    """KiB of memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def settled(used: Callable[[], dict[str, int]]) -> dict[str, int]:
    """What is used once that changes no more: a slot is made ready again after its call."""
    before = used()
    while True:
        time.sleep(0.3)
        now = used()
        if {**now, "KiB": 0} == {**before, "KiB": 0}:
            return now
        before = now
