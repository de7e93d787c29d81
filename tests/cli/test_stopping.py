"""Ctrl-C, SIGTERM and SIGKILL: how a run ends then, and that nothing of it stays."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STUBBORN = Path(__file__).parents[1] / "packages" / "stubborn"
LIMIT_S = 60.0  # of waiting for something that has to come


class Running:
    """A run that has said it is ready."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.id = ""
        assert process.stderr is not None
        for raw in process.stderr:
            line = raw.decode()
            if line.startswith("running "):
                self.id = line.partition("(run ")[2].partition(",")[0]
            if line.startswith("progress: 1/1 ready"):
                return
        raise AssertionError("it ended before it was ready")

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit code and the rest of standard error."""
        _, err = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, err.decode()

    def processes(self) -> list[int]:
        """Every process that carries the run's id in its variables or arguments."""
        every = map(int, filter(str.isdigit, os.listdir("/proc")))
        return [pid for pid in every if self.id.encode() in of_process(pid)]


def of_process(pid: int) -> bytes:
    """A process's variables and arguments; nothing when it is gone."""
    try:
        return b"".join(Path(f"/proc/{pid}/{part}").read_bytes() for part in ("environ", "cmdline"))
    except OSError:
        return b""


@pytest.fixture
def start(kedge: Any) -> Callable[[str], Running]:
    """Starts a function of the sample package and waits until its code is under way."""

    def starts(function: str) -> Running:
        running = Running(kedge.start("run", STUBBORN, function, "-v"))
        assert running.processes()
        return running

    return starts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_stop_tidies_up(
    kedge: Any, start: Callable[[str], Running], number: signal.Signals
) -> None:
    running = start("tidies")
    os.killpg(running.process.pid, number)
    code, said = running.end()
    assert code == 130
    assert "error[cancelled]" in said
    assert running.processes() == []
    record = kedge("show", running.id, "--json").json
    assert (record["status"], record["failure_kind"]) == ("cancelled", "cancelled")
    assert list(record["artifacts"]) == ["partial.txt"]
    assert not (Path(record["folder"]) / "workspace").exists()


@pytest.mark.parametrize("function", ["ignores", "escapes"])
def test_a_run_that_does_not_listen_is_ended_after_its_grace(
    kedge: Any, start: Callable[[str], Running], function: str
) -> None:
    running = start(function)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.end()[0] == 130
    assert running.processes() == []
    assert kedge("show", running.id, "--json").json["status"] == "cancelled"


def test_asking_twice_does_without_the_grace(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "stays.py").write_text((STUBBORN / "stays.py").read_text())
    (tmp_path / "kedge.yml").write_text(
        'name: long\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {f: {handler: "stays:ignores", resources: {cpu: 1, memory_mb: 256, grace: 3000}}}\n'
    )
    running = Running(kedge.start("run", tmp_path, "-v"))
    # Two different ones: of the same signal a second that waits for delivery is dropped.
    os.kill(running.process.pid, signal.SIGINT)
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.end()[0] == 130
    assert running.processes() == []


@pytest.mark.parametrize("executor", ["sandbox", "process"])
def test_a_killed_kedge_leaves_no_process_and_is_settled_by_the_next(
    kedge_alone: Any, kedge_home: Path, executor: str
) -> None:
    given = ["run", STUBBORN, "escapes", "-v", "--executor", executor]
    running = Running(kedge_alone.start(*given))
    workspace = kedge_home / "runs" / running.id / "workspace"
    assert workspace.is_dir()
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    deadline = time.monotonic() + LIMIT_S
    while running.processes():
        assert time.monotonic() < deadline, running.processes()
        time.sleep(0.02)
    kedge_alone("runs")
    assert not workspace.exists()
    record = kedge_alone("show", running.id, "--json").json
    assert (record["status"], record["failure_kind"]) == ("failed", "lost")
    assert "went away" in record["failure"]["message"]


def test_of_a_killed_supervisor_it_is_told_how_it_ended(start: Callable[[str], Running]) -> None:
    running = start("sleeps")
    face = running.process.pid
    (supervisor,) = Path(f"/proc/{face}/task/{face}/children").read_text().split()
    os.kill(int(supervisor), signal.SIGKILL)
    code, said = running.end()
    assert code == 1
    assert f"its process {supervisor} went away while it was running" in said
    assert "that was Kedge's supervisor, ended by signal 9\n" in said


def test_ctrl_c_while_test_cases_run_ends_them_all(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "stays.py").write_text((STUBBORN / "stays.py").read_text())
    (tmp_path / "kedge.yml").write_text(
        'name: cases\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {f: {handler: "stays:sleeps", testcases: cases.json}}\n'
    )
    (tmp_path / "cases.json").write_text(
        json.dumps([{"name": f"case {number}", "inputs": {}} for number in range(12)])
    )
    process = kedge.start("test", tmp_path, "--json", "-j", "2")

    def going() -> list[str]:
        listed = kedge.runs_of(tmp_path, "--status", "running")
        return [run["id"] for run in listed]

    deadline = time.monotonic() + LIMIT_S
    while not going():
        assert time.monotonic() < deadline and process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert going() == []
    assert len(kedge.runs_of(tmp_path)) <= 2  # the others were not begun


def test_ctrl_c_while_preparing_leaves_nothing_behind(
    kedge_alone: Any, kedge_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "needs.py").write_text(
        '# /// script\n# dependencies = ["tomli-w==1.2.0"]\n# ///\ndef f() -> int:\n    return 1\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that never answers
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        env = os.environ | {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache")}
        process = kedge_alone.start("run", tmp_path / "needs.py", "--json", env=env)
        connection, _ = silent.accept()
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=LIMIT_S)
        while connection.recv(1 << 16):  # what asked is gone: its end of the connection is closed
            pass
        connection.close()
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "cancelled"
    assert not list((kedge_home / "resolving").iterdir())
    (run,) = kedge_alone("runs", "--json").json
    assert run["status"] == "cancelled"
