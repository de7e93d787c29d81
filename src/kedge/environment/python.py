"""Python environments, made once for a lock and an interpreter and found again by digest.

An environment is what `venv` makes (a `pyvenv.cfg`, links to the interpreter, site-packages) filled by uv
with hard links into its cache. The frame is written here rather than by `uv venv`: its digest, not a
path, is its identity; nothing but the packages is in it (`uv venv` adds a start-up hook that every start
of Python would pay for); and installing into a prefix lets uv use what it knows of the base interpreter
instead of running the new one, which is most of an install's time.

The digest covers the lock's entries as they are written, not the ones that apply here: two packages with
the same lock share an environment, and telling needs no evaluation of markers.
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from kedge import digest, home
from kedge.data import Data, replace
from kedge.environment import bytecode, folders
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock
from kedge.errors import EnvironmentFailed, Where
from kedge.package import holding

LAYOUT: Final = 1  # part of every digest: another number makes every environment anew
TIMEOUT: Final = 3600.0  # seconds to build one: gigabytes over a slow line
_FOLDER: Final = "environments"
OnProgress = Callable[[str], None]
# `sh` finds the interpreter beside the script wherever the environment is, and however long its path:
# the kernel reads 127 bytes of a first line.
_SHEBANG: Final = (
    b"#!/bin/sh\n"
    b'\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/\'python\' "$0" "$@"\n'
    b"' '''\n"
)


class PythonEnvironment(Data):
    """A Python environment that is ready.

    Args:
        digest: names what is in it.
        folder: where it is; everybody may read it, nobody may change it.
        python: the path of its executable.
        visible: the host paths that must be readable, each at its own place, for it to work.
        created: whether it was built by this call.
        compiled: whether all its sources are byte-compiled.
    """

    digest: str
    folder: str
    python: str
    visible: tuple[str, ...]
    created: bool = False
    compiled: bool = False


def find(interpreter: Interpreter, lock: Lock) -> PythonEnvironment | None:
    """The environment of `lock` on `interpreter` if it is there, kept from clean-ups from now on.

    Costs a digest and a handful of system calls.
    """
    name = environment_digest(interpreter, lock)
    folder = os.path.join(home.home(), _FOLDER, name)
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):  # follows the link: the interpreter is there as well
        return None
    if not holding.hold(folder):
        return None
    visible = (*interpreter.visible, folder)
    return PythonEnvironment(name, folder, python, visible, compiled=bytecode.is_finished(folder))


def environment_digest(interpreter: Interpreter, lock: Lock) -> str:
    """Names an environment by all that decides what is in it."""
    return digest.of_json(
        [
            LAYOUT,
            lock.digest,
            interpreter.implementation,
            interpreter.version,
            interpreter.cache_tag,
            interpreter.platform,
            interpreter.path,
        ]
    )


def ensure(
    interpreter: Interpreter,
    lock: Lock,
    on_progress: OnProgress | None = None,
    timeout: float = TIMEOUT,
    *,
    compile: Literal["background", "wait"] = "background",
    allow_builds: bool = False,
) -> PythonEnvironment:
    """The environment of `lock` on `interpreter`, built if it is not there.

    As quick as `find` when it is ready. Several processes that ask for the same one at once build it
    once; a build that is killed leaves a folder that the next build removes.

    Args:
        interpreter: from `interpreters.find`.
        lock: from `lock.ensure_lock`.
        on_progress: told in words what is being done or waited for.
        timeout: seconds that all of it may take.
        compile: whether to wait for byte-compiling what was never compiled before.
        allow_builds: whether packages without a wheel may run their build code on this machine, with
            this account's rights and outside every sandbox.

    Raises:
        EnvironmentFailed: a package cannot be had or installed; the reason is in it.
        LockError: the lock is damaged.
        StoreError: KEDGE_HOME cannot be written, or the disk is full.
        Unavailable: uv is missing.
    """
    found = find(interpreter, lock)
    if found is None:
        name = environment_digest(interpreter, lock)
        found = _built_once(interpreter, lock, name, on_progress, timeout, allow_builds)
    if not found.compiled:
        with folders.writing("compiled files"):
            bytecode.finish(interpreter, found.folder, compile, on_progress)
        found = replace(found, compiled=bytecode.is_finished(found.folder))
    return found


def sweep() -> int:
    """Remove what killed builds have left in Kedge's folders; how many folders that were."""
    names = (_FOLDER, "bytecode", "runners", "resolving", "downloads")
    return sum(folders.sweep(os.path.join(home.home(), name)) for name in names)


