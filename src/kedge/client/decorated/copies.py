"""What `copy` names: files and folders that are shipped, and where they stand inside."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from kedge.data import Data
from kedge.errors import Problem, UsageError

_LEFT_OUT: Final = frozenset({"__pycache__", ".git", ".hg", ".svn"})
_RESERVED: Final = frozenset({"in", "out", "scratch", "kedge.yml", "kedge.yaml", "mecapy.yml"})
_OURS: Final = "_kedge"  # names that begin so are Kedge's own, inside

type Stamp = tuple[int, ...]


class Copy(Data):
    """One file, folder or symbolic link that is shipped.

    Args:
        source: its absolute path.
        destination: relative to the working directory inside.
    """

    source: str
    destination: str


def declared(copy: Any, folder: str) -> tuple[Copy, ...]:
    """What the option `copy` says.

    Args:
        copy: a list of paths, or source paths with their destinations.
        folder: what relative paths are relative to.

    Raises:
        UsageError: paths that are not there, lead out, or meet; all of them.

    >>> declared({"/data/mesh.med": "mesh.med"}, "/home/me")
    (Copy(source='/data/mesh.med', destination='mesh.med'),)
    """
    problems: list[Problem] = []
    if isinstance(copy, str | os.PathLike) or not isinstance(copy, Iterable):
        raise UsageError(
            f"`copy` is {copy!r}; a list of paths, or a dictionary, is expected",
            hint='for example copy=["./utils.py", "./data/"]',
        )
    pairs: Iterable[tuple[Any, Any]]
    pairs = copy.items() if isinstance(copy, Mapping) else ((one, None) for one in copy)
    found: list[Copy] = []
    for source, destination in pairs:
        try:
            one = _declared(source, destination, folder)
        except UsageError as error:
            problems += error.problems
            continue
        found.append(one)
    places: dict[str, str] = {}
    for one in found:
        other = places.setdefault(one.destination, one.source)
        if other != one.source:
            message = f"`{one.source}` and `{other}` would both be `{one.destination}` inside"
            problems.append(Problem(message, hint="give one of them another destination"))
    if problems:
        raise UsageError.of(problems, "`copy`")
    return tuple(sorted(set(found), key=lambda one: one.destination))


def _declared(source: Any, destination: Any, folder: str) -> Copy:
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"`copy` names {source!r}, which is no path", hint="name files and folders as text"
        )
    text = os.fspath(source)
    path = os.path.normpath(os.path.join(folder, os.path.expanduser(text)))
    if not os.path.lexists(path):
        raise UsageError(
            f"`copy` names `{text}`, which is not there",
            hint=f"relative paths are looked for in {folder}",
        )
    if destination is None:
        if os.path.isabs(os.path.expanduser(text)) or ".." in text.split(os.sep):
            raise UsageError(
                f"`copy` names `{text}`, and where that stands inside is not plain",
                hint=f'say where: copy={{{text!r}: "{os.path.basename(path)}"}}',
            )
        destination = os.path.relpath(path, folder)
    elif not isinstance(destination, str | os.PathLike):
        raise UsageError(
            f"`copy` has {destination!r} as the destination of `{text}`",
            hint="give a relative path as text",
        )
    inside = os.path.normpath(os.fspath(destination))
    parts = inside.split(os.sep)
    if os.path.isabs(inside) or parts[0] == "..":
        raise UsageError(
            f"the destination `{destination}` of `{text}` lies outside the working directory",
            hint="give a relative path without `..`",
        )
    if parts[0] in _RESERVED or parts[0].startswith(_OURS):
        raise UsageError(
            f"the destination `{destination}` of `{text}` is a name that Kedge needs itself",
            hint=f"say another: copy={{{text!r}: ...}}",
        )
    return Copy(path, inside)


def entries(copies: Iterable[Copy]) -> Iterator[tuple[Copy, os.stat_result]]:
    """Every file and symbolic link that is shipped, folders walked, in an order of its own.

    Raises:
        UsageError: something that is neither a file, a folder nor a symbolic link, or cannot be read.
    """
    for copy in copies:
        try:
            yield from _below(copy)
        except OSError as error:
            raise UsageError(
                f"`{error.filename or copy.source}` of `copy` cannot be read: {error.strerror}",
                hint="give it read permission, or leave it out",
            ) from error


def _below(copy: Copy) -> Iterator[tuple[Copy, os.stat_result]]:
    info = os.lstat(copy.source)
    if stat.S_ISDIR(info.st_mode):
        for name in sorted(os.listdir(copy.source)):
            if name not in _LEFT_OUT:
                inside = name if copy.destination == "." else f"{copy.destination}/{name}"
                yield from _below(Copy(os.path.join(copy.source, name), inside))
    elif stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
        yield copy, info
    else:
        raise UsageError(
            f"`{copy.source}` of `copy` is neither a file nor a folder",
            hint="name the files in its folder one by one, without it",
        )
