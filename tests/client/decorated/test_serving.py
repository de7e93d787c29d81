"""Decorated functions that serve at a port, in the sandbox."""

import os
import runpy
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kedge
from kedge.client.decorated import decorator
from kedge.errors import Unavailable, UsageError

type Decorate = Callable[..., Any]

SUPPORT = Path(__file__).parents[2] / "support"
PROMPT_S = 5.0  # a call takes some hundredths of a second; a wait for a port would not end
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


def connects(host: str, port: int) -> str:
    return f"{host}:{port}"


def test_what_never_listens_gives_its_value_and_waits_for_nothing(
    decorated: Decorate, capsys: pytest.CaptureFixture[str]
) -> None:
    port = SERVING.free_port()
    client = decorated(connects, executor="sandbox")
    for function, given in ((client, ("127.0.0.1", port)), (client, ("0.0.0.0", port))):
        function.run(*given)  # after which all that it needs is there
        began = time.monotonic()
        assert function.run(*given) == f"{given[0]}:{port}"
        assert time.monotonic() - began < PROMPT_S
        run = function.submit(*given)
        assert not run.wait_until_ready(60)
        assert run.result() == f"{given[0]}:{port}"
    assert list(client.map(["127.0.0.1"] * 3, [port] * 3)) == [f"127.0.0.1:{port}"] * 3
    assert "serving at" not in capsys.readouterr().err


def test_what_is_given_no_port_serves_nowhere(
    decorated: Decorate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decorated(lambda port=None: port).run() is None
    assert decorated(lambda host, port=None: host).run("nobody.test") == "nobody.test"
    assert "port" not in capsys.readouterr().err


def test_a_port_is_a_whole_number(service: Any) -> None:
    for wrong in ("8000", 8000.0, True, (8000,)):
        for call in (service.run, service.submit, service.serve, service.build):
            with pytest.raises(UsageError, match="which is no port to serve at") as raised:
                call(port=wrong)
            assert str(raised.value) == f"`port` is {wrong!r}, which is no port to serve at"
            assert str(raised.value.hint).startswith("give a whole number, or call a parameter")


def test_serve_has_a_port_of_its_own_where_the_function_has_none(
    decorated: Decorate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decorator._PORT == 8000
    usual, own, given = (SERVING.free_port() for _ in range(3))
    monkeypatch.setattr(decorator, "_PORT", usual)  # the real one may be in use here
    without = decorated(lambda port: port, executor="sandbox")
    assert (without.serve(), without.serve(given), without.serve(port=given)) == (
        usual,
        given,
        given,
    )
    has_own = decorated(lambda text="", port=own: port, executor="sandbox")
    assert (has_own.serve("a"), has_own.serve("a", given), has_own.serve(port=given)) == (
        own,
        given,
        given,
    )


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
