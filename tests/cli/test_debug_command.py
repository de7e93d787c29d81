"""`kedge debug`: a shell where a function runs, scripted through a pipe and typed on a terminal."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import cgroups

PATIENCE_S = 60.0  # for a shell on a machine that is busy with other tests

SCRIPT = """
import json
import os
from pathlib import Path

def area(width: float, height: float = 2.0) -> float:
    if width < 0:
        raise ValueError("a negative width")
    return width * height


def read(file: Path) -> str:
    return file.read_text()
"""

KINDS = ("sandbox", "process")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A package of one file."""
    path = tmp_path / "shapes.py"
    path.write_text(SCRIPT)
    return path


class Terminal:
    """A command on a pseudo terminal of its own, as the first program of its session."""

    def __init__(self, words: list[str]) -> None:
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.environ["TERM"] = "dumb"
            os.execvp(words[0], words)
        self.said = b""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait until what was said since the last time matches, and take it."""
        until = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern.encode(), self.said)) is None:
            ready, _, _ = select.select([self.master], [], [], until - time.monotonic())
            assert ready, f"{pattern!r} did not come: {self.said.decode(errors='replace')}"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, f"it ended before {pattern!r}: {self.said.decode(errors='replace')}"
            self.said += data
        text = self.said[: found.end()].decode(errors="replace")
        self.said = self.said[found.end() :]
        return text

    def rest(self) -> str:
        """All that is said until the end."""
        while select.select([self.master], [], [], PATIENCE_S)[0]:
            try:
                self.said += os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the other side any more
                return self.said.decode(errors="replace")
        raise AssertionError(f"it does not end: {self.said.decode(errors='replace')}")

    def wait(self) -> int:
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.process:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.master)


@pytest.fixture
def on_terminal(kedge: Any) -> Iterator[Callable[..., Terminal]]:
    """Calls the command line on a terminal."""
    opened: list[Terminal] = []

    def call(*arguments: object) -> Terminal:
        opened.append(Terminal([*kedge.words, *map(str, arguments)]))
        return opened[-1]

    yield call
    for terminal in opened:
        terminal.close()


def sessions(home: Path) -> list[str]:
    """The folders of sessions that are there."""
    return [name for name in os.listdir(home / "tmp") if name.startswith("tmp-")]


def is_gone(mark: str) -> bool:
    """Whether no process has this text in its command line or environment."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in command:
            return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_commands_are_read_from_a_pipe_and_the_shells_exit_code_is_the_commands(
    kedge: Any, script: Path, kind: str
) -> None:
    commands = b"cat in/data.json; echo; run-function; echo $?; command -v python; exit 7\n"
    ended = kedge("debug", script, "area", "width=3", "--executor", kind, input=commands, code=7)
    data, result, code, python = ended.out.splitlines()
    assert data == '{"width": 3.0}'
    assert (result, code) == ('{"result": 6.0}', "0")
    assert "/environments/" in python
    assert "run-function" in ended.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_function_fails_in_the_shell_as_it_does_in_a_run_and_can_be_given_other_inputs(
    kedge: Any, script: Path, kind: str
) -> None:
    commands = b"run-function; echo $?; ls out; run-function 2>&1 | tail -2\n"
    ended = kedge("debug", script, "area", "width=-3", "--executor", kind, input=commands)
    assert ended.out.splitlines()[0] == "1"
    assert "_runner_error.json" in ended.out
    assert "a negative width" in ended.out and "ValueError" in ended.err


def test_a_session_has_the_contracts_variables_and_the_sandboxs_account_filter_and_network(
    kedge: Any, script: Path
) -> None:
    commands = (
        b"echo $KEDGE_FUNCTION $KEDGE_PACKAGE $KEDGE_WORKSPACE $KEDGE_SCRATCH; id -u; pwd\n"
        b"grep -E '^(Seccomp|NoNewPrivs|CapEff):' /proc/self/status | tr '\\n' ' '; echo\n"
        b"ls /sys/class/net 2>/dev/null || python -c 'import socket; print(socket.if_nameindex())'\n"
        b"touch shapes.py 2>/dev/null || echo read-only; touch scratch/mine && echo writable\n"
    )
    ended = kedge("debug", script, "area", "width=3", "--executor", "sandbox", input=commands)
    lines = ended.out.splitlines()
    assert lines[0] == "area shapes /workspace /workspace/scratch"
    assert lines[1] != "0" and lines[2] == "/workspace"
    assert lines[3].split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert lines[4] == "[(1, 'lo')]"
    assert lines[5:] == ["read-only", "writable"]


