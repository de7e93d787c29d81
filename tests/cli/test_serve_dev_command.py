"""A service while it is being written: what changes is served, and what is wrong takes nothing away."""

import os
import queue
import runpy
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from kedge.cli.app import app
from kedge.executor import executors

SERVING = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "support" / "serving.py"))
)
LIMIT_S = 60.0  # of waiting for something that has to come
MARK = "KEDGE_TEST_MARK"
LAST_GOOD = "the last good version is served until a file changes"

SERVER = """\
import kedge
import words
{more}
@kedge.function(copy=["./words.py", "./pages"], executor="{executor}"{options})
def server(port):
    import os
    from http.server import BaseHTTPRequestHandler, HTTPServer
    {first}
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/end":
                os._exit(3)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(" ".join(["{word}", words.word, *sorted(os.listdir("pages"))]).encode())
        def log_message(self, *_):
            pass
    HTTPServer(("0.0.0.0", port), Answer).serve_forever()
"""


class Dev:
    """A file with a function that serves, and the command that serves it."""

    def __init__(self, kedge: Any, folder: Path, executor: str) -> None:
        self._kedge = kedge
        self._executor = executor
        self.folder = folder
        self.port: int = SERVING.free_port()
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self.process: subprocess.Popen[bytes] | None = None
        self.mark = os.urandom(8).hex()
        (folder / "pages").mkdir()
        (folder / "pages" / "index").touch()
        (folder / "words.py").write_text("word = 'alpha'\n")
        self.write("one")

    def write(
        self, word: str, *, more: str = "", options: str = "", first: str = "", after: str = ""
    ) -> None:
        text = SERVER.format(
            word=word, more=more, options=options, first=first, executor=self._executor
        )
        draft = self.folder / "draft"
        draft.write_text(text + after)
        draft.rename(self.folder / "server.py")

    def start(self, *words: str) -> None:
        given = words or ("server.py:server",)
        env = os.environ | {MARK: self.mark}
        self.process = self._kedge.start(
            "serve-dev", *given, "--port", self.port, cwd=self.folder, env=env
        )
        self._reader.start()

    def until(self, words: str) -> list[str]:
        """The lines up to one that has these words; they are said to come."""
        found = []
        until = time.monotonic() + LIMIT_S
        while not (found and words in found[-1]):
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, self.said
            found.append(line)
        return found

    def answer(self) -> str:
        answer: bytes = SERVING.fetched(self.port)
        return answer.decode()

    def ended(self) -> int:
        assert self.process is not None
        code = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return code

    def processes(self) -> list[int]:
        """Those of the command, and of its versions."""
        mark = f"{MARK}={self.mark}".encode()
        return [
            int(one) for one in filter(str.isdigit, os.listdir("/proc")) if mark in _environ(one)
        ]

    def close(self) -> None:
        if self.process is not None:
            for one in self.processes():
                os.kill(one, signal.SIGKILL)
            self.ended()
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
            SERVING.freed(self.port)

    def _read(self) -> None:
        assert self.process is not None and self.process.stderr is not None
        for raw in self.process.stderr:
            self.said.append(raw.decode().rstrip("\n"))
            self._lines.put(self.said[-1])
        self._lines.put(None)


def usable() -> str:
    """The executor for functions that need no container."""
    return "sandbox" if executors.get("sandbox")().usable().ok else "process"


