"""Finding a CPython of the version that was asked for: candidates are run, never believed.

A version manager's shim may exist and fail, a link may point nowhere, a binary may be another
implementation. Each candidate is run once and what it says is kept in `KEDGE_HOME/interpreters.json` by
its path, size, time and inode: one that is known and unchanged costs a `stat` and no process.
"""

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from kedge import home
from kedge.data import Data, asdict
from kedge.errors import EnvironmentFailed, ManifestError

if TYPE_CHECKING:
    from kedge.environment import versions

LAYOUT: Final = 1  # of interpreters.json; another number is read as an empty file
OLDEST: Final = (3, 8)  # the runner's own language level


class Interpreter(Data):
    """A CPython that ran on this machine.

    Args:
        path: its executable, with every symbolic link resolved.
        version: exact ("3.12.1", "3.15.0a2").
        implementation: "cpython".
        cache_tag: of its compiled files ("cpython-312").
        magic: the number its compiled files start with, in hex.
        platform: "linux-x86_64".
        base_prefix: where its standard library and binaries are installed.
        stdlib: the folder of its standard library.
        purelib: where packages go below an environment ("lib/python3.12/site-packages").
        visible: host paths that must be readable, each at its own place, by a program that sees only
            /usr, its aliases and the loader's cache; empty for the system's own Python.
        identity: size, modification time (ns) and inode of the executable when it was run.
    """

    path: str
    version: str
    implementation: str
    cache_tag: str
    magic: str
    platform: str
    base_prefix: str
    stdlib: str
    purelib: str
    visible: tuple[str, ...]
    identity: tuple[int, int, int]

    @property
    def minor(self) -> str:
        """The version without its patch number: "3.12"."""
        return ".".join(self.version.split(".")[:2])


def find(
    version: str, *, paths: Iterable[str] = (), download: bool = False, timeout: float = 600.0
) -> Interpreter:
    """An interpreter of `version`; a known one costs no process.

    Args:
        version: "3.12", an exact "3.12.1", or a specifier set (">=3.10,<3.13") as scripts have.
        paths: executables, or folders that hold some, looked at before all others.
        download: whether uv may fetch one when this machine has none.
        timeout: seconds that a download may take.

    Raises:
        ManifestError: `version` is not a version.
        EnvironmentFailed: there is none; the message lists what there is.

    Example:
        >>> find("3.12").minor
        '3.12'
    """
    configured = tuple(paths)
    key = json.dumps([version, *configured])
    kept = _load()
    if chosen := _known(kept, kept["chosen"].get(key)):
        return chosen
    from kedge.environment import versions

    accepts = versions.accepts(version)
    if accepts is None:
        raise ManifestError(
            f"`{version}` is not a Python version.", hint='write one like "3.12", in quotes'
        )
    minor = _wanted_minor(version)

    def is_it(one: Interpreter) -> bool:
        return one.minor == minor and accepts(one.version) and versions.is_final(one.version)

    found = _scan(kept, configured, minor, is_it)
    best = _best(found, accepts)
    if best is None:
        found = _scan(kept, configured, None)
        best = _best(found, accepts)
    reason = ""
    if best is None and download:
        from kedge.environment import downloads

        folder, reason = downloads.fetch(version, timeout)
        best = _best(_scan(kept, (*configured, folder), None), accepts) if folder else None
    if best is None:
        raise _absent(version, found, reason)
    _keep(best, key)
    return best


def known(path: str) -> Interpreter | None:
    """What is kept about the executable `path` if it is still the same file, without running it."""
    return _known(_load(), path)


def behind(path: str) -> Interpreter | None:
    """The interpreter that the executable `path` runs, of a virtual environment its base; None if it is no CPython."""
    kept = _load()
    if found := _known(kept, os.path.realpath(path)):
        return found
    from kedge.environment import candidates

    found = candidates.probe(path)
    if found is not None:
        _keep(found)
    return found