def test_nothing_is_recorded_and_nothing_is_left(kedge: Any, script: Path) -> None:
    kedge("run", script, "area", "width=1")
    mark = f"98{os.getpid()}.25"
    kedge(
        "debug",
        script,
        "area",
        "width=3",
        input=f"setsid sleep {mark} & touch scratch/x\n".encode(),
    )
    assert [run["inputs"] for run in kedge.runs_of(script)] == [{"width": 1.0}]
    assert is_gone(mark)


def test_wrong_inputs_are_told_before_a_shell_is_opened(kedge: Any, script: Path) -> None:
    ended = kedge("debug", script, "area", "width=wide", "color=3", input=b"echo no\n", code=2)
    assert "`width`" in ended.err and "`color`" in ended.err
    assert ended.out == "" and "a shell" not in ended.err


def test_a_file_input_is_there_as_for_the_run(kedge: Any, script: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("measured\n")
    ended = kedge(
        "debug", script, "read", f"file={tmp_path / 'notes.txt'}", input=b"cat in/files/file.txt\n"
    )
    assert ended.out == "measured\n"


def test_a_run_is_debugged_with_its_own_files_and_inputs_not_todays(
    kedge: Any, script: Path
) -> None:
    run = kedge("run", script, "area", "width=4", "--json").json["_run"]["id"]
    script.write_text(SCRIPT.replace("width * height", "0.0"))
    ended = kedge("debug", run, input=b"run-function\n")
    assert ended.out == '{"result": 8.0}\n'
    changed = kedge("debug", run, "height=5", input=b"run-function\n")
    assert changed.out == '{"result": 20.0}\n'


def test_a_runs_input_file_that_changed_is_told(kedge: Any, script: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("measured\n")
    run = kedge("run", script, "read", f"file={notes}", "--json").json["_run"]["id"]
    assert "not as it was" not in kedge("debug", run, input=b"true\n").err
    notes.write_text("measured again\n")
    ended = kedge("debug", run, input=b"cat in/files/file.txt\n")
    assert "not as it was" in ended.err and ended.out == "measured again\n"


def test_a_run_whose_snapshot_is_gone_is_a_clear_error(kedge_alone: Any, script: Path) -> None:
    from kedge.contract.ownership import remove

    run = kedge_alone("run", script, "area", "width=4", "--json").json["_run"]["id"]
    snapshot = kedge_alone("show", run, "--json").json["snapshot"]
    remove(os.path.join(os.environ["KEDGE_HOME"], "snapshots", snapshot))
    ended = kedge_alone("debug", run, input=b"echo no\n", code=3)
    assert "no longer here" in ended.err and "hint:" in ended.err and ended.out == ""


def test_a_function_that_cannot_be_imported_can_be_debugged(kedge: Any, tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("import nowhere\n\ndef f(width: float) -> float:\n    return width\n")
    kedge("run", script, "f", "width=4", code=1)
    (run,) = kedge.runs_of(script)
    ended = kedge("debug", run["id"], input=b"cat in/data.json; echo; run-function; echo $?\n")
    assert ended.out.splitlines() == ['{"width": 4}', "1"]
    assert "nowhere" in ended.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_terminal_has_jobs_and_ctrl_c_that_ends_what_runs_in_front_and_not_the_shell(
    on_terminal: Callable[..., Terminal], script: Path, kind: str
) -> None:
    terminal = on_terminal("debug", script, "area", "width=3", "--executor", kind)
    opening = terminal.expect(r"kedge debug \S+ [#$] ")
    assert "job control" not in opening and "ioctl" not in opening
    terminal.type("sleep 1000\n")
    terminal.expect("sleep 1000")
    _until_in_front(terminal, "sleep")
    terminal.type("\x03")
    terminal.expect(r"kedge debug \S+ [#$] ")
    terminal.type("echo $((100+30)) $?\n")
    terminal.expect("130 130")
    terminal.type("sleep 1000\n")
    _until_in_front(terminal, "sleep")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect(r"kedge debug \S+ [#$] ")
    terminal.type("fg\n")
    _until_in_front(terminal, "sleep")
    terminal.type("\x03")
    terminal.expect(r"kedge debug \S+ [#$] ")
    terminal.type("exit 9\n")
    terminal.rest()
    assert terminal.wait() == 9


def _until_in_front(terminal: Terminal, program: str) -> None:
    """Wait until a program has the terminal."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            group = os.tcgetpgrp(terminal.master)
            if program in Path(f"/proc/{group}/cmdline").read_text():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"{program} has no terminal: {terminal.said.decode(errors='replace')}")


def test_python_opens_with_the_function_and_its_inputs(
    on_terminal: Callable[..., Terminal], script: Path
) -> None:
    terminal = on_terminal("debug", script, "area", "width=3")
    terminal.expect(r"kedge debug \S+ [#$] ")
    terminal.type("run-function -i\n")
    terminal.expect(">>> ")
    terminal.type("function(**inputs) + 36\n")
    terminal.expect("42.0")
    terminal.type("exit()\n")
    terminal.expect(r"kedge debug \S+ [#$] ")
    terminal.type("exit\n")
    terminal.rest()
    assert terminal.wait() == 0


@pytest.mark.parametrize(
    ("kind", "after"), [("sandbox", "debug"), ("process", "debug"), ("sandbox", "runs")]
)
def test_a_killed_session_leaves_no_process_and_after_the_next_start_nothing(
    kedge_alone: Any, script: Path, kedge_home: Path, groups: Any, kind: str, after: str
) -> None:
    mark = f"9{os.getpid()}.25"
    running = subprocess.Popen(
        [*kedge_alone.words, "debug", script, "area", "width=3", "--executor", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdin is not None and running.stdout is not None
    with running:
        running.stdin.write(f"setsid sleep {mark} & echo here; sleep {mark}\n".encode())
        running.stdin.flush()
        assert running.stdout.readline() == b"here\n"
        held = groups.groups_of(running.pid)
        running.send_signal(signal.SIGKILL)
        # Its end is that of the last process which holds the pipe.
        assert running.stdout.read() == b""
    until = time.monotonic() + PATIENCE_S
    while not is_gone(mark):
        assert time.monotonic() < until, "a process outlives the session"
        time.sleep(0.02)
    assert len(sessions(kedge_home)) == 1
    assert bool(groups.standing(held)) == (cgroups.available().version is not None)
    words = ("debug", script, "area", "width=3") if after == "debug" else (after,)
    kedge_alone(*words, input=b"exit\n")
    assert sessions(kedge_home) == []
    assert groups.standing(held) == []


def test_a_session_that_is_asked_to_end_leaves_nothing(
    kedge_alone: Any, script: Path, kedge_home: Path
) -> None:
    mark = f"8{os.getpid()}.25"
    running = subprocess.Popen(
        [*kedge_alone.words, "debug", script, "area", "width=3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdin is not None and running.stdout is not None
    with running:
        running.stdin.write(f"echo here; sleep {mark}\n".encode())
        running.stdin.flush()
        assert running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 130
    assert is_gone(mark) and sessions(kedge_home) == []


def test_a_debugger_that_attaches_stops_in_the_function(kedge: Any, script: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = kedge.start("debug", script, "area", "width=3", "--attach", port)
    try:
        assert any(b"waiting for a debugger" in line for line in running.stderr)
        client = Client(port)
        client.send("initialize", adapterID="test")
        client.send("attach", name="test")
        client.until("initialized")
        line = 1 + SCRIPT.splitlines().index("    return width * height")
        place = {"path": "/workspace/shapes.py"}
        client.send("setBreakpoints", source=place, breakpoints=[{"line": line}])
        client.send("configurationDone")
        stopped = client.until("stopped")
        assert stopped["reason"] == "breakpoint"
        client.send("continue", threadId=stopped["threadId"])
        client.until("terminated")
        client.close()
        assert running.wait(PATIENCE_S) == 0
    finally:
        running.terminate()
        running.communicate()


class Client:
    """As much of an editor's side of the Debug Adapter Protocol as it takes to stop once."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.file = self.socket.makefile("rwb")
        self.number = 0

    def send(self, command: str, **arguments: Any) -> None:
        self.number += 1
        message = {"seq": self.number, "type": "request", "command": command}
        body = json.dumps(message | ({"arguments": arguments} if arguments else {})).encode()
        self.file.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.file.flush()

    def until(self, event: str) -> dict[str, Any]:
        """Wait for an event of this name; what it says."""
        while True:
            length = 0
            while line := self.file.readline().strip():
                length = int(line.partition(b":")[2])
            assert length, f"the connection ended before `{event}`"
            message = json.loads(self.file.read(length))
            if message.get("event") == event:
                body: dict[str, Any] = message.get("body") or {}
                return body

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_no_shell_is_opened_outside_the_container_that_was_asked_for(
    kedge: Any, script: Path, engine: str
) -> None:
    ended = kedge("debug", script, "area", "width=3", "--executor", engine, code=3)
    assert "in a container" in ended.err and "--executor sandbox" in ended.err
