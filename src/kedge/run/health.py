"""What of this machine Kedge can use, why not more, and what would lift that.

Nothing here needs a network, and whatever is started is given up on after a while.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

from kedge import settings
from kedge.data import Data, asdict
from kedge.errors import KedgeError
from kedge.executor import choose, executors
from kedge.home import home

if TYPE_CHECKING:
    from kedge.environment.interpreters import Interpreter

type State = Literal["ok", "limited", "missing"]

_ANSWER_S: Final = 10.0  # for a program to say its version: on a busy machine it takes one or two
_LITTLE_ROOM: Final = 2 * 10**9  # bytes: one scientific environment
_FICLONE: Final = 0x40049409  # linux/fs.h: share all blocks of one file with another
_DAY_S: Final = 86_400.0


class Check(Data):
    """One thing that was looked at.

    Args:
        name: what.
        state: whether it works, partly, or not.
        what: in words for people.
        hints: what would lift what is missing; one may have several lines.
    """

    name: str
    state: State
    what: str
    hints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self) | {"hints": list(self.hints)}


class Health(Data):
    """All checks, and whether a function can run on this machine at all."""

    checks: tuple[Check, ...]
    can_run: bool


def examine() -> Health:
    """Look at everything; a few seconds, most of them for Pythons that were never seen before."""
    checks = tuple(_told(name, check) for name, check in _CHECKS)
    state = {one.name: one.state for one in checks}
    runs = "missing" not in (state["home"], state["executor"], state["pythons"])
    return Health(checks, runs)


def _told(name: str, check: Callable[[], tuple[State, str, tuple[str, ...]]]) -> Check:
    try:
        return Check(name, *check())
    except KedgeError as error:
        return Check(name, "missing", str(error), (error.hint,) if error.hint else ())
    except OSError as error:
        return Check(name, "missing", f"{error.filename or name}: {error.strerror or error}")


def _system() -> tuple[State, str, tuple[str, ...]]:
    uname = os.uname()
    what = f"{uname.sysname} {uname.release} on {uname.machine}"
    if sys.platform != "linux":
        return "missing", what, ("functions run on Linux; a virtual machine will do",)
    return "ok", what, ()


def _configuration() -> tuple[State, str, tuple[str, ...]]:
    changed = [one for one in settings.settings() if one.origin != "default"]
    listed = ", ".join(one.key.name for one in changed)
    return "ok", f"set: {listed}" if changed else "defaults", ()


def _home() -> tuple[State, str, tuple[str, ...]]:
    place, there = home(), _existing()
    status = os.stat(there)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        what = f"{place} cannot be written: {error.strerror}"
        return "missing", what, ("set KEDGE_HOME to a folder that you can write to",)
    if there != place:
        return "ok", f"{place}, which the first command makes", ()
    if status.st_uid != os.geteuid():
        what = f"{place} belongs to account {status.st_uid}, not to {os.geteuid()}"
        return "limited", what, ("give each account a KEDGE_HOME of its own",)
    if status.st_mode & 0o022:
        return "limited", f"others can write to {place}", (f"`chmod go-w {place}`",)
    return "ok", place, ()


def _disk() -> tuple[State, str, tuple[str, ...]]:
    free = shutil.disk_usage(_existing()).free
    what = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE_ROOM:
        return "limited", what, ("`kedge gc` removes what is not needed any more",)
    return "ok", what, ()


def _copies() -> tuple[State, str, tuple[str, ...]]:
    """Whether files can share their blocks where Kedge keeps things."""
    folder = _existing()
    with tempfile.TemporaryFile(dir=folder) as one, tempfile.TemporaryFile(dir=folder) as other:
        one.write(b"x" * 4096)
        one.flush()
        try:
            fcntl.ioctl(other.fileno(), _FICLONE, one.fileno())
        except OSError:
            hint = "let KEDGE_HOME be on Btrfs, XFS or bcachefs, if large inputs are copied often"
            return "limited", "files are copied byte by byte: no reflinks here", (hint,)
    return "ok", "files are copied by sharing their blocks", ()


def _clock() -> tuple[State, str, tuple[str, ...]]:
    now = time.time()
    what = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    seen = [__file__, os.path.join(home(), "kedge.db")]
    latest = max(os.stat(path).st_mtime for path in seen if os.path.exists(path))
    if now < latest - _DAY_S:
        return "limited", f"{what}: it is behind the files here", ("set the clock, or start NTP",)
    return "ok", what, ()


def _sandbox() -> tuple[State, str, tuple[str, ...]]:
    from kedge.executor import probe
    from kedge.executor.obstacles import obstacles

    state = executors.get("sandbox")().usable(fresh=True)
    found = probe.look()
    if state.ok:
        version = _answer([found.path, "--version"], _ANSWER_S)
        return "ok", f"namespaces by {found.path} ({version or 'it does not say its version'})", ()
    blocked = obstacles(found.path, as_root=os.geteuid() == 0) if found.path else []
    reason = "; ".join((state.reason, *(one.reason for one in blocked)))
    return "missing", reason, tuple(one.hint for one in blocked) or (state.hint,)


def _filter() -> tuple[State, str, tuple[str, ...]]:
    from kedge.executor import seccomp

    if not seccomp.supported():
        what = f"no system-call filter for {os.uname().machine}"
        return "missing", what, ("use x86_64 or aarch64",)
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        if not any(line.startswith("Seccomp:") for line in file):
            hint = "use a kernel with CONFIG_SECCOMP_FILTER=y"
            return "missing", "this kernel has no system-call filters", (hint,)
    return "ok", "system calls can be filtered", ()


def _landlock() -> tuple[State, str, tuple[str, ...]]:
    from kedge.executor import landlock

    state = landlock.state()
    hints = (state.hint,) if state.hint else ()
    if not state.abi:
        return "missing", state.reason, hints
    what = f"version {state.abi}: {', '.join(state.confines)}"
    if state.lacks:
        return "limited", f"{what}; not {', '.join(state.lacks)}", hints
    return "ok", what, ()


def _groups() -> tuple[State, str, tuple[str, ...]]:
    from kedge.executor import cgroups

    found = cgroups.available()
    hints = (found.hint,) if found.hint else ()
    if found.version is None:
        return "missing", found.reason, hints
    limits = ", ".join(sorted(found.controllers)) or "nothing"
    what = f"version {found.version}, can limit {limits}"
    if found.reason:
        return "limited", f"{what}: {found.reason}", hints
    return "ok", what, ()


def _executor() -> tuple[State, str, tuple[str, ...]]:
    """What `kedge run` takes on this machine, and what that does not enforce."""
    from kedge.package import resources
    from kedge.package.machine import this_machine

    asked = settings.get("executor")
    chosen = choose(asked)
    kind = chosen.executor.kind
    state = chosen.executor.usable()
    if not state.ok:
        return "missing", f"`{asked}` gives {kind}: {state.reason}", (state.hint,)
    limits, _, _ = resources.effective({}, {}, {}, this_machine())
    lacking = chosen.executor.missing(limits)
    what = f"`{asked}` gives {kind}"
    if lacking:
        what += f"; not enforced here: {'; '.join(lacking)}"
    if kind != "sandbox" and asked == "auto":
        return "limited", what, ("what the line `sandbox` needs would lift this",)
    return ("limited" if lacking else "ok"), what, ()


def _uv() -> tuple[State, str, tuple[str, ...]]:
    from kedge.environment import uv

    path = uv.binary()
    version = _answer([path, "--version"], _ANSWER_S)
    if version is None:
        hint = "install it anew with `pip install --force-reinstall uv`"
        return "missing", f"{path} does not answer", (hint,)
    return "ok", f"{path} ({version})", ()


def _pythons() -> tuple[State, str, tuple[str, ...]]:
    found = sorted(
        (one.version for one in _interpreters()),
        key=lambda version: [int(part) for part in version.split(".")],
    )
    if not found:
        return "missing", "none that can run functions", ("install Python 3.8 or newer",)
    listed: dict[str, None] = dict.fromkeys(found)
    more = "uv downloads others" if settings.get("python.download") else "others are not downloaded"
    return "ok", f"{', '.join(listed)}; {more}", ()


def _warm() -> tuple[State, str, tuple[str, ...]]:
    """Whether a process that has imported a module can be kept for the next runs."""
    if not settings.get("warm"):
        return "limited", "turned off by the setting `warm`", ("set `warm` to true",)
    sandbox = executors.get("sandbox")().usable()
    if not sandbox.ok:
        what = "each run imports its module anew: there is no sandbox"
        return "missing", what, ("what the line `sandbox` needs would lift this",)
    from kedge.executor.warm import trial

    found = next(_interpreters(), None)
    if found is None:
        return "missing", "there is no Python to try it with", ()
    obstacle = trial.obstacle(found.path, found.visible)
    if obstacle is not None:
        return "missing", f"each run imports its module anew: {obstacle.reason}", (obstacle.hint,)
    return "ok", "processes that have imported a module can be kept for the next runs", ()


def _interpreters() -> "Iterator[Interpreter]":
    """Each final CPython that was found."""
    from kedge.environment import candidates, interpreters, versions

    paths = dict.fromkeys(
        os.path.realpath(path)
        for path in candidates.paths(tuple(settings.get("python.paths")), None)
    )
    known = {path: interpreters.known(path) for path in paths}
    known |= candidates.probe_all([path for path, one in known.items() if one is None])
    for one in known.values():
        if one is None or not versions.is_final(one.version):
            continue
        if versions.release(one.version)[:2] >= interpreters.OLDEST:
            yield one


def _engine(name: str) -> Callable[[], tuple[State, str, tuple[str, ...]]]:
    """Whether a container engine is there and answers, for packages that stand on images."""

    def check() -> tuple[State, str, tuple[str, ...]]:
        from kedge.engine.look import look
        from kedge.engine.programs import program

        found = look(name, fresh=True)
        engine = found.engine
        if engine is None:
            return ("limited" if program(name) else "missing"), found.reason, (found.hint,)
        mode = "rootless" if engine.rootless else "as root"
        if not engine.local:
            hint = "unset DOCKER_HOST, or run Kedge there"
            return "limited", f"{engine.path} ({engine.version}) is on another machine", (hint,)
        return "ok", f"{engine.path} ({engine.version}), {mode}, {engine.platform}", ()

    return check


def _answer(words: list[str], patience: float) -> str | None:
    """The first line a program writes; None when it fails or takes longer."""
    try:
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)  # what it started holds the pipe as well
                return None
    except OSError:
        return None
    lines = said.decode(errors="replace").splitlines()
    return lines[0].strip() if process.returncode == 0 and lines else None


def _existing() -> str:
    """Kedge's home, or the nearest folder above it that is there."""
    path = home()
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


_CHECKS: Final = (
    ("system", _system),
    ("configuration", _configuration),
    ("home", _home),
    ("disk", _disk),
    ("copies", _copies),
    ("clock", _clock),
    ("sandbox", _sandbox),
    ("system calls", _filter),
    ("landlock", _landlock),
    ("control groups", _groups),
    ("executor", _executor),
    ("uv", _uv),
    ("pythons", _pythons),
    ("warm", _warm),
    ("docker", _engine("docker")),
    ("podman", _engine("podman")),
)
