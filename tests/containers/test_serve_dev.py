"""A service in a container, begun anew whenever its file changes."""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from kedge.engine.look import Engine

SERVING = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "support" / "serving.py"))
)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
SERVER = """\
import kedge
@kedge.function(executor="{engine}")
def server(port):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{word}")
    HTTPServer(("0.0.0.0", port), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def home(home_of_all: Callable[[str], Path]) -> Path:
    """The one of all tests of decorated functions."""
    return home_of_all("decorated")


@pytest.fixture
def environment(
    engine: Engine, base_image: Callable[[Engine, str], str], home: Path
) -> dict[str, str]:
    """The variables of a command whose images stand on a base with the Python that runs the tests."""
    if VERSION not in SUITES:
        pytest.skip(f"no base image has Python {VERSION}")
    base = base_image(engine, SUITES[VERSION])
    return {"KEDGE_HOME": str(home), "KEDGE_IMAGES_BASE": base}


def test_a_change_is_served_at_the_same_port_and_nothing_is_left(
    engine: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "server.py"
    file.write_text(SERVER.format(engine=engine.kind, word="one"))
    port = SERVING.free_port()
    command = [sys.executable, "-m", "kedge", "serve-dev", str(file), "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE) as process:
        try:
            wait_for(process, b"serving at ")
            assert SERVING.fetched(port) == b"one"
            file.write_text(SERVER.format(engine=engine.kind, word="two"))
            wait_for(process, b"serving the new version at ")
            assert SERVING.fetched(port) == b"two"
            file.write_text("import nowhere_at_all\n")
            wait_for(process, b"the last good version is served")
            assert SERVING.fetched(port) == b"two"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
    assert process.returncode == 0
    assert SERVING.is_free(port)


def wait_for(process: "subprocess.Popen[bytes]", words: bytes) -> None:
    """Until it says so."""
    said = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line.decode())
        if line.startswith(words):
            return
    pytest.fail("".join(said))