def _environ(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def dev(kedge: Any, tmp_path: Path) -> Iterator[Dev]:
    """Such a file; the command does not outlive the test."""
    made = Dev(kedge, tmp_path, usable())
    yield made
    made.close()


def test_what_changes_is_served(dev: Dev) -> None:
    dev.start()
    dev.until(f"serving at http://127.0.0.1:{dev.port}")
    assert dev.answer() == "one alpha index"
    dev.write("two")
    said = dev.until("serving the new version")
    assert said[0] == "server.py changed"
    assert dev.answer() == "two alpha index"
    (dev.folder / "words.py").write_text("word = 'beta'\n")
    dev.until("serving the new version")
    assert dev.answer() == "two beta index"
    (dev.folder / "pages" / "more").touch()
    assert dev.until("serving the new version")[0] == "pages/more changed"
    assert dev.answer() == "two beta index more"
    assert sum("this machine's network" in line for line in dev.said) == 1


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "syntax": ({"after": "def broken(:\n"}, "SyntaxError"),
    "import": ({"more": "import nowhere_at_all"}, "No module named 'nowhere_at_all'"),
    "raised": ({"more": "raise ValueError('not today')"}, "ValueError: not today"),
    "ended": ({"more": "raise SystemExit(3)"}, "SystemExit: 3"),
    "options": ({"options": ", memory=-1"}, "error[usage]: `memory` is -1"),
    "environment": ({"options": ", pip='./nowhere.txt'"}, "names the file `./nowhere.txt`"),
    "pickled": (
        {"more": "import threading\nlock = threading.Lock()", "first": "lock.locked()"},
        "error[unpicklable]: `server` cannot be sent to its runtime",
    ),
    "function": ({"after": "server = None\n"}, "there is no function `server`"),
    "plain": ({"after": "def server(port):\n    pass\n"}, "`server` is not decorated"),
    "portless": (
        {"after": "@kedge.function()\ndef server():\n    pass\n"},
        "`server` has no parameter `port`",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_loaded_takes_nothing_away(dev: Dev, what: str) -> None:
    change, words = WRONG[what]
    dev.start()
    dev.until("serving at")
    dev.write("two", **change)
    said = dev.until(LAST_GOOD)
    assert any(words in line for line in said), said
    assert not any("kedge/cli" in line for line in said)
    assert dev.answer() == "one alpha index"
    dev.write("three")
    dev.until("serving the new version")
    assert dev.answer() == "three alpha index"


def test_the_last_good_version_is_begun_again_when_the_new_one_ends_early(dev: Dev) -> None:
    dev.start()
    dev.until("serving at")
    dev.write("two", first="raise LookupError('no such page')")
    # What is shipped then is not what the good one had.
    (dev.folder / "pages" / "more").touch()
    said = dev.until(LAST_GOOD)
    assert "error: LookupError: no such page" in said
    assert any("RemoteTraceback" in line for line in said)
    assert SERVING.answer_of(dev.port) == b"one alpha index"


def test_the_newest_version_does_not_wait_for_one_that_is_being_loaded(dev: Dev) -> None:
    dev.start()
    dev.until("serving at")
    dev.write("two", more="import pathlib, time; pathlib.Path('loading').touch(); time.sleep(3600)")
    until = time.monotonic() + LIMIT_S
    while not (dev.folder / "loading").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert dev.answer() == "one alpha index"
    dev.write("three")
    dev.until("serving the new version")
    assert dev.answer() == "three alpha index"


def test_what_is_wrong_from_the_start_is_served_once_it_is_put_right(dev: Dev) -> None:
    dev.write("one", more="import friends")
    dev.start("server.py")
    dev.until("nothing is served until a file changes")
    (dev.folder / "friends.py").write_text("")
    assert dev.until("serving at")[0] == "friends.py changed"
    assert dev.answer() == "one alpha index"


def test_a_service_that_ends_is_begun_again_with_the_next_change(dev: Dev) -> None:
    dev.start()
    dev.until("serving at")
    with pytest.raises(OSError):
        SERVING.fetched(dev.port, "end")
    said = dev.until("what was served has ended")
    assert any("ended with exit code 3" in line for line in said)
    dev.write("two")
    dev.until("serving the new version")
    assert dev.answer() == "two alpha index"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_when_it_is_interrupted_and_nothing_is_left(dev: Dev, number: int) -> None:
    dev.start()
    dev.until("serving at")
    assert dev.process is not None
    os.killpg(dev.process.pid, number)
    assert dev.ended() == 0
    assert SERVING.is_free(dev.port)
    assert dev.processes() == []


def test_it_ends_also_while_a_version_is_being_loaded(dev: Dev) -> None:
    dev.write("one", more="import pathlib, time; pathlib.Path('loading').touch(); time.sleep(3600)")
    dev.start()
    until = time.monotonic() + LIMIT_S
    while not (dev.folder / "loading").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert dev.process is not None
    dev.process.send_signal(signal.SIGINT)
    assert dev.ended() == 0
    assert dev.processes() == []


def test_a_second_interruption_does_not_wait_for_the_grace_period(
    kedge_alone: Any, tmp_path: Path
) -> None:
    dev = Dev(kedge_alone, tmp_path, usable())
    try:
        dev.write("one", first="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
        dev.start()
        dev.until("serving at")
        assert dev.process is not None
        dev.process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # two of one signal that come together are one
        dev.process.send_signal(signal.SIGINT)
        assert dev.ended() == 0
        SERVING.freed(dev.port)
    finally:
        dev.close()
    # Its process was killed, which left nobody to say how it ended.
    assert [one["failure_kind"] for one in kedge_alone("runs", "--json").json] == ["lost"]


def test_nothing_is_left_of_a_command_that_is_killed(dev: Dev) -> None:
    dev.start()
    dev.until("serving at")
    assert dev.process is not None
    dev.process.kill()
    dev.ended()
    SERVING.freed(dev.port)
    until = time.monotonic() + LIMIT_S
    while dev.processes():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_version_whose_process_is_killed_has_ended(dev: Dev) -> None:
    dev.start()
    dev.until("serving at")
    assert dev.process is not None
    (version,) = [one for one in dev.processes() if os.getsid(one) == one]
    os.kill(version, signal.SIGKILL)
    said = dev.until("what was served has ended")
    assert said[0] == "warning: the process of a version was ended by signal 9"
    dev.write("two")
    dev.until("serving the new version")
    assert dev.answer() == "two alpha index"


def test_what_cannot_be_served_anyhow_is_refused(dev: Dev, kedge: Any) -> None:
    file = dev.folder / "server.py"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = kedge("serve-dev", file, "--port", port, code=3)
    assert f"port {port} of 127.0.0.1 is in use" in refused.err
    assert "is no IP address" in kedge("serve-dev", file, "--host", "nowhere", code=2).err
    assert "did you mean" in kedge("serve-dev", dev.folder / "sever.py", code=2).err
    (dev.folder / "kedge.yml").touch()
    assert "is a package" in kedge("serve-dev", dev.folder, code=2).err


def test_functions_are_completed_by_the_text_of_the_file(
    tmp_path: Path, complete: Callable[[list[str], str], list[str]]
) -> None:
    file = tmp_path / "many.py"
    file.write_text(
        "import kedge\nfrom kedge import function\n@kedge.function(pip=['x'])\ndef server(port): ...\n"
        "@function\nasync def second(port): ...\ndef plain(): ...\n@other\ndef wrapped(): ...\n"
    )
    assert complete(["serve-dev", str(file)], "") == ["server", "second"]
    assert complete(["serve-dev", str(file)], "ser") == ["server"]
    assert complete(["serve-dev", str(tmp_path / "nowhere.py")], "") == []
    assert complete(["serve-dev", str(file), "server"], "--p") == ["--port"]


@pytest.fixture
def complete() -> Callable[[list[str], str], list[str]]:
    """What is proposed for the beginning of a word, after these words."""
    from click.shell_completion import ShellComplete

    def proposed(words: list[str], incomplete: str) -> list[str]:
        found = ShellComplete(app, {}, "kedge", "_KEDGE_COMPLETE").get_completions(
            words, incomplete
        )
        return [one.value for one in found]

    assert isinstance(app, click.Group)
    return proposed