def _built_once(
    interpreter: Interpreter,
    lock: Lock,
    name: str,
    on_progress: OnProgress | None,
    timeout: float,
    allow_builds: bool,
) -> PythonEnvironment:
    with folders.writing("an environment"):
        parent = home.folder(_FOLDER)
        guard = os.path.join(parent, ".held", name)
        waiting = "waiting for another process that builds this environment"
        with folders.held(guard, timeout, lambda: on_progress and on_progress(waiting)) as owned:
            if not owned:
                raise EnvironmentFailed(
                    f"Another process has been building environment {name[:16]} for {timeout:g} s.",
                    hint="look for a kedge process that hangs",
                )
            if found := find(interpreter, lock):
                return found
            sweep()
            _build(
                interpreter, lock, os.path.join(parent, name), on_progress, timeout, allow_builds
            )
    found = find(interpreter, lock)
    if found is None:
        raise EnvironmentFailed(
            f"The interpreter {interpreter.path} went away while its environment was built.",
            hint="run again: another one is looked for",
        )
    return replace(found, created=True)


def _build(
    interpreter: Interpreter,
    lock: Lock,
    folder: str,
    on_progress: OnProgress | None,
    timeout: float,
    allow_builds: bool,
) -> None:
    with folders.temporary(os.path.dirname(folder)) as temporary:
        made = os.path.join(temporary, "environment")
        folders.make_folder(os.path.join(made, interpreter.purelib))
        folders.make_folder(os.path.join(made, "bin"))
        if not lock.is_empty:
            options = ["--python", interpreter.path, "--prefix", made]
            install(
                lock, temporary, options, interpreter.version, on_progress, timeout, allow_builds
            )
        frame(interpreter, lock, made, installed_by=interpreter.path)
        with _opening_to_all(made):
            bytecode.link_known(interpreter, made)
        # One that lost its interpreter or was damaged stands in the way; out of it, then away.
        if os.path.lexists(folder):
            os.rename(folder, os.path.join(temporary, "old"))
        holding.hold(made)  # before a clean-up can see it
        os.rename(made, folder)


def install(
    lock: Lock,
    temporary: str,
    options: list[str],
    version: str,
    on_progress: OnProgress | None,
    timeout: float,
    allow_builds: bool = False,
) -> None:
    """Have uv install the lock's packages: from its cache alone if they are all there.

    Without asking an index, an install from the cache takes a third of the time and needs no network.

    Args:
        lock: what is to be installed.
        temporary: a folder to work in.
        options: uv's, which say where to and for which Python.
        version: that Python's, for messages.
        on_progress: told in words what is being done.
        timeout: seconds.
        allow_builds: whether packages without a wheel may run their build code on this machine.

    Raises:
        EnvironmentFailed: a package cannot be had or installed; the reason is in it.
    """
    from kedge.environment import indexes, reasons, uv

    number = len(lock.entries())
    counted = f"{number} package" + ("" if number == 1 else "s")
    for name, text in (("requirements.txt", lock.text), ("uv.toml", "")):
        with open(os.path.join(temporary, name), "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    arguments = [
        "pip", "install", *options, "--require-hashes", "--no-deps", "--link-mode", "hardlink",
        "--no-python-downloads", "-r", "requirements.txt",
    ]  # fmt: skip
    if not allow_builds:
        arguments += ["--only-binary", ":all:"]
    arguments += indexes.options(os.environ)
    for extra, doing in (
        (["--offline"], f"installing {counted}"),
        ([], f"downloading and installing {counted}"),
    ):
        if on_progress:
            on_progress(doing)
        ended = uv.run([*arguments, *extra], folder=temporary, timeout=timeout, doing=doing)
        if not ended.code:
            return
    where = Where(lock.path) if lock.path else None
    what = f"The packages cannot be installed for Python {version}"
    raise reasons.failed(ended.error, what, where)


