"""Runs that serve at a port, seen by whoever asked for them."""

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from kedge.executor import Cancel
from kedge.package.source import open_package
from kedge.run.core import Observer, Ready, Request, Result, run
from kedge.run.entry import Run
from kedge.run.prepare import prepare
from kedge.task import Published

PATIENCE_S = 60.0
# Serves until it is killed, and says when it does.
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {support!r})
import serving
service = serving.Service({place!r}, {executor!r}, {port})
service.begin("serve")
service.answer()
print("answers", flush=True)
service.thread.join()
"""


def free_port() -> int:
    """A port that nothing is bound to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could have a port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def freed(port: int) -> float:
    """Seconds until a port is free."""
    began = time.monotonic()
    while not is_free(port):
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.01)
    return time.monotonic() - began


def fetched(port: int, path: str = "") -> bytes:
    """What is served at a port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE_S) as answer:
        found: bytes = answer.read()
    return found


def answer_of(port: int) -> bytes:
    """What is served at a port, as soon as anything is."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fetched(port)
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


class Service:
    """One run of a function, in a thread of its own.

    Args:
        place: of the package.
        executor: its kind.
        port: where it serves; a free one if 0.
        pool: what is kept warm.
    """

    def __init__(self, place: Path | str, executor: str, port: int = 0, pool: Any = None) -> None:
        source = open_package(str(place))
        self.ready = Ready(source, prepare(source, executor=executor))
        self.executor = executor
        self.pool = pool
        self.published = Published(port or free_port())
        self.port = self.published.port
        self.network = False
        self.cancel = Cancel()
        self.notices: list[str] = []
        self.answers: list[bytes] = []  # what was fetched as soon as it was said that it answers
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.heard = threading.Event()
        self.thread = threading.Thread(target=lambda: None)

    def run(self, function: str, *, started: Any = lambda _: None, **values: Any) -> Result:
        """Run it to its end, in this thread."""
        request = Request(
            function,
            {"port": self.port} | values,
            executor=self.executor,
            network=self.network,
            publish=self.published,
        )
        observer = Observer(notice=self.notices.append, ready=self._answers, started=started)
        return run(self.ready, request, observer, self.cancel, self.pool)

    def begin(self, function: str, **values: Any) -> None:
        """Begin to run it."""
        self.thread = threading.Thread(
            target=self._run, args=(function,), kwargs=values, daemon=True
        )
        self.thread.start()

    def answer(self) -> bytes:
        """What it answers, once it is said to."""
        assert self.heard.wait(PATIENCE_S), (self.result, self.error)
        assert self.answers, self.error
        return self.answers[0]

    def stop(self) -> Run:
        """Ask it to stop, and wait for its end."""
        self.cancel.request()
        self.thread.join(PATIENCE_S)
        assert self.result is not None, self.error
        return self.result.run

    def _run(self, function: str, **values: Any) -> None:
        try:
            self.result = self.run(function, **values)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.heard.set()

    def _answers(self) -> None:
        self.answers.append(fetched(self.port))
        self.heard.set()


def killed(place: Path | str, executor: str) -> int:
    """Serve in a process that is killed once it does; the port."""
    port = free_port()
    script = SCRIPT.format(
        support=str(Path(__file__).parent), place=str(place), executor=executor, port=port
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"answers\n"
        assert not is_free(port)
    finally:
        process.kill()
        process.communicate()
    return port
