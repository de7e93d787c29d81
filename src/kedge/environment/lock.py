"""The lock: which versions and hashes a declaration means, written once and then used again.

A lock is a universal requirements file (all platforms, one Python minor) with a hash for every file that
may be installed, and no index addresses. Its first line names the declaration it was made for, so that
whether it is out of date is told by content and never by a file's time.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final, Literal

from kedge import digest, home
from kedge.data import Data
from kedge.environment import folders, lockfile
from kedge.environment.interpreters import Interpreter
from kedge.environment.lockfile import Entry
from kedge.environment.requirements import Requirements
from kedge.errors import EnvironmentFailed, LockError, UnknownName, Where, nearest

NAME: Final = "kedge.lock"
# Seconds to resolve: a slow index with many large packages; uv retries inside.
TIMEOUT: Final = 3600.0
OnProgress = Callable[[str], None]


class Lock(Data):
    """A declaration's lock.

    Args:
        text: the file's content; empty when nothing is needed.
        digest: names the entries: comments, order and spacing do not matter.
        path: the file it is kept in; None when nothing is needed.
        notice: a sentence for the user about what changed, or None.
    """

    text: str
    digest: str
    path: str | None
    notice: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to install."""
        return not self.text

    def entries(self) -> tuple[Entry, ...]:
        """What is to be installed."""
        return lockfile.entries(self.text, self.path or NAME)


def ensure_lock(
    declaration: Requirements,
    beside: str | None = None,
    mode: Literal["auto", "locked"] = "auto",
    upgrade: bool | str = False,
    *,
    interpreter: Interpreter | None = None,
    on_progress: OnProgress | None = None,
    timeout: float = TIMEOUT,
    allow_builds: bool = False,
) -> Lock:
    """The lock of `declaration`, resolved if there is none or it is out of date.

    Args:
        declaration: what is needed.
        beside: the manifest, the package's folder, or the script that the lock belongs to; None, or a
            folder that cannot be written, or is Kedge's own: the lock is kept in KEDGE_HOME.
        mode: "locked" refuses to resolve.
        upgrade: True renews every version, a name that one; else versions change only where they must.
        interpreter: the Python it is for, where it was found; only needed to resolve.
        on_progress: told in words what is being waited for.
        timeout: seconds to resolve.
        allow_builds: whether packages without a wheel may run their build code on this machine.

    Raises:
        LockError: with "locked", a lock that is missing or out of date; a damaged lock.
        UnknownName: `upgrade` names a package that the lock does not have.
        EnvironmentFailed: the requirements cannot be resolved; the resolver's reason is in it.

    Example:
        >>> ensure_lock(Requirements((), "3.12")).is_empty
        True
    """
    if declaration.is_empty:
        return Lock("", digest.of_json([]), None)
    place = _place(declaration, beside)
    if not upgrade and (ready := _ready(place, declaration)):
        return ready
    if mode == "locked":
        raise _not_locked(place, declaration)
    guard = os.path.join(home.folder("locks"), ".held", digest.of_bytes(place.encode()))
    waiting = f"waiting for another process that resolves {os.path.basename(place)}"
    with (
        folders.writing("a lock"),
        folders.held(guard, timeout, lambda: on_progress and on_progress(waiting)) as owned,
    ):
        if not owned:
            raise EnvironmentFailed(
                f"Another process has been resolving {place} for {timeout:g} s.",
                hint="look for a kedge process that hangs",
            )
        if not upgrade and (ready := _ready(place, declaration)):
            return ready
        return _renew(place, declaration, upgrade, interpreter, on_progress, timeout, allow_builds)


def minor(declaration: Requirements, beside: str | None = None) -> str | None:
    """The Python minor that the lock beside a package was made for; None without a sound one."""
    place = _place(declaration, beside)
    try:
        text = _read(place)
        return None if text is None else lockfile.minor(text, place)
    except LockError:
        return None


def _renew(
    place: str,
    declaration: Requirements,
    upgrade: bool | str,
    interpreter: Interpreter | None,
    on_progress: OnProgress | None,
    timeout: float,
    allow_builds: bool,
) -> Lock:
    from kedge.environment import resolve

    old, before = _old(place, upgrade is True)
    if isinstance(upgrade, str):
        _check_upgrade(upgrade, before, declaration, place)
    python = interpreter.path if interpreter else _some_python(declaration.python)
    if declaration.uv_lock is not None:
        body = resolve.exported(declaration, python, timeout)
    else:
        if on_progress:
            on_progress(f"resolving {_counted(len(declaration.strings), 'requirement')}")
        kept = "" if upgrade is True else lockfile.body(old or "")
        body = resolve.resolved(declaration, python, kept, upgrade, timeout, allow_builds)
    after = lockfile.entries(body, NAME)
    after = _only_declared_hashes(after, declaration)
    text = lockfile.written(after, declaration.digest, declaration.python)
    path = _write(place, declaration, text)
    notice = None
    if old is not None:
        notice = _notice(os.path.basename(place), before, after, bool(upgrade))
    return Lock(text, lockfile.digest_of(text), path, notice)


def _old(place: str, may_be_damaged: bool) -> tuple[str | None, tuple[Entry, ...]]:
    """The lock that is renewed, and what is in it; a damaged one is not overwritten silently."""
    try:
        text = _read(place)
        if text is None:
            return None, ()
        lockfile.header(text, place)
        return text, lockfile.entries(text, place)
    except LockError:
        if may_be_damaged:
            return None, ()
        raise


