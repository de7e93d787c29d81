"""What `copy` names: files and folders that are shipped, and where they stand inside."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from kedge.data import Data
from kedge.errors import Problem, UsageError

_RESERVED: Final = frozenset(
    {"in", "out", "scratch", "kedge.yml", "kedge.yaml", "mecapy.yml", "kedge.lock", ".kedgeignore"}
)
_OURS: Final = "_kedge"  # names that begin so are Kedge's own, inside


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
    if not os.path.exists(path):
        hint = f"relative paths are looked for in {folder}"
        if not {"*", "?", "["}.isdisjoint(text):
            hint = "there are no patterns here: name the folder, or each file"
        raise UsageError(f"`copy` names `{text}`, which is not there", hint=hint)
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
    from kedge.package.ignore import always_left_out

    inside = os.path.normpath(os.fspath(destination))
    is_folder = inside == os.curdir or os.fspath(destination).endswith(os.sep)
    if is_folder and not os.path.isdir(path):
        inside = os.path.normpath(os.path.join(inside, os.path.basename(path)))
    parts = inside.split(os.sep)
    if os.path.isabs(inside) or parts[0] == "..":
        raise UsageError(
            f"the destination `{destination}` of `{text}` lies outside the working directory",
            hint="give a relative path without `..`",
        )
    if any(always_left_out(part, path, is_folder=os.path.isdir(path)) for part in parts):
        raise UsageError(
            f"`{text}` of `copy` is a folder of tools, such as an environment, and not shipped",
            hint="name what it needs in `pip`",
        )
    _check_place(text, inside)
    return Copy(path, inside)


def destinations(copies: Iterable[Copy], path: str) -> Iterator[str]:
    """Where a file or folder, or what of it is shipped, stands inside."""
    real = os.path.join(os.path.realpath(path), "")
    for copy in copies:
        source = os.path.join(os.path.realpath(copy.source), "")
        if real.startswith(source):
            yield os.path.normpath(os.path.join(copy.destination, real[len(source) :]))
        elif source.startswith(real):
            yield copy.destination


def is_there(copies: Iterable[Copy], inside: str) -> bool:
    """Whether a path, relative to the working directory inside, is that of something that is shipped."""
    for copy in copies:
        if f"{copy.destination}/".startswith(f"{inside}/"):
            return True
        if copy.destination == "." or inside.startswith(f"{copy.destination}/"):
            rest = os.path.relpath(inside, copy.destination)
            if os.path.exists(os.path.join(copy.source, rest)):
                return True
    return False


def entries(copies: Iterable[Copy]) -> list[tuple[Copy, os.stat_result]]:
    """Every file and symbolic link that is shipped, folders walked, in an order of its own.

    Raises:
        UsageError: something that is neither a file, a folder nor a symbolic link, or cannot be read, or for
            which there is no place inside.
    """
    found: dict[str, tuple[Copy, os.stat_result]] = {}
    for copy in copies:
        try:
            # What is named is meant, not a link to it; within a folder links are kept.
            for one, info in _below(Copy(os.path.realpath(copy.source), copy.destination)):
                other, _ = found.setdefault(one.destination, (one, info))
                if other.source != one.source:
                    raise _both(one, other)
        except OSError as error:
            raise UsageError(
                f"`{error.filename or copy.source}` of `copy` cannot be read: {error.strerror}",
                hint="give it read permission, or leave it out",
            ) from error
    for one, _ in found.values():
        above = os.path.dirname(one.destination)
        while above and above not in found:
            above = os.path.dirname(above)
        if above:
            raise _both(one, found[above][0])
    return list(found.values())


def _below(copy: Copy) -> Iterator[tuple[Copy, os.stat_result]]:
    from kedge.package.ignore import always_left_out

    info = os.lstat(copy.source)
    if stat.S_ISDIR(info.st_mode):
        with os.scandir(copy.source) as listing:
            inner = sorted(listing, key=lambda entry: entry.name)
        for one in inner:
            is_folder = one.is_dir(follow_symlinks=False)
            if always_left_out(one.name, one.path, is_folder=is_folder):
                continue
            inside = f"{copy.destination}/{one.name}"
            if copy.destination == ".":
                inside = one.name
                _check_place(one.path, inside)
            yield from _below(Copy(one.path, inside))
        return
    if stat.S_ISLNK(info.st_mode):
        _check_link(copy)
    elif not stat.S_ISREG(info.st_mode):
        raise UsageError(
            f"`{copy.source}` of `copy` is neither a file nor a folder",
            hint="name the files in its folder one by one, without it",
        )
    yield copy, info


def _check_place(source: str, inside: str) -> None:
    top = inside.split(os.sep)[0]
    if top in _RESERVED or top.startswith(_OURS):
        raise UsageError(
            f"`{source}` of `copy` would be `{inside}` inside, a name that Kedge needs itself",
            hint=f'say another: copy={{"{source}": …}}',
        )


def _check_link(copy: Copy) -> None:
    target = os.readlink(copy.source)
    inside = os.path.normpath(os.path.join(os.path.dirname(copy.destination), target))
    if os.path.isabs(target) or inside.split(os.sep)[0] == os.pardir:
        raise UsageError(
            f"`{copy.source}` of `copy` is a symbolic link that leads out of what is shipped, to `{target}`",
            hint=f'ship what it leads to, under another name: copy={{"{target}": …}}',
        )


def _both(one: Copy, other: Copy) -> UsageError:
    return UsageError(
        f"`{one.source}` and `{other.source}` of `copy` would both be `{other.destination}` inside",
        hint="give one of them another destination",
    )
