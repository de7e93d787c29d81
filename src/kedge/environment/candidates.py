"""Where Pythons may be on this machine, and what one says about itself when it is run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kedge.environment.interpreters import Interpreter, identity_of

PROBE_TIMEOUT: Final = 15.0  # seconds; a healthy one answers in 0.1, a loaded machine is slower
_AT_ONCE: Final = 4  # candidates run side by side; more only fight for the disk
_NAME: Final = re.compile(r"python(?:3(?:\.\d+)?)?")

# Runs on every Python that knows `-I`, however old. The shared objects that are loaded after a few
# imports are the true list of what must be readable, whatever was configured when it was built.
PROGRAM: Final = r"""
import json, os, sys, sysconfig
for name in ("ssl", "sqlite3", "ctypes", "lzma", "bz2", "zlib"):
    try:
        __import__(name)
    except Exception:
        pass
from importlib.util import MAGIC_NUMBER
try:
    with open("/proc/self/maps") as maps:
        loaded = sorted({line.split(None, 5)[5].strip() for line in maps if ".so" in line})
except OSError:
    loaded = []
major, minor, micro, level, serial = sys.version_info
stage = "" if level == "final" else {"alpha": "a", "beta": "b", "candidate": "rc"}[level] + str(serial)
root = {"base": "", "platbase": "", "installed_base": "", "installed_platbase": ""}
print("kedge:" + json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": "%d.%d.%d%s" % (major, minor, micro, stage),
    "implementation": sys.implementation.name,
    "cache_tag": sys.implementation.cache_tag,
    "magic": "".join("%02x" % byte for byte in bytearray(MAGIC_NUMBER)),
    "platform": sysconfig.get_platform(),
    "base_prefix": sys.base_prefix,
    "base_exec_prefix": sys.base_exec_prefix,
    "stdlib": sysconfig.get_path("stdlib", "posix_prefix"),
    "purelib": sysconfig.get_path("purelib", "posix_prefix", root),
    "libdir": sysconfig.get_config_var("LIBDIR") if sysconfig.get_config_var("Py_ENABLE_SHARED") else "",
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "loaded": loaded,
}))
"""


def paths(configured: Iterable[str], minor: str | None) -> Iterator[str]:
    """Executables that may be a Python, the configured first; of `minor` only if one is given.

    Names that say nothing of a version (`python3`, configured ones) are always among them.
    """
    for path in configured:
        whole = os.path.expanduser(path)
        if os.path.isdir(whole):
            yield from _in_folder(whole, None)
            yield from _in_folder(os.path.join(whole, "bin"), None)
            for name in _listed(whole):  # a folder of installations, as uv and pyenv keep them
                yield from _in_folder(os.path.join(whole, name, "bin"), None)
        else:
            yield whole
    yield os.path.realpath(sys.executable)  # before others of its version: it is known to work
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.isabs(folder):
            yield from _in_folder(folder, minor)
    for installations in _installations():
        names = sorted(_listed(installations), key=_numbers, reverse=True)
        for name in names:
            if minor is None or f"{minor}." in f"{name}.":
                yield from _in_folder(os.path.join(installations, name, "bin"), minor)
    fixed = ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"]
    fixed += [os.path.join("/opt", name, "bin") for name in _listed("/opt")]
    for folder in fixed:
        yield from _in_folder(folder, minor)


def probe_all(executables: list[str]) -> dict[str, Interpreter]:
    """What each executable says when it is run; those that are no CPython are left out."""
    if not executables:
        return {}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = zip(executables, pool.map(probe, executables), strict=True)
        return {path: one for path, one in answers if one is not None}


def probe(executable: str) -> Interpreter | None:
    """Run one candidate; None when it fails, hangs, or is not a CPython that can carry environments."""
    # A Python that only works with the caller's loader variables would not work in a sandbox.
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "LD_", "DYLD_", "__PYVENV"))
    }
    try:
        answer = subprocess.run(
            [executable, "-I", "-B", "-c", PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT,
            cwd="/",  # a version manager's shim must not answer for some project's folder
            env=variables,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.decode(errors="replace").splitlines()
    said = next((line for line in lines if line.startswith("kedge:")), None)
    if answer.returncode or said is None:
        return None
    try:
        return _interpreter(json.loads(said.removeprefix("kedge:")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _interpreter(said: dict[str, Any]) -> Interpreter | None:
    path = said["executable"]
    identity = identity_of(path)
    in_copied_environment = os.path.exists(
        os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")
    )
    if (
        identity is None
        or said["implementation"] != "cpython"
        or said["free_threaded"]
        or in_copied_environment
    ):
        return None
    return Interpreter(
        path=path,
        version=said["version"],
        implementation=said["implementation"],
        cache_tag=said["cache_tag"],
        magic=said["magic"],
        platform=said["platform"],
        base_prefix=said["base_prefix"],
        stdlib=said["stdlib"],
        purelib=said["purelib"].lstrip("/"),
        visible=_visible(said),
        identity=identity,
    )


def _visible(said: dict[str, Any]) -> tuple[str, ...]:
    """The folders this Python needs besides the system's own, none of them inside another."""
    libraries = [os.path.dirname(library) for library in said["loaded"]]
    wanted = [
        said["base_prefix"],
        said["base_exec_prefix"],
        said["stdlib"],
        os.path.dirname(said["executable"]),
        *([said["libdir"]] if said["libdir"] else []),
        *libraries,
    ]
    # Both spellings: what it was configured with, and where that leads.
    both = {os.path.normpath(path) for path in wanted} | {os.path.realpath(path) for path in wanted}
    outside = sorted(path for path in both if path != "/" and not _is_systems(path))
    found: list[str] = []
    for path in outside:
        if os.path.isdir(path) and not any(path.startswith(f"{kept}/") for kept in found):
            found.append(path)
    return tuple(found)


def _is_systems(path: str) -> bool:
    """Whether a path is under /usr or one of the aliases of its folders."""
    return re.match(r"/(?:usr|lib|lib32|lib64|libx32|bin|sbin)(?:/|$)", path) is not None


def _installations() -> list[str]:
    user = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(user, ".local", "share")
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(user, ".pyenv")
    uvs = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    return [
        os.path.join(pyenv, "versions"),
        uvs,
        "/Library/Frameworks/Python.framework/Versions",
    ]


def _in_folder(folder: str, minor: str | None) -> Iterator[str]:
    names = [name for name in _listed(folder) if _NAME.fullmatch(name)]
    for name in sorted(names, key=lambda name: (-len(name), name)):
        if minor is None or name in (f"python{minor}", "python3", "python"):
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                yield path


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]
