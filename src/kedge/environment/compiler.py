"""Compiles Python sources; runs inside the interpreter that the files are for.

    python -I -S -B compiler.py [--detach] < job.json

It stands alone: standard library only, Python 3.8 up, started by its path. It never imports what it
compiles, and the interpreter is started without `site`, so no code of an installed package runs here.
What is written is checked by nothing at import (PEP 552, unchecked hash): the sources are immutable, and
their times, which hard links share with other environments, say nothing.

A job is a JSON object:
    lock       a file; the job is left alone while another process holds it (`wait`: waits instead)
    marker     a file that is written when everything is done, or null
    workers    how many processes compile
    nice       whether to step back behind everything else
    tag        the interpreter's cache tag
    folders    [{root, store, files: [[relative path, SHA-256 or null], ...]}]
               `store` null: compiled beside the sources. Else: compiled into that folder, which appears
               at once and whole, and linked into `root`; nothing is done over if it is there.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import marshal
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

TEMPORARY = "tmp-"  # as in kedge.environment.folders, whose sweep clears what a kill leaves
if TYPE_CHECKING:  # 3.8 cannot evaluate it
    # Source, folder to compile into, relative path, SHA-256.
    Task = tuple[str, str, str, str | None]
_UNCHECKED_HASH = 1  # PEP 552: bit 0 "by hash", bit 1 "check the source"
_CANNOT = (OSError, SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)

SPOILED = "spoiled"  # in a store that is made: a source was not the one that its RECORD tells


def target(path: str, tag: str) -> str:
    """The relative path of a source's compiled file."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "__pycache__", name[:-2] + tag + ".pyc")


def compiled(source: bytes, name: str) -> bytes:
    """The bytes of a compiled file for the bytes of a source."""
    code = compile(source, name, "exec", 0, True)
    return (
        importlib.util.MAGIC_NUMBER
        + _UNCHECKED_HASH.to_bytes(4, "little")
        + importlib.util.source_hash(source)
        + marshal.dumps(code)
    )


def link(store: str, root: str) -> bool:
    """Give the sources of `root` their compiled files from `store`; whether that is there."""
    import fcntl

    try:
        descriptor = os.open(store, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # no clean-up takes it away meanwhile
        if not os.path.isdir(store):
            return False
        link_all(store, root)
    finally:
        os.close(descriptor)
    return True


def link_all(store: str, root: str) -> None:
    """Link all that there is in `store` to its place in `root`."""
    make_folder(root)
    with os.scandir(store) as entries:
        for entry in entries:
            destination = f"{root}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                link_all(entry.path, destination)
                continue
            if not entry.name.endswith(".pyc"):
                continue  # half of one, of a process that was killed
            try:
                os.link(entry.path, destination)
            except FileExistsError:
                pass
            except OSError:  # another file system, or one without hard links
                copy(entry.path, destination)


def copy(source: str, destination: str) -> None:
    """Copy a file so that it appears whole."""
    import shutil

    temporary = f"{destination}.{os.getpid()}"
    shutil.copyfile(source, temporary)
    os.chmod(temporary, 0o644)
    os.replace(temporary, destination)


def make_folder(path: str) -> None:
    """Make a folder that everybody may read, whatever the umask is."""
    if not os.path.isdir(path):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    if "--detach" in sys.argv[1:] and os.fork():
        os._exit(0)  # whoever started this goes on
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o022)
    if job["nice"]:
        os.nice(19)
    if job["lock"] is None:
        work(job)
        return
    import fcntl

    descriptor = os.open(job["lock"], os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if job["wait"] else fcntl.LOCK_NB))
    except OSError:
        return  # another process does it
    if not os.path.exists(job["marker"]) and os.path.isdir(os.path.dirname(job["marker"])):
        work(job)
        with open(job["marker"], "w"):
            pass


def work(job: dict[str, Any]) -> None:
    """Compile what is not compiled, and link it where it is used."""
    import shutil

    tag = job["tag"]
    tasks: list[Task] = []
    unfinished: list[tuple[dict[str, Any], str, int]] = []
    for folder in job["folders"]:
        store = folder["store"]
        if store is not None and link(store, folder["root"]):
            continue
        into = folder["root"]
        if store is not None:
            into, descriptor = temporary_beside(store)
            unfinished.append((folder, into, descriptor))
        for path, digest in folder["files"]:
            tasks.append((os.path.join(folder["root"], path), into, path, digest))
    try:
        finished = run(tasks, tag, job["workers"])
        for folder, into, _ in unfinished:
            if not finished or os.path.exists(os.path.join(into, SPOILED)):
                link_all(into, folder["root"])  # good for here, and not to be kept as all there is
                continue
            os.chmod(into, 0o755)
            try:
                os.rename(into, folder["store"])
            except OSError:  # another environment's process was first with the same content
                link(folder["store"], folder["root"])
            else:  # this process still has the lock that `link` would wait for
                link_all(folder["store"], folder["root"])
    finally:
        for _, into, descriptor in unfinished:
            shutil.rmtree(into, ignore_errors=True)
            os.close(descriptor)


def temporary_beside(store: str) -> tuple[str, int]:
    """A folder next to `store`, owned while its descriptor is open."""
    import fcntl
    import shutil

    parent = os.path.dirname(store)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    path = os.path.join(parent, f"{TEMPORARY}{os.getpid()}-{os.path.basename(store)[:16]}")
    while True:
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        # Between these calls a sweep may have taken the folder for a left-over one.
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.exists(path):
            return path, descriptor
        os.close(descriptor)


def run(tasks: list[Task], tag: str, workers: int) -> bool:
    """Compile all tasks, the largest first, in `workers` processes; whether none of these was ended."""
    tasks = sorted(tasks, key=lambda task: -size_of(task[0]))
    workers = max(1, min(workers, len(tasks) // 8))
    if workers == 1:
        compile_all(tasks, tag)
        return True
    children = []
    for number in range(workers):
        child = os.fork()
        if not child:
            code = 1
            try:
                compile_all(tasks[number::workers], tag)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    # One that crashed on some source leaves that one uncompiled, and those that it had not come to.
    ended = [os.waitpid(child, 0)[1] for child in children]
    return not any(ended)


def compile_all(tasks: list[Task], tag: str) -> None:
    """Compile each task that can be compiled."""
    gc.disable()  # syntax trees have no cycles; looking for some costs a tenth of the time
    sys.setrecursionlimit(3000)
    for source_path, into, path, digest in tasks:
        try:
            with open(source_path, "rb") as file:
                source = file.read()
            if digest is not None and hashlib.sha256(source).hexdigest() != digest:
                # Not the file that the store is named for: it must not be kept as that.
                open(os.path.join(into, SPOILED), "w").close()
                continue
            data = compiled(source, path)
        except _CANNOT:
            continue  # Python itself will say so, if it is ever imported
        destination = os.path.join(into, target(path, tag))
        make_folder(os.path.dirname(destination))
        temporary = f"{destination}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, destination)


def size_of(path: str) -> int:
    """A file's size; 0 when it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


if __name__ == "__main__":
    main()
