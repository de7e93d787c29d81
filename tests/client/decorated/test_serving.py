"""Decorated functions that serve at a port, in the sandbox."""

import os
import runpy
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kedge
from kedge.errors import Unavailable, UsageError

type Decorate = Callable[..., Any]

SUPPORT = Path(__file__).parents[2] / "support"
SERVING = SimpleNamespace(**runpy.run_path(str(SUPPORT / "serving.py")))


def serves(port: int, requests: int = 1_000_000) -> int:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"served")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        for _ in range(requests):
            server.handle_request()
    return requests


@pytest.fixture
def service(decorated: Decorate) -> Any:
    return decorated(serves, executor="sandbox")


def test_it_answers_at_its_port_while_it_goes_on(service: Any) -> None:
    port = SERVING.free_port()
    run = service.submit(port=port)
    assert run.wait_until_ready(60)
    assert SERVING.fetched(port) == b"served"
    run.cancel()
    with pytest.raises(kedge.RunCancelled):
        run.result()
    assert SERVING.is_free(port)
    assert not run.wait_until_ready(0)


def test_a_service_that_ends_gives_its_value(service: Any) -> None:
    port = SERVING.free_port()
    run = service.submit(port, requests=2)
    answers = [SERVING.answer_of(port)]
    while not run.done():
        try:
            answers.append(SERVING.fetched(port))
        except OSError:
            continue
    assert run.result() == 2
    assert set(answers) == {b"served"}


def test_a_port_that_is_in_use_is_an_error_and_nothing_begins(service: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for call in (service.run, service.serve):
            with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 is in use"):
                call(port=port)


def test_what_has_no_port_cannot_be_told_where_to_serve(decorated: Decorate) -> None:
    for function in (decorated(lambda: 1), decorated(lambda **named: named)):
        with pytest.raises(UsageError, match="has no parameter `port`"):
            function.serve()


def test_ctrl_c_is_its_regular_end(start: Callable[..., Any]) -> None:
    port = SERVING.free_port()
    text = (
        "import kedge, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_serving import serves\n"
        f"print(kedge.function(serves, name='tested', executor='sandbox').serve(port={port}))\n"
    )
    program = start(text)
    assert SERVING.answer_of(port) == b"served"
    os.killpg(program.pid, signal.SIGINT)
    code, out, _ = program.ended()
    assert (code, out) == (0, "None\n")
    assert SERVING.is_free(port)