def frame(
    interpreter: Interpreter,
    lock: Lock,
    made: str,
    *,
    installed_by: str,
    sees_base: bool = False,
) -> None:
    """Make a virtual environment of a folder with packages that uv installed by some interpreter.

    With `sees_base`, what it does not have is looked for among the interpreter's own packages.

    After the install: a wheel may carry files for the environment's root, and must not decide what its
    interpreter is. Written anew, never into: a file may be a hard link into uv's cache.
    """
    scripts = os.path.join(made, "bin")
    for name in os.listdir(scripts):
        _make_relocatable(os.path.join(scripts, name), installed_by)
    minor = interpreter.minor
    for name, target in (
        ("python", interpreter.path),
        ("python3", "python"),
        (f"python{minor}", "python"),
    ):
        path = os.path.join(scripts, name)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
    if not os.path.lexists(os.path.join(made, "lib64")):
        os.symlink("lib", os.path.join(made, "lib64"))
    for name in (".lock", bytecode.MARKER):
        if os.path.lexists(os.path.join(made, name)):
            os.unlink(os.path.join(made, name))
    settings = {
        "home": os.path.dirname(interpreter.path),
        "implementation": "CPython",
        "version_info": interpreter.version,
        "include-system-site-packages": "true" if sees_base else "false",
        "relocatable": "true",
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    folders.write_file(os.path.join(made, "pyvenv.cfg"), text, 0o644)
    about = {
        "layout": LAYOUT,
        "python": interpreter.version,
        "interpreter": interpreter.path,
        "lock": lock.digest,
        "packages": [entry.requirement for entry in lock.entries()],
    }
    folders.write_file(os.path.join(made, "kedge.json"), json.dumps(about, indent=1) + "\n", 0o644)


def _make_relocatable(path: str, installed_by: str) -> None:
    """Let a script start with the environment's Python instead of the one it was installed by."""
    if os.path.islink(path) or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        content = file.read(2)
        if content != b"#!":
            return
        content += file.read()
    first, _, rest = content.partition(b"\n")
    if not re.match(
        re.escape(os.fsencode(os.path.dirname(installed_by))) + rb"/python", first[2:].strip()
    ):
        return
    temporary = f"{path}.kedge"
    with open(temporary, "wb") as file:
        file.write(_SHEBANG + rest)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)


@contextmanager
def _opening_to_all(folder: str) -> Iterator[None]:
    """`open_to_all`, done beside what the block does: each alone mostly waits for the file system."""
    failed: list[Exception] = []

    def work() -> None:
        try:
            open_to_all(folder)
        except Exception as error:  # noqa: BLE001 - raised where it can be caught
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    for error in failed:
        raise error


def open_to_all(folder: str) -> None:
    """Let everybody read the whole tree, whatever the umask and the modes in the wheels are."""
    status = os.stat(folder, follow_symlinks=False)
    if status.st_mode & 0o777 != 0o755:
        os.chmod(folder, 0o755)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir():
                open_to_all(entry.path)
                continue
            with suppress(FileNotFoundError):  # a copy that got its own name meanwhile
                _open_file(entry)


def _open_file(entry: os.DirEntry[str]) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode & 0o7777
    # Never written to by others, never set-user-id; executable for all or for nobody.
    wanted = 0o755 if mode & 0o111 else 0o644
    if mode != wanted:
        os.chmod(entry.path, wanted)
