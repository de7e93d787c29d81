"""Containers that serve several calls: each call finds what a container of its own would show it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine
from kedge.executor.warm.pool import Pool
from kedge.package.source import open_package
from kedge.run.core import Observer, Ready, Request, run, settle
from kedge.run.prepare import prepare

PACKAGE = Path(__file__).parents[1] / "packages" / "hostile-image"
RUNTIME = "runtime: {kind: dockerfile, dockerfile: Dockerfile}"
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can clean a container")

# What an answer always has: which container it is from, and what is left in it by others.
LOOK = """
import json, os, resource, socket
def listed(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []
def system_v():
    return [name for name in ("shm", "sem", "msg") if len(open("/proc/sysvipc/" + name).readlines()) > 1]
said = {
    "hostname": socket.gethostname(),
    "files": {place: listed(place) for place in ("/tmp", "/dev/shm", "/dev/mqueue", "/workspace/scratch",
              "/workspace/out/files", "/workspace/out/artifacts")},
    "ours": sorted(os.listdir("/workspace/in/files")),
    "processes": sum(name.isdigit() and os.stat("/proc/" + name).st_uid == os.getuid() for name in os.listdir("/proc")),
    "system v": system_v(),
    "sockets": [line for line in open("/proc/net/tcp").readlines()[1:]],
    "variables": {name: value for name, value in os.environ.items() if name not in ("KEDGE_RUN_ID", "HOSTNAME")},
    "umask": os.umask(0o22),
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
}
json.dump({"said": said}, open("/workspace/out/data.json", "w"))
"""
DEEDS = {
    "files": """
for place in ("/tmp", "/dev/shm", "/workspace/scratch", "/workspace/out/artifacts"):
    open(place + "/left", "w").write("x" * 100_000)
""",
    "processes": """
import subprocess
for _ in range(3):
    subprocess.Popen(["sh", "-c", "trap '' TERM HUP; setsid sleep 1000 & setsid sleep 1000"], start_new_session=True)
""",
    "signals": """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    try:
        os.kill(1, number)
    except PermissionError:
        pass
""",
    "everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)\n",
    "system v": """
import ctypes
assert ctypes.CDLL(None).shmget(4242, 4096, 0o1600) >= 0
""",
    "queues": """
import ctypes
assert ctypes.CDLL(None).mq_open(b"/left", 0o102, 0o600, None) >= 0
""",
    "sockets": """
import socket, threading
server = socket.create_server(("127.0.0.1", 4242))
threading.Thread(target=lambda: server.accept()[0].close()).start()
socket.create_connection(("127.0.0.1", 4242)).recv(1)
""",
    "memory": "x = b'x' * (1 << 30)\n",
    "crash": "import os\nos.abort()\n",
    "files in": "import os\nos.chmod('/workspace/out', 0o700)\nos.symlink('/etc', '/workspace/scratch/link')\n",
}


@pytest.fixture
def ready(engine: Engine) -> Ready:
    """The package on the engine."""
    source = open_package(str(PACKAGE))
    return Ready(source, prepare(source, executor=engine.kind))


@pytest.fixture
def call(
    ready: Ready, engine: Engine, containers: Callable[[], list[str]], tmp_path: Path
) -> Iterator[Any]:
    """Calls Python code in the image, warm unless said otherwise; nothing is left in the end."""
    notices: list[str] = []
    with Pool() as pool:

        def calls(code: str, *, warm: bool = True, ready: Ready = ready, **overrides: Any) -> Any:
            file = tmp_path / "code.py"
            file.write_text(code)
            request = Request("look", {"code": str(file)}, overrides, engine.kind)
            observer = Observer(notice=notices.append)
            return run(ready, request, observer, pool=pool if warm else None)

        calls.notices = notices  # type: ignore[attr-defined]
        calls.pool = pool  # type: ignore[attr-defined]
        yield calls
    until(lambda: containers() == [])


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def alike(said: dict[str, Any]) -> dict[str, Any]:
    """An answer without the name of its container."""
    return {name: value for name, value in said.items() if name != "hostname"}


def test_the_next_call_is_in_the_same_container_and_finds_the_same(call: Any) -> None:
    cold = call(LOOK, warm=False).outputs["said"]
    first, second = (call(LOOK).outputs["said"] for _ in range(2))
    assert first["hostname"] == second["hostname"] != cold["hostname"]
    assert alike(first) == alike(second)
    # A container of its own has another first process, which is the run's account's.
    assert alike(first) | {"processes": 0} == alike(cold) | {"processes": 0}


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_a_call_does_the_next_one_finds_nothing_of_it(call: Any, deed: str) -> None:
    before = call(LOOK).outputs["said"]
    call(DEEDS[deed] + ("" if deed in ("everybody", "memory", "crash") else LOOK), memory_mb=128)
    call(DEEDS[deed] + ("" if deed in ("everybody", "memory", "crash") else LOOK))
    after = call(LOOK).outputs["said"]
    assert alike(after) == alike(before)


def test_failures_have_their_kinds(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call(LOOK)
    kinds = [
        call(code, **overrides).failure.kind
        for code, overrides in (
            ("raise SystemExit(3)", {}),
            ("x = b'x' * (1 << 30)", {"memory_mb": 128}),
            ("import time\ntime.sleep(100)", {"timeout": 0.5}),
            ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", {}),
        )
    ]
    assert kinds == ["function_error", "out_of_memory", "timeout", "function_error"]
    assert not (tmp_path / "oom").exists()  # what Podman's watcher would leave where it works


def test_an_image_with_volumes_gets_a_container_for_each_call(
    call: Any, engine: Engine, tmp_path: Path, kedge_home: Path
) -> None:
    folder = tmp_path / "volumes"
    folder.mkdir()
    lines = (PACKAGE / "kedge.yml").read_text().splitlines()
    rest = [line for line in lines if not line.startswith("runtime:")]
    (folder / "kedge.yml").write_text("\n".join([RUNTIME, *rest]))
    (folder / "Dockerfile").write_text(
        "FROM localhost/kedge-test/debian:bookworm\nRUN mkdir -m 777 /opt/kept\nVOLUME /opt/kept\n"
    )
    source = open_package(str(folder))
    ready = Ready(source, prepare(source, executor=engine.kind))
    code = (
        "open('/opt/kept/left', 'a').write('x')\nassert len(open('/opt/kept/left').read()) == 1\n"
    )
    try:
        for _ in range(2):
            call(code + LOOK, ready=ready).outputs  # noqa: B018 - raises what failed
        assert [one for one in call.notices if "volumes" in one] != []
    finally:
        own = ("--quiet", "--filter", f"label=kedge.home={kedge_home}")
        found = subprocess.run([engine.path, "images", *own], capture_output=True, text=True)
        subprocess.run([engine.path, "rmi", "--force", *found.stdout.split()], capture_output=True)


def test_what_is_shown_below_tmp_is_there_in_a_container_for_each_call(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tmp_path / "shown"
    shown.write_text("shown")
    monkeypatch.setenv("KEDGE_SANDBOX_PATHS", str(shown))
    for _ in range(2):
        call(f"assert open({str(shown)!r}).read() == 'shown'\n" + LOOK).outputs  # noqa: B018
    (said,) = [one for one in call.notices if "container of its own" in one]
    assert str(shown) in said


def test_a_result_is_not_lost_with_the_keeper(call: Any) -> None:
    first = call(LOOK).outputs["said"]
    with ThreadPoolExecutor(1) as thread:
        going = thread.submit(call, "import time\ntime.sleep(3)\n" + LOOK)
        until(lambda: [one["calls"] for one in call.pool.kept()] == [1])
        time.sleep(1)  # until its engine has begun it
        os.kill(call.pool._keeper[0], signal.SIGKILL)
        assert alike(going.result().outputs["said"]) == alike(first)
    assert alike(call(LOOK).outputs["said"]) == alike(first)
    settle()


HOLDER = """
import sys, time
sys.path.insert(0, {tests!r})
from kedge.executor.warm.pool import Pool
from kedge.package.source import open_package
from kedge.run.core import Ready, Request, run
from kedge.run.prepare import prepare
source = open_package({package!r})
ready = Ready(source, prepare(source, executor={kind!r}))
pool = Pool()
result = run(ready, Request("look", {{"code": {code!r}}}, {{}}, {kind!r}), pool=pool)
assert result.failure is None, result.failure
print("ready", flush=True)
time.sleep(1000)
"""


def test_what_was_kept_ends_with_who_kept_it(
    engine: Engine, containers: Callable[[], list[str]], tmp_path: Path, kedge_home: Path
) -> None:
    code = tmp_path / "code.py"
    code.write_text(LOOK)
    program = HOLDER.format(tests="", package=str(PACKAGE), kind=engine.kind, code=str(code))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
        assert len(containers()) == 1
        os.kill(holder.pid, signal.SIGKILL)
    until(lambda: containers() == [])
    settle()
    assert list((kedge_home / "tmp").iterdir()) == []
