"""Who owns a run: what is left when its face, its supervisor or both are killed, stopped or asked to end."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import ask_from_outside, cgroups, processes

STUBBORN = Path(__file__).parents[1] / "packages" / "stubborn"
LIMIT_S = 60.0  # of waiting for something that has to come
EXECUTORS = ("sandbox", "process")
ATTEMPTS = 5  # a machine that is busy makes one of them late, not each
VANISHES_GRACE_S = 0.2  # of `vanishes_soon`


def living(argument: str) -> list[int]:
    """The processes that have `argument` as one of their own."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if argument.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:
            continue
    return found


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether something becomes true within so many seconds."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def best_of_several(seconds: float, took: Callable[[], float]) -> None:
    """That something can be done within so long, as promised."""
    attempts: list[float] = []
    while len(attempts) < ATTEMPTS:
        attempts.append(took())
        if attempts[-1] <= seconds:
            return
    raise AssertionError(f"promised within {seconds} s; took {attempts}")


class Watched:
    """Processes, held by descriptors that another process with the same number does not answer for."""

    def __init__(self, numbers: list[int]) -> None:
        self._held: dict[int, int] = {}
        for number in numbers:
            with suppress(ProcessLookupError):
                self._held[os.pidfd_open(number)] = number

    def await_end(self) -> float:
        """Wait until all are gone: the monotonic clock at that moment."""
        poll = select.poll()
        for descriptor in self._held:
            poll.register(descriptor, select.POLLIN)
        while self._held:
            ended = poll.poll(LIMIT_S * 1000)
            at = time.monotonic()
            assert ended, f"these live on: {list(self._held.values())}"
            for descriptor, _ in ended:
                poll.unregister(descriptor)
                os.close(descriptor)
                del self._held[descriptor]
        return at


class Run:
    """A run of `vanishes`: silent, deaf, and with a process that shows nothing of where it comes from."""

    def __init__(self, kedge: Any, *options: str, function: str = "vanishes") -> None:
        self.kedge = kedge
        # A number of seconds that nobody else sleeps.
        self.marker = f"4242.{os.getpid()}{int.from_bytes(os.urandom(3))}"
        words = ["run", STUBBORN, function, "-v", *options]
        if function.startswith("vanishes"):
            words.append(f"seconds={json.dumps(self.marker)}")
        self.face = kedge.start(*words)
        self.id = ""
        for raw in self.face.stderr:
            line = raw.decode(errors="replace")
            if line.startswith("running "):
                self.id = line.partition("(run ")[2].partition(",")[0]
            if line.startswith("progress: 1/1 ready"):
                break
        else:
            raise AssertionError("it ended before it was ready")
        (self.supervisor,) = children(self.face.pid)

    def end(self) -> tuple[int, str]:
        """Wait for the face's end: its exit code and the rest of standard error."""
        _, err = self.face.communicate(timeout=LIMIT_S)
        return self.face.returncode, err.decode(errors="replace")

    def processes(self) -> list[int]:
        """All that it started, and what Kedge started for it."""
        found = processes.descendants(self.supervisor)
        (vanished,) = living(self.marker)
        assert vanished in found
        return found

    def record(self) -> Any:
        return self.kedge("show", self.id, "--json").json

    def is_gone(self) -> bool:
        return not living(self.marker) and self.id not in cgroups.named()