def _best(found: list[Interpreter], accepts: "versions.Accepts") -> Interpreter | None:
    from kedge.environment import versions

    fitting = [one for one in found if accepts(one.version)]
    finals = [one for one in fitting if versions.is_final(one.version)]
    # Order of discovery, but for a range of minors the newest: what it was most likely tried with.
    return max(finals or fitting, key=lambda one: versions.release(one.version)[:2], default=None)


def _absent(version: str, found: list[Interpreter], reason: str) -> EnvironmentFailed:
    from kedge.environment import versions

    usable = sorted(found, key=lambda one: (versions.release(one.version), one.path))
    listed = ", ".join(f"{one.version} ({one.path})" for one in usable) or "none"
    message = f"Python {version} was asked for; found {listed}."
    if reason:
        message += f" Downloading it failed: {reason}"
    return EnvironmentFailed(
        message,
        hint=f"install Python {version}, name its executable in `python.paths` in kedge.toml, or ask "
        "for a version that is there",
        evidence={"asked": version, "found": [one.version for one in usable]},
    )


def _wanted_minor(version: str) -> str | None:
    match = re.match(r"\s*(?:==\s*|~=\s*)?(3\.\d+)(?:\.|\s*$)", version)
    return match.group(1) if match else None


def _scan(
    kept: dict[str, Any],
    paths: tuple[str, ...],
    minor: str | None,
    is_it: Callable[[Interpreter], bool] = lambda _: False,
) -> list[Interpreter]:
    """The interpreters among the candidates, in their order, each executable once.

    Those behind one that `is_it` need not be among them.
    """
    from kedge.environment import candidates, versions

    resolved = list(
        dict.fromkeys(os.path.realpath(path) for path in candidates.paths(paths, minor))
    )
    ready = {path: _known(kept, path) for path in resolved}
    unknown = [at for at, path in enumerate(resolved) if ready[path] is None]
    # The first one is most often right: the others are run, side by side, only when it is not.
    border = unknown[1] if len(unknown) > 1 else len(resolved)
    found: dict[str, Interpreter] = {}
    for part in (resolved[:border], resolved[border:]):
        probed = candidates.probe_all([path for path in part if ready[path] is None])
        for path in part:
            one = ready[path] or probed.get(path)
            if one is not None and versions.release(one.version)[:2] >= OLDEST:
                found.setdefault(one.path, one)  # a shim gives the path of what it runs
                kept["found"][one.path] = asdict(one)
        if any(map(is_it, found.values())):
            break
    return list(found.values())


def _known(kept: dict[str, Any], path: str | None) -> Interpreter | None:
    """The kept interpreter at `path` if its executable is the file that was run."""
    entry = kept["found"].get(path) if path else None
    if path is None or entry is None or identity_of(path) != tuple(entry["identity"]):
        return None
    return Interpreter(
        **{
            **entry,
            "visible": tuple(entry["visible"]),
            "identity": tuple(entry["identity"]),
        }
    )


def identity_of(path: str) -> tuple[int, int, int] | None:
    """Size, modification time in nanoseconds and inode of a file; None when it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _file() -> str:
    return os.path.join(home.home(), "interpreters.json")


def _load() -> dict[str, Any]:
    """What is kept; a file that is damaged or of another layout counts as empty."""
    try:
        with open(_file(), encoding="utf-8") as file:
            kept = json.load(file)
        fields = set(Interpreter.__fields__)
        if kept["layout"] == LAYOUT and all(
            set(entry) == fields for entry in kept["found"].values()
        ):
            return {"layout": LAYOUT, "found": kept["found"], "chosen": dict(kept["chosen"])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return {"layout": LAYOUT, "found": {}, "chosen": {}}


def _keep(interpreter: Interpreter, key: str | None = None) -> None:
    """Remember one, and for what it was chosen, added to what other processes have kept meanwhile."""
    from kedge.environment import folders

    kept = _load()
    kept["found"][interpreter.path] = asdict(interpreter)
    if key is not None:
        kept["chosen"][key] = interpreter.path
    with folders.writing("the list of interpreters"):
        home.folder()
        folders.write_file(_file(), json.dumps(kept, indent=1) + "\n")