def _place(declaration: Requirements, beside: str | None) -> str:
    """Where the lock is, or would be if that can be written."""
    kept = os.path.join(home.home(), "locks", f"{declaration.digest}.lock")
    if beside is None or declaration.uv_lock is not None:  # uv.lock is the author's lock already
        return kept
    path = os.path.abspath(beside)
    if path.endswith(".py"):
        path = f"{path}.{NAME}"
    else:
        path = os.path.join(path if os.path.isdir(path) else os.path.dirname(path), NAME)
    if os.path.lexists(path):
        return path
    folder = os.path.dirname(path)
    if os.path.exists(kept) or not os.access(folder, os.W_OK) or _is_kedges(folder):
        return kept
    return path


def _is_kedges(folder: str) -> bool:
    """Whether a package is one that Kedge unpacked or wrote: found by what is in it, it stays as it is."""
    own = os.path.join(os.path.realpath(home.home()), "packages", "")
    return os.path.realpath(folder).startswith(own)


def _ready(place: str, declaration: Requirements) -> Lock | None:
    """The lock at `place`, or the one kept for a folder that cannot be written, if it is in date."""
    for path in (place, os.path.join(home.home(), "locks", f"{declaration.digest}.lock")):
        text = _read(path)
        if text is not None:
            if lockfile.header(text, path) == declaration.digest:
                return Lock(text, lockfile.digest_of(text), path)
            lockfile.entries(text, path)
        if os.access(os.path.dirname(path), os.W_OK):
            return None
    return None


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise lockfile.damaged(path, 1, "it is not UTF-8 text") from error
    except OSError as error:
        raise LockError(
            f"{os.path.basename(path)} cannot be read: {error.strerror}.",
            where=Where(path),
            hint="give it read permission, or delete it to resolve again",
        ) from error


def _write(place: str, declaration: Requirements, text: str) -> str:
    """Write the lock where it belongs, else where Kedge keeps those of read-only folders."""
    kept = os.path.join(home.folder("locks"), f"{declaration.digest}.lock")
    try:
        folders.write_file(place, text)
    except OSError:
        if place == kept:
            raise
        folders.write_file(kept, text)
        return kept
    return place


def _not_locked(place: str, declaration: Requirements) -> LockError:
    name = os.path.basename(place)
    if declaration.uv_lock is not None:
        name = "uv.lock"
        what = "has not been exported on this machine"
    elif os.path.lexists(place):
        what = "is older than its declaration"
    else:
        name = NAME if place.startswith(home.home()) else name
        what = "is missing"
    return LockError(
        f"{name} {what}, and resolving is not allowed here.",
        where=Where(place) if os.path.lexists(place) else None,
        hint="run `kedge lock` and keep the file with the package",
    )


def _check_upgrade(
    name: str, entries: tuple[Entry, ...], declaration: Requirements, place: str
) -> None:
    if declaration.uv_lock is not None:
        raise LockError(
            f"`{name}` cannot be upgraded here: uv.lock decides the versions.",
            hint=f"run `uv lock --upgrade-package {name}` in the project",
        )
    from kedge.environment import specifications

    names = sorted({entry.name for entry in entries} | _declared_names(declaration))
    if specifications.normalized(name) not in names:
        close = nearest(name, names)
        raise UnknownName(
            f"`{name}` is not in {os.path.basename(place)}.",
            hint=f"did you mean `{close}`?" if close else f"it has: {', '.join(names)}",
        )


def _declared_names(declaration: Requirements) -> set[str]:
    from kedge.environment import specifications

    return {specifications.name_of(one) for one in declaration.strings}


def _only_declared_hashes(
    entries: tuple[Entry, ...], declaration: Requirements
) -> tuple[Entry, ...]:
    """The entries with no more hashes than the author declared, for packages with declared ones.

    Raises:
        EnvironmentFailed: the index has none of the declared files.
    """
    from kedge.environment import specifications

    declared: dict[str, set[str]] = {}
    for text in (*declaration.strings, *declaration.constraints):
        if hashes := specifications.hashes_of(text):
            declared.setdefault(specifications.name_of(text), set()).update(hashes)
    limited = []
    for entry in entries:
        allowed = declared.get(entry.name)
        if allowed is not None and not allowed & set(entry.hashes):
            raise EnvironmentFailed(
                f"The package index has no file of `{entry.requirement}` with a hash that "
                f"{declaration.source or 'the declaration'} allows.",
                where=Where(declaration.source) if declaration.source else None,
                hint="make sure the index can be trusted, then declare the new hashes",
                evidence={"reason": "hash-mismatch"},
            )
        limited.append(entry if allowed is None else entry.limited_to(allowed))
    return tuple(limited)


def _notice(
    name: str, before: tuple[Entry, ...], after: tuple[Entry, ...], asked: bool
) -> str | None:
    old, new = _versions(before), _versions(after)
    changes = [
        f"{package} {old[package]} → {new[package]}"
        for package in sorted(old.keys() & new.keys())
        if old[package] != new[package]
    ]
    changes += [f"+ {package} {new[package]}" for package in sorted(new.keys() - old.keys())]
    changes += [f"- {package} {old[package]}" for package in sorted(old.keys() - new.keys())]
    listed = ", ".join(changes) or "no version changed"
    if asked:
        return f"{name} was renewed: {listed}"
    return f"{name} was older than its declaration and was resolved again: {listed}"


def _versions(entries: tuple[Entry, ...]) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry.name, []).append(entry.version)
    return {name: "/".join(sorted(set(versions))) for name, versions in found.items()}


def _some_python(minor: str) -> str:
    """A Python for uv to start from: of the version in question, else Kedge's own.

    uv resolves for the version it is told; what it runs on matters only to build code.
    """
    from kedge.environment import interpreters

    try:
        return interpreters.find(minor).path
    except EnvironmentFailed:
        return sys.executable


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