def children(process: int) -> list[int]:
    return [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def lives(process: int) -> bool:
    """Whether a process runs, and is not one that ended and waits for whoever has it now."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_killed_face_ends_its_run_within_a_second(kedge: Any, executor: str) -> None:
    def took() -> float:
        run = Run(kedge, "--executor", executor)
        workspace = Path(run.record()["folder"]) / "workspace"
        assert workspace.is_dir()
        watched = Watched([*run.processes(), run.supervisor])
        began = time.monotonic()
        os.kill(run.face.pid, signal.SIGKILL)
        ended = watched.await_end()
        # The supervisor was the last of them: nothing is removed or written after this.
        assert run.is_gone()
        assert not workspace.exists()
        record = run.record()
        assert (record["status"], record["failure_kind"]) == ("failed", "lost")
        assert "went away" in record["failure"]["message"]
        run.end()
        return ended - began

    best_of_several(1.0, took)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_deaf_and_silent_run_is_gone_a_tenth_of_a_second_after_its_grace(
    kedge: Any, executor: str
) -> None:
    def took() -> float:
        run = Run(kedge, "--executor", executor, function="vanishes_soon")
        control = os.path.join(run.record()["folder"], "control")
        watched = Watched(run.processes())
        began = time.monotonic()
        assert ask_from_outside(control)
        late = watched.await_end() - began - VANISHES_GRACE_S
        assert late >= 0
        assert run.end()[0] == 130
        assert run.is_gone()
        return late

    best_of_several(0.1, took)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_killed_supervisor_is_settled_by_its_face(kedge: Any, executor: str) -> None:
    run = Run(kedge, "--executor", executor)
    os.kill(run.supervisor, signal.SIGKILL)
    code, said = run.end()
    assert code == 1
    assert "error[lost]" in said
    assert run.id in said
    assert within(10, run.is_gone)
    record = run.record()
    assert (record["status"], record["failure_kind"]) == ("failed", "lost")
    assert not (Path(record["folder"]) / "workspace").exists()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_when_both_are_killed_the_next_start_settles_it(kedge_alone: Any, executor: str) -> None:
    run = Run(kedge_alone, "--executor", executor)
    os.kill(run.supervisor, signal.SIGSTOP)  # else it may tidy up first
    os.kill(run.face.pid, signal.SIGKILL)
    os.kill(run.supervisor, signal.SIGKILL)
    run.end()
    kedge_alone("runs")
    assert within(10, run.is_gone)
    record = run.record()
    assert record["failure_kind"] == "lost"
    assert sorted(os.listdir(record["folder"])) == ["log"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_is_cancelled_from_elsewhere_with_all_it_started(kedge: Any, executor: str) -> None:
    run = Run(kedge, "--executor", executor)
    began = time.monotonic()
    said = kedge("cancel", run.id[:8]).err
    took = time.monotonic() - began
    assert run.is_gone()
    assert f"run {run.id}: cancelled" in said
    assert 1.0 <= took < 10.0  # its grace period is a second
    code, said = run.end()
    assert code == 130
    assert "error[cancelled]" in said
    assert run.record()["status"] == "cancelled"


def test_cancelling_by_force_does_without_the_grace(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "stays.py").write_text((STUBBORN / "stays.py").read_text())
    (tmp_path / "kedge.yml").write_text(
        'name: patient\nruntime: {kind: python, version: "3.12"}\n'
        'functions: {f: {handler: "stays:ignores", resources: {memory_mb: 256, grace: 3000}}}\n'
    )
    process = kedge.start("run", tmp_path)
    for raw in process.stderr:
        if raw.startswith(b"progress: 1/1 ready"):
            break
    (run,) = kedge.runs_of(tmp_path)
    answer = kedge("cancel", run["id"], "--force", "--json").json
    assert answer["status"] == "cancelled"
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130


def test_cancelling_what_has_ended_or_never_was(kedge: Any) -> None:
    ended = kedge("run", STUBBORN, "writes", "seconds=0", "files=1", "--json").json["_run"]["id"]
    assert "had ended already: succeeded" in kedge("cancel", ended).err
    error = kedge("cancel", "000000000000", "--json", code=2).json["error"]
    assert error["code"] == "unknown-name"


def test_a_run_that_is_being_prepared_is_on_record_and_can_be_cancelled(
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
        (run,) = kedge_alone("runs", "--json").json
        assert run["status"] == "preparing"
        assert "cancelled" in kedge_alone("cancel", "last").err
        out, _ = process.communicate(timeout=LIMIT_S)
        connection.close()
    assert process.returncode == 130
    assert json.loads(out)["error"]["run"] == run["id"]
    assert not list((kedge_home / "resolving").iterdir())


def test_inputs_that_are_refused_after_preparing_leave_no_run(
    kedge_alone: Any, kedge_home: Path
) -> None:
    kedge_alone("run", STUBBORN, "writes", "files=many", code=2)
    assert kedge_alone("runs", "--json").json == []
    assert list((kedge_home / "runs").iterdir()) == []


def test_a_stopped_face_does_not_keep_its_run_from_its_timeout(kedge: Any) -> None:
    run = Run(kedge, "--timeout", "2", function="floods")
    os.kill(run.face.pid, signal.SIGSTOP)
    try:
        assert within(LIMIT_S, lambda: run.record()["status"] == "failed")
    finally:
        os.kill(run.face.pid, signal.SIGCONT)
    code, said = run.end()
    assert code == 124
    assert "error[timeout]" in said
    assert "are not shown here" in said


def test_a_reader_of_the_output_need_not_wait_for_the_supervisor(kedge: Any) -> None:
    run = Run(kedge)
    os.kill(run.supervisor, signal.SIGSTOP)
    os.kill(run.face.pid, signal.SIGKILL)
    try:
        run.face.communicate(timeout=LIMIT_S)  # to the end of both streams
    finally:
        os.kill(run.supervisor, signal.SIGCONT)
    assert within(LIMIT_S, lambda: run.record()["failure_kind"] == "lost")


def test_the_supervisor_asked_by_a_signal_cancels(kedge: Any) -> None:
    run = Run(kedge)
    os.kill(run.supervisor, signal.SIGTERM)
    assert run.end()[0] == 130
    assert run.is_gone()


def test_nothing_is_written_twice_when_output_was_not_yet_flushed(kedge: Any) -> None:
    done = subprocess.run(
        [*kedge.words, "run", STUBBORN, "writes", "seconds=0", "files=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        check=True,
    )
    assert done.stdout.count(b"result") == 1


def test_a_hang_up_that_is_ignored_stops_nothing(kedge: Any) -> None:
    words = [*kedge.words, "run", str(STUBBORN), "tidies", "-v"]
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    name = ""
    for raw in process.stderr:
        if raw.startswith(b"running "):
            name = raw.decode().partition("(run ")[2].partition(",")[0]
        if raw.startswith(b"progress: 1/1 ready"):
            break
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    # Asked once, gently: a hang-up that counted would have made the second a kill without grace.
    assert list(kedge("show", name, "--json").json["artifacts"]) == ["partial.txt"], err


def test_whoever_ignores_its_children_can_start_a_run(kedge: Any) -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        "os.execv(sys.executable, [sys.executable, '-m', 'kedge', *sys.argv[1:]])"
    )
    words = ["run", str(STUBBORN), "writes", "seconds=0", "files=1", "--json"]
    done = subprocess.run(
        [kedge.words[0], "-c", code, *words], capture_output=True, check=True, timeout=LIMIT_S
    )
    assert json.loads(done.stdout)["result"] == 1


def test_what_was_printed_before_a_silence_is_shown_during_it(kedge: Any, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "import sys, time, kedge\n"
        "def f() -> int:\n"
        "    kedge.progress(1, 1, 'ready')\n"
        "    time.sleep(1)\n"
        "    sys.stdout.write('x' * 400_000 + 'end\\n')\n"
        "    sys.stdout.flush()\n"
        "    time.sleep(3600)\n"
    )
    process = kedge.start("run", tmp_path / "f.py")
    for raw in process.stderr:
        if raw.startswith(b"progress: 1/1 ready"):
            break
    os.kill(process.pid, signal.SIGSTOP)
    (run,) = kedge.runs_of(tmp_path / "f.py")
    log = Path(run["folder"]) / "log"
    assert within(LIMIT_S, lambda: log.stat().st_size > 400_000)
    os.kill(process.pid, signal.SIGCONT)
    for raw in process.stderr:  # comes while the code is silent, or never
        if raw.endswith(b"end\n"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)


def test_a_full_standard_output_is_said_so_on_the_other_stream(kedge: Any) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*kedge.words, "run", str(STUBBORN), "writes", "seconds=0", "files=1", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert b"error[unavailable]: standard output cannot be written: No space left" in done.stderr
    assert b"Traceback" not in done.stderr
