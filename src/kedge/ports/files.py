"""The files a port carries: found, of the right kind, with a permitted extension."""

import os
import stat
from typing import Any, Final

from kedge.errors import Problem, Where, nearest
from kedge.ports.catalogue import Schema
from kedge.ports.shapes import Kind, extensions_of, nominal, present

_LONGEST: Final = 1000  # characters of a path that a message shows: real ones are shorter
_MOST_NEIGHBOURS: Final = 2000  # names looked through for a misspelt one

_SPECIAL: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def read_files(schema: Schema, kind: Kind, value: Any, name: str) -> tuple[Any, list[Problem]]:
    """The host paths a caller gave for a file port, absolute, and what is wrong with them.

    One path for a file, an array, a table or a folder; a list of them for many files.
    """
    if kind != "files":
        path, problem = _one(schema, kind, value, name)
        return path, [problem] if problem else []
    if isinstance(value, str | os.PathLike) or not isinstance(value, list | tuple):
        message = f"`{name}` is a list of files and was given {_came(value)}"
        return value, [
            Problem(message, Where(path=name), 'write a list of paths: ["a.csv", "b.csv"]')
        ]
    paths: list[Any] = []
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for index, element in enumerate(value):
        place = f"{name}[{index}]"
        path, problem = _one(schema, "file", element, place)
        paths.append(path)
        if problem:
            problems.append(problem)
        elif (other := names.setdefault(os.path.basename(path), path)) != path:
            message = f"`{place}` has the same file name as `{other}`: both would be {os.path.basename(path)}"
            problems.append(Problem(message, Where(path=place), "rename one of the two files"))
    return paths, problems


def _one(schema: Schema, kind: Kind, value: Any, name: str) -> tuple[Any, Problem | None]:
    where = Where(path=name)
    what = "a folder" if kind == "folder" else "a file"
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path:
        message = f"`{name}` is {what} and was given {_came(value)}"
        return value, Problem(message, where, f"give the path of {what}: {name}=PATH")
    shown = printable(path)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        return value, Problem(
            f"`{name}`: {_unreadable(shown, error, link=os.path.islink(path))}",
            where,
            _missing_hint(path, what),
        )
    if kind == "folder":
        if not stat.S_ISDIR(mode):
            return value, Problem(
                f"`{name}`: `{shown}` is not a folder", where, "give the path of a folder"
            )
    elif not stat.S_ISREG(mode):
        came = next((word for test, word in _SPECIAL if test(mode)), "a special file")
        return value, Problem(
            f"`{name}`: `{shown}` is {came}, not a file", where, "give the path of a file"
        )
    elif problem := extension_problem(schema, path, name, "give"):
        return value, problem
    if not os.access(path, os.R_OK):
        return value, Problem(
            f"`{name}`: `{shown}` may not be read by you", where, "change its permissions"
        )
    if kind == "array" and (reason := array_reason(schema, path)):
        return value, Problem(
            f"`{name}`: `{shown}` {reason}", where, "save it with numpy.save in that form"
        )
    return os.path.abspath(path), None


def extension_problem(schema: Schema, path: str, name: str, do: str) -> Problem | None:
    """What is wrong with a file's extension; any case will do. `do` is the verb of the hint."""
    permitted = extensions_of(schema)
    base = os.path.basename(path)
    if not permitted or any(base.lower().endswith(f".{one}") for one in permitted):
        return None
    _, dot, extension = base.partition(".")
    came = f"has the extension .{printable(extension)}" if dot else "has no extension"
    listed = " or ".join(f".{one}" for one in permitted)
    message = f"`{name}`: `{printable(base)}` {came}; {listed} is expected"
    return Problem(message, Where(path=name), f"{do} a file with the extension {listed}")


def array_reason(schema: Schema, path: str) -> str | None:
    """Why a .npy file does not fit an array port, None when it does."""
    from kedge.ports.arrays import mismatch

    inner, _ = present(schema)
    return mismatch(path, nominal(inner) or "")


def printable(path: str) -> str:
    """A path as it can be printed: bytes that are no text are escaped, one without end is cut."""
    shown = path if path.isprintable() else ascii(path)[1:-1]
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _came(value: Any) -> str:
    from kedge.ports.wording import shown

    return shown(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _unreadable(shown: str, error: OSError | ValueError, *, link: bool) -> str:
    if isinstance(error, FileNotFoundError):
        return f"`{shown}` is a symbolic link to nothing" if link else f"there is no `{shown}`"
    reason = "it has a NUL in it"  # the only ValueError that the system's calls raise
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
    return f"`{shown}` cannot be read ({reason[:1].lower() + reason[1:]})"


def _missing_hint(path: str, what: str) -> str:
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            neighbours = [
                entry.name
                for entry, _ in zip(entries, range(_MOST_NEIGHBOURS), strict=False)
                if entry.name != name  # which is there when it is a link to nothing
            ]
    except (OSError, ValueError):
        return f"give the path of {what} that is there"
    close = nearest(name, neighbours)
    return (
        f"did you mean `{printable(os.path.join(folder, close))}`?"
        if close
        else f"give the path of {what} that is there"
    )
