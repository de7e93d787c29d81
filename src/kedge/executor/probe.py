"""Whether bubblewrap works on this machine: tried for real once, then remembered.

What was found holds until the machine starts again or bubblewrap changes. That it does *not* work is
believed for a minute only, since somebody may just be lifting the reason.
"""

import json
import os
import selectors
import threading
import time
from functools import lru_cache

from kedge import home
from kedge.boot import boot
from kedge.data import Data, asdict
from kedge.errors import KedgeError
from kedge.executor import identity, launch, seccomp
from kedge.executor.bubblewrap import ENV, SETPRIV, Bubblewrap
from kedge.executor.plan import bare_plan

_FORMAT = 1
_FAILURE_BELIEVED_S = 60.0
_TRIAL_S = 10.0  # a trial takes 10 ms; a machine on which it takes this long has other troubles

# Options that bubblewrap got late (0.7 and 0.8) and that a sandbox can do without.
_LATE_OPTIONS = ("--size", "--disable-userns")

_SYSTEM_FOLDERS = ("/usr/bin", "/usr/local/bin", "/bin")

_NO_NAMESPACES = (
    "allow namespaces (kernel.unprivileged_userns_clone=1,"
    " kernel.apparmor_restrict_unprivileged_userns=0, or a container started with --privileged)"
)


class Found(Data):
    """What is known: bubblewrap when it works, else the reason and what would lift it."""

    path: str
    options: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""

    @property
    def bubblewrap(self) -> Bubblewrap | None:
        """bubblewrap, ready to be used; None when it does not work."""
        return None if self.reason else Bubblewrap(self.path, frozenset(self.options))


def look(*, fresh: bool = False) -> Found:
    """What is known about this machine; tries it when nothing is, or when `fresh`."""
    path = _find()
    if path is None:
        return Found(
            "", (), "bubblewrap is not installed", "apt-get install bubblewrap, or the like"
        )
    key = _key(path)
    file = os.path.join(home.home(), "sandbox", f"{os.geteuid()}.json")
    if not fresh and (known := _remembered(file, key)) is not None:
        return known
    found = _tried(path)
    _remember(file, key, found)
    return found


def _find() -> str | None:
    for folder in (*os.environ.get("PATH", "").split(":"), *_SYSTEM_FOLDERS):
        path = os.path.join(folder, "bwrap")
        if os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    return None


def _key(path: str) -> str:
    status = os.stat(path)
    return f"{_FORMAT} {boot()} {path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _remembered(file: str, key: str) -> Found | None:
    try:
        status = os.stat(file)
        found, until = _read(file, key, status.st_mtime_ns, status.st_ino)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing, or nothing that can be believed
    return found if time.time() <= until else None


@lru_cache(1)
def _read(file: str, key: str, _changed: int, _inode: int) -> tuple[Found | None, float]:
    """What was remembered by that key, and until when it holds."""
    with open(file) as stream:
        data = json.load(stream)
    if data["key"] != key:
        return None, 0.0
    found, until = data["found"], float(data["until"])
    return Found(found["path"], tuple(found["options"]), found["reason"], found["hint"]), until


def _remember(file: str, key: str, found: Found) -> None:
    until = time.time() + _FAILURE_BELIEVED_S if found.reason else float(1 << 40)
    fresh = f"{file}.{os.getpid()}.{threading.get_ident()}"
    try:
        home.folder("sandbox")
        with open(fresh, "w") as stream:
            json.dump({"key": key, "until": until, "found": asdict(found)}, stream)
        os.replace(fresh, file)
    except OSError:
        return  # then the machine is tried each time, which is slower and no less true


def _tried(path: str) -> Found:
    if not seccomp.supported():
        machine = os.uname().machine
        return Found(
            path, (), f"there is no system-call filter for {machine}", "use x86_64 or aarch64"
        )
    if os.geteuid() == 0 and not identity.needed():
        return Found(
            path,
            (),
            "root has no unprivileged user numbers here to give to a run",
            "start Kedge as an ordinary user, or give the container a larger uid map",
        )
    if identity.needed():
        for tool in (SETPRIV, ENV):
            if not os.access(tool, os.X_OK):
                return Found(path, (), f"{tool} is not there", "install util-linux and coreutils")
    try:
        options = tuple(option for option in _LATE_OPTIONS if option in _output_of(path, "--help"))
        said = _trial(Bubblewrap(path, frozenset(options)))
    except KedgeError as error:
        return Found(path, (), error.message, error.hint or "")
    if said is None:
        return Found(path, options)
    return Found(path, options, f"a sandbox could not be made: {said}", _NO_NAMESPACES)


def _trial(bubblewrap: Bubblewrap) -> str | None:
    """None when a program can be started in a sandbox, else what was said instead."""
    variables = {"PATH": "/usr/bin:/bin"}
    if not identity.needed():
        return _ended(launch.start(bubblewrap, bare_plan(), ("true",), variables, None, {}))
    with identity.claimed() as account:
        return _ended(launch.start(bubblewrap, bare_plan(), ("true",), variables, account, {}))


def _ended(program: launch.Sandboxed) -> str | None:
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(program.ended, selectors.EVENT_READ)
            if not selector.select(_TRIAL_S):
                return f"a trial did not end within {_TRIAL_S:g} seconds"
        outcome = program.settle()
        os.set_blocking(program.stderr, False)
        if outcome.exit_code == 0:
            return None
        try:
            said = os.read(program.stderr, 4096).decode(errors="replace").strip()
        except BlockingIOError:
            said = ""
        return said.splitlines()[-1] if said else "bubblewrap gives no reason"
    finally:
        program.close()


def _output_of(path: str, option: str) -> str:
    import subprocess

    result = subprocess.run([path, option], capture_output=True, text=True, check=False, env={})
    return result.stdout + result.stderr
