"""Runs that serve at a port of this machine, in the sandbox and without one."""

import os
import runpy
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kedge.errors import TaskError, Unavailable, UsageError
from kedge.executor import executors
from kedge.executor.warm.pool import Pool
from kedge.run import events, record
from kedge.run.core import Request, run
from kedge.task import Published

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS / "packages" / "service"
SERVING = SimpleNamespace(**runpy.run_path(str(TESTS / "support" / "serving.py")))
QUICK_S = 4.0  # less than the grace period, after which it would have been killed


@pytest.fixture(params=["sandbox", "process"])
def executor(request: pytest.FixtureRequest) -> str:
    """Each executor that shares this machine's network."""
    state = executors.get(request.param)().usable()
    if not state.ok:
        pytest.skip(state.reason)
    kind: str = request.param
    return kind


@pytest.fixture
def service(
    shared_home: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> Iterator[Callable[..., Any]]:
    """Makes services; none goes on after the test."""
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    made: list[Any] = []

    def make(port: int = 0, pool: Pool | None = None) -> Any:
        made.append(SERVING.Service(PACKAGE, executor, port, pool))
        return made[-1]

    yield make
    for one in made:
        one.cancel.request(force=True)
        if one.thread.ident is not None:
            one.thread.join()


def test_it_is_reached_once_it_is_said_to_answer_and_that_is_said_once(service: Any) -> None:
    serves = service()
    serves.begin("serve", after=0.5)
    assert serves.answer() == b"served"
    assert serves.notices[-1] == f"port {serves.port} is served with this machine's network"
    ended = serves.stop()
    assert ended.warnings == tuple(serves.notices)
    assert len(serves.answers) == 1
    assert [one.type for one in events.events(ended.id)].count(events.READY) == 1


def test_a_service_that_is_asked_to_stop_goes_at_once_and_its_port_is_free(service: Any) -> None:
    serves = service()
    serves.begin("serve")
    serves.answer()
    began = time.monotonic()
    assert serves.stop().failure_kind == "cancelled"
    assert time.monotonic() - began < QUICK_S
    assert SERVING.is_free(serves.port)


def test_a_service_that_ends_gives_its_value(service: Any) -> None:
    serves = service()
    assert serves.run("last-word").outputs == {"result": "over"}
    assert serves.answers == [b"served"]


def test_nobody_is_told_that_what_never_served_answers(service: Any) -> None:
    serves = service()
    assert serves.run("gives-up").outputs == {"result": f"not at {serves.port}"}
    assert serves.answers == []


@pytest.mark.parametrize("executor", ["sandbox"], indirect=True)
def test_a_service_is_never_a_fork_of_a_warm_process(service: Any, own_pool: Pool) -> None:
    serves = service(pool=own_pool)
    serves.run("gives-up")
    assert own_pool.kept() == []
    run(serves.ready, Request("gives-up", {"port": 1}), pool=own_pool)  # it would be, but for that
    assert own_pool.kept() != []


def test_nothing_is_begun_at_a_port_that_is_in_use(service: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serves = service(taken.getsockname()[1])
        before = len(record.list_runs(10_000, function="serve"))
        with pytest.raises(
            Unavailable, match=rf"port {serves.port} of 127.0.0.1 is in use"
        ) as error:
            serves.run("serve")
        assert len(record.list_runs(10_000, function="serve")) == before
        hint = str(error.value.hint)
        assert f"process {os.getpid()}" in hint
        other = int(hint.partition("give another port (")[2].split()[0])
        assert SERVING.is_free(other)
    assert serves.notices == []


@pytest.mark.parametrize(
    ("published", "words"),
    [
        (Published(0), "0 is no port"),
        (Published(65536), "65536 is no port"),
        (Published(8000, "nowhere.example"), "it is no IP address"),
        (Published(8000, "192.0.2.1"), "'192.0.2.1' cannot be served at"),
    ],
)
def test_what_is_no_place_to_serve_at_is_refused(
    service: Any, published: Published, words: str
) -> None:
    serves = service()
    serves.published = published
    with pytest.raises(UsageError, match=words):
        serves.run("serve")


def test_a_port_that_is_roots_is_refused_outside_containers(service: Any) -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        first = int(file.read())
    if first == 0:
        pytest.skip("every port is everybody's here")
    serves = service(first - 1)
    with pytest.raises(TaskError, match=f"those below {first} are root's"):
        serves.run("serve")


def test_nothing_is_left_of_a_service_whose_caller_is_killed(service: Any, executor: str) -> None:
    service()  # makes its environment
    assert SERVING.freed(SERVING.killed(PACKAGE, executor)) < QUICK_S
