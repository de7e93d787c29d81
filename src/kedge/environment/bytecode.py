"""Byte-compiling once for each wheel and interpreter, and linking the result wherever that wheel is.

Compiling costs twenty times an install. What was compiled is kept in `KEDGE_HOME/bytecode/<key>`, where
the key names the distribution's sources by content (its RECORD's hashes, which the compiler verifies
before it keeps anything under that name) and the interpreter's bytecode. A new environment gets hard
links to what is there; what is missing is compiled without the first run waiting for it.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

from kedge import digest, home
from kedge.data import Data
from kedge.environment import folders
from kedge.environment.interpreters import Interpreter
from kedge.environment.runner import runner_for
from kedge.errors import EnvironmentFailed

__all__ = ["Distribution", "compile_folder", "finish", "is_finished", "link_known", "runner_for"]

LAYOUT: Final = 2  # of the store: another number compiles everything anew
MARKER: Final = ".compiled"  # in an environment's folder, once nothing is left to compile
TIMEOUT: Final = 1800.0  # seconds; the largest scientific stacks take a few minutes on two cores
_MAX_WORKERS: Final = 8  # each holds the syntax tree of a large module: up to some 200 MB
OnProgress = Callable[[str], None]


class Distribution(Data):
    """The Python sources of one installed package.

    Args:
        key: names their content and the interpreter's bytecode.
        rows: the lines of its RECORD that are about them, sorted.
    """

    key: str
    rows: tuple[str, ...]

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """Path relative to site-packages, and SHA-256 in hex, sorted."""
        return _sources(self.rows)

    @property
    def store(self) -> str:
        """The folder its compiled files are kept in."""
        return os.path.join(home.home(), "bytecode", self.key)


def link_known(interpreter: Interpreter, folder: str) -> bool:
    """Link what was compiled before into a new environment; whether that was everything."""
    from kedge.environment import compiler

    site = os.path.join(folder, interpreter.purelib)
    complete = True
    for one in _distributions(interpreter, site):
        complete &= compiler.link(one.store, site)
    if complete:
        mark(folder)
    return complete


def mark(folder: str) -> None:
    """Note that nothing is left to compile in an environment."""
    with open(os.path.join(folder, MARKER), "w"):
        pass


def is_finished(folder: str) -> bool:
    """Whether nothing is left to compile in an environment."""
    return os.path.exists(os.path.join(folder, MARKER))


def finish(
    interpreter: Interpreter,
    folder: str,
    how: Literal["background", "wait"],
    on_progress: OnProgress | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Compile what is left in an environment.

    Args:
        interpreter: the environment's.
        folder: the environment's folder.
        how: "background": a detached process of low priority does it, one for each environment, in a
            session of its own so that no signal meant for the caller reaches it; this returns at once.
            "wait": returns when it is done, by this process or by the one in the background.
        on_progress: told in words what is being waited for.
        timeout: seconds to wait.

    Raises:
        EnvironmentFailed: "wait" took longer than `timeout`.
    """
    guard = os.path.join(os.path.dirname(folder), ".held", f"{os.path.basename(folder)}.compile")
    if is_finished(folder) or (how == "background" and folders.is_held(guard)):
        return
    site = os.path.join(folder, interpreter.purelib)
    found = _distributions(interpreter, site)
    os.makedirs(os.path.dirname(guard), mode=0o700, exist_ok=True)
    job = _job(
        interpreter,
        [{"root": site, "store": one.store, "files": one.files} for one in found],
        lock=guard,
        marker=os.path.join(folder, MARKER),
        wait=how == "wait",
    )
    if how == "background":
        _run(interpreter, job, ["--detach"], timeout)
        return
    folders.sweep(os.path.join(home.home(), "bytecode"))
    if on_progress:
        on_progress(f"byte-compiling {sum(len(one.files) for one in found)} files")
    _run(interpreter, job, [], timeout)


def compile_folder(interpreter: Interpreter, folder: str) -> None:
    """Compile every Python file in `folder` into the `__pycache__` beside it.

    Symbolic links are not followed; what this Python cannot compile is left as it is. The folders must
    be writable now, and the files must not change later: nothing checks them again.
    """
    files = []
    for path, names, sources in os.walk(folder):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in sources:
            whole = os.path.join(path, name)
            if name.endswith(".py") and not os.path.islink(whole):
                files.append((os.path.relpath(whole, folder), None))
    if files:
        entry = {"root": folder, "store": None, "files": files}
        _run(interpreter, _job(interpreter, [entry]), [], TIMEOUT)


def _job(
    interpreter: Interpreter,
    entries: list[dict[str, Any]],
    lock: str | None = None,
    marker: str | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    return {
        "lock": lock,
        "marker": marker,
        "wait": wait,
        "nice": not wait,
        "workers": min(len(os.sched_getaffinity(0)), _MAX_WORKERS),
        "tag": interpreter.cache_tag,
        "folders": entries,
    }


def _run(interpreter: Interpreter, job: dict[str, Any], options: list[str], timeout: float) -> None:
    import subprocess

    program = [interpreter.path, "-I", "-S", "-B", "-W", "ignore", _beside("compiler.py"), *options]
    with subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        start_new_session=True,
    ) as process:
        try:
            process.communicate(json.dumps(job).encode(), timeout=timeout)
        except BaseException as error:
            with suppress(ProcessLookupError):  # after Ctrl-C Python has waited for it
                os.killpg(process.pid, 9)  # its workers too; what is unfinished is swept later
            if isinstance(error, subprocess.TimeoutExpired):
                raise EnvironmentFailed(
                    f"Byte-compiling took longer than {timeout:g} s.",
                    hint="run `kedge build` again: what was compiled is kept",
                ) from error
            raise


def _beside(name: str) -> str:
    return os.path.join(os.path.dirname(__file__), name)


def _distributions(interpreter: Interpreter, site: str) -> list[Distribution]:
    """The installed packages that have Python sources."""
    try:
        names = sorted(name for name in os.listdir(site) if name.endswith(".dist-info"))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        rows = _rows(os.path.join(site, name, "RECORD"))
        if rows:
            key = digest.of_json([LAYOUT, interpreter.magic, interpreter.cache_tag, rows])
            found.append(Distribution(key, rows))
    return found


def _rows(record: str) -> tuple[str, ...]:
    """The lines of a RECORD that are about Python files, sorted."""
    try:
        with open(record, encoding="utf-8", errors="replace") as file:
            rows = file.read().splitlines()
    except OSError:
        return ()
    # Programs, in folders beside this one, differ from environment to environment.
    return tuple(sorted({row for row in rows if _is_source(row)}))


def _is_source(row: str) -> bool:
    return (".py,sha256=" in row or '.py",sha256=' in row) and not row.startswith("../")


def _sources(rows: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The Python files that these rows list with their hashes; paths that lead elsewhere are left out."""
    import binascii

    found = set()
    for row in rows:
        path, _, rest = row.rpartition(",")[0].rpartition(",")
        if path.startswith('"'):
            path = path[1:-1].replace('""', '"')
        if not path.endswith(".py") or not rest.startswith("sha256="):
            continue
        parts = path.split("/")
        if ".." in parts or "" in parts or "__pycache__" in parts or "\0" in path:
            continue
        try:
            value = binascii.a2b_base64(rest[7:].replace("-", "+").replace("_", "/") + "=")
        except ValueError:
            continue
        if len(value) == 32:  # SHA-256's bytes
            found.add((path, value.hex()))
    return tuple(sorted(found))
