"""Containers that serve at a port: reached from the machine, which they do not reach in their turn."""

import json
import runpy
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kedge.engine.look import Engine
from kedge.errors import StartFailed, Unavailable
from kedge.executor.warm.pool import Pool
from kedge.task import Published

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS / "packages" / "service-image"
SERVING = SimpleNamespace(**runpy.run_path(str(TESTS / "support" / "serving.py")))
QUICK_S = 4.0  # less than the grace period, after which it would have been killed
PATIENCE_S = 60.0


@pytest.fixture
def service(engine: Engine, containers: Callable[[], list[str]]) -> Iterator[Callable[..., Any]]:
    """Makes services; none goes on after the test, and no container is left."""
    made: list[Any] = []

    def make(port: int = 0, pool: Pool | None = None) -> Any:
        made.append(SERVING.Service(PACKAGE, engine.kind, port, pool))
        return made[-1]

    yield make
    for one in made:
        one.cancel.request(force=True)
        if one.thread.ident is not None:
            one.thread.join()
    assert containers() == []


@pytest.mark.parametrize("network", [False, True])
def test_it_is_reached_on_the_machine_and_has_the_engines_network(
    service: Any, engine: Engine, network: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        serves = service()
        serves.network = network
        # An engine opens the port before the program listens there.
        serves.begin("serve", after=1.5, neighbour=neighbour.getsockname()[1])
        said = json.loads(serves.answer())
    assert said["interfaces"] == ["eth0", "lo"] and not said["reached"]
    assert any(f"served from {engine.kind}'s own network" in one for one in serves.notices)
    assert not any("this machine's network" in one for one in serves.notices)
    serves.stop()
    assert len(serves.answers) == 1


def test_a_service_that_is_asked_to_stop_goes_at_once_and_its_port_is_free(service: Any) -> None:
    serves = service()
    serves.begin("serve")
    serves.answer()
    began = time.monotonic()
    assert serves.stop().failure_kind == "cancelled"
    assert time.monotonic() - began < QUICK_S
    assert SERVING.is_free(serves.port)


def test_what_listens_to_the_container_alone_does_not_answer(service: Any) -> None:
    serves = service()
    serves.begin("serve", address="127.0.0.1")
    until = time.monotonic() + PATIENCE_S
    while not any("have it listen at 0.0.0.0" in one for one in serves.notices):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not serves.heard.is_set()
    serves.stop()
    assert serves.answers == []


def test_a_port_in_use_is_refused_also_when_it_is_taken_at_the_last_moment(service: Any) -> None:
    first = service()
    first.begin("serve")
    first.answer()
    late = service()
    with pytest.raises(Unavailable) as error:
        service(first.port).run("serve")
    assert f"port {first.port} of 127.0.0.1 is in use" in str(error.value)
    with socket.socket() as taken:

        def take(_: object) -> None:
            taken.bind(("127.0.0.1", late.port))
            taken.listen()

        failure = late.run("serve", started=take).failure
    assert isinstance(failure, StartFailed), failure
    assert failure.message == f"port {late.port} of 127.0.0.1 is in use"
    assert "give another port (" in str(failure.hint)


def test_a_service_has_a_container_of_its_own(service: Any, containers: Any) -> None:
    with Pool() as pool:
        serves = service(pool=pool)
        serves.begin("serve")
        serves.answer()
        serves.stop()
        assert pool.kept() == []
        assert containers() == []


def test_nothing_is_left_of_a_service_whose_caller_is_killed(
    service: Any, engine: Engine, containers: Any
) -> None:
    port = SERVING.killed(PACKAGE, engine.kind)
    began = time.monotonic()
    assert SERVING.freed(port) < QUICK_S
    while containers():
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.05)


def test_it_is_published_where_it_is_asked_for(service: Any) -> None:
    serves = service()
    serves.published = Published(serves.port, "0.0.0.0")
    serves.begin("serve")
    serves.answer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        outward.connect(("192.0.2.1", 9))  # sends nothing: it only finds this machine's own address
        own = outward.getsockname()[0]
    socket.create_connection((own, serves.port), PATIENCE_S).close()
    serves.stop()
