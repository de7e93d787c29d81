"""How long it takes until nothing of a run is left that does not want to end."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from figure import Figure, Goal, LeftOutError, Side
from rounds import alternate
from surroundings import Surroundings, program

_GRACE_S = 1.0
_PATIENCE_S = 30.0  # for a run to begin, or to end: far beyond what is measured
_ITSELF = "kedge.cli:main"  # in the command lines of Kedge's own processes
_ESCAPED = "kedge-benchmark-escaped"  # in the command line of the process that got away

# Ignores what it can, and leaves a process in a session of its own, whose parent is gone.
_TREE = f"""\
import os
import signal
import subprocess
import sys
import time

ESCAPING = '''
import os, signal, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[1]), b"1")
time.sleep(3600)
'''


def stays():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    read, write = os.pipe()
    words = [sys.executable, "-I", "-S", "-c", ESCAPING, str(write), "{_ESCAPED}"]
    subprocess.run(words, pass_fds=(write,), check=True)
    os.read(read, 1)
"""
_CODE = f"""\
{_TREE}

def main() -> None:
    stays()
    with open("out/progress.jsonl", "a") as file:
        file.write('{{"step": 1, "total": 1, "message": "ready"}}\\n')
    while True:
        time.sleep(3600)
"""
_PROGRAM = f"{_TREE}\nstays()\nprint('ready', flush=True)\ntime.sleep(3600)\n"


def cancelled(place: Surroundings) -> Iterator[Figure]:
    """A silent run that ignores SIGTERM, asked to stop; beside the kernel killing such a tree."""
    package = place.package("stays", _CODE, f"resources: {{grace: {_GRACE_S:g}}}\n")
    sandbox = (
        *(program("bwrap"), "--die-with-parent", "--unshare-pid", "--ro-bind", "/", "/"),
        *("--proc", "/proc", "--dev", "/dev", os.path.realpath(sys.executable), "-I", "-c"),
    )

    def by_interrupt() -> float:
        with _Started([place.kedge, "run", package]) as run:
            return run.until_gone(lambda: run.process.send_signal(signal.SIGINT)) - _GRACE_S

    def by_kill() -> float:
        with _Started([*sandbox, _PROGRAM]) as box:
            return box.until_gone(box.process.kill)

    ours, kernel = alternate(place.rounds(9), by_interrupt, by_kill)
    yield Figure(
        "cancel",
        Side(f"SIGINT until every process is gone, less {_GRACE_S:g} s of grace", ours),
        (Side("such processes in bubblewrap, all killed at once", kernel),),
        Goal("in all", 0.1),
    )

    def by_command() -> float:
        with _Started([place.kedge, "run", package]) as run:
            command = (place.kedge, "cancel", "last")
            asking: list[subprocess.Popen[bytes]] = []
            taken = run.until_gone(lambda: asking.append(_silent(command)))
            asking[0].wait()
            return taken - _GRACE_S

    commanded, listed = alternate(
        place.rounds(9), by_command, lambda: place.timed(place.kedge, "runs", "--limit", "1")
    )
    yield Figure(
        "cancel command",
        Side(f"kedge cancel until every process is gone, less {_GRACE_S:g} s of grace", commanded),
        (Side("kedge runs --limit 1: what a command costs by itself", listed),),
        Goal("above", 0.1),
    )


class _Started:
    """A program whose processes all stand ready: one of them has escaped from its family."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> "_Started":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until_gone(self, ask: Callable[[], None]) -> float:
        """Seconds from just before `ask` until all of its processes are gone.

        Neither itself nor another process of Kedge is counted: they end when the record is written.
        """
        self._wait_for_ready()
        pids = [pid for pid in _below(self.process.pid) if _ITSELF not in _command(pid)]
        if not any(_ESCAPED in _command(pid) for pid in pids):
            raise LeftOutError("the process that escapes is not among those of the run")
        handles = []
        for pid in pids:
            with suppress(ProcessLookupError):  # one that helped to start it, and has gone
                handles.append(os.pidfd_open(pid))
        try:
            began = time.perf_counter()
            ask()
            waiting = set(handles)
            while waiting:
                ended, _, _ = select.select(list(waiting), [], [], _PATIENCE_S)
                if not ended:
                    raise LeftOutError(f"{len(waiting)} processes of a run are still there")
                waiting -= set(ended)
            return time.perf_counter() - began
        finally:
            for handle in handles:
                os.close(handle)

    def _wait_for_ready(self) -> None:
        stream = self.process.stdout
        if stream is None:
            raise LeftOutError("nothing can be read from the run")
        said = b""
        while b"ready" not in said:
            if not select.select([stream], [], [], _PATIENCE_S)[0]:
                raise LeftOutError("the run that is to be cancelled does not begin")
            data = os.read(stream.fileno(), 4096)
            if not data:
                raise LeftOutError(f"the run that is to be cancelled ended: {said.decode()}")
            said += data


def _silent(words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def _below(ancestor: int) -> list[int]:
    """The processes that descend from one, without that one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # gone meanwhile
    found = [ancestor]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found[1:]


def _command(pid: int) -> str:
    """What a process was started with; nothing when it has gone."""
    try:
        with open(f"/proc/{pid}/cmdline", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
