"""Reading what untrusted code left behind: nothing is followed, waited for, or taken on trust.

A name may be a symbolic link to the host's files, a pipe that never answers, a file of a terabyte that
occupies no disk. Everything is looked at before it is opened, opened relative to a folder that is held
open, and looked at again.
"""

import json
import os
import stat
from typing import Any, Final

# Of JSON: beyond it the parsers and writers down the line give up one by one.
DEPTH_LIMIT: Final = 100

DESCRIPTOR_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_READ: Final = 1 << 20
_SHOWN: Final = 120  # characters of a name that a message shows


class RefusedError(Exception):
    """Something that is not read, with the reason as the end of a sentence: `is a symbolic link`."""

    missing = False  # whether the reason is that there is nothing of that name


class MissingError(RefusedError):
    """Nothing of that name is there."""

    missing = True

    def __init__(self) -> None:
        super().__init__("is missing")


def open_folder(name: str, folder: int | None = None) -> int:
    """A descriptor of a folder that is really one. Raises `RefusedError`."""
    try:
        return os.open(name, DESCRIPTOR_FLAGS | os.O_DIRECTORY, dir_fd=folder)
    except FileNotFoundError:
        raise MissingError from None
    except OSError as error:
        raise RefusedError(_instead_of(name, folder, stat.S_ISDIR, error)) from None


def read_file(name: str, limit: int, folder: int | None = None) -> bytes:
    """The bytes of a regular file. Raises `RefusedError`, also when it is longer than `limit`."""
    try:
        before = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(before.st_mode):
            raise RefusedError(f"is {described(before.st_mode)}")
        file = os.open(name, DESCRIPTOR_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        raise MissingError from None
    except OSError as error:
        raise RefusedError(_instead_of(name, folder, stat.S_ISREG, error)) from None
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            raise RefusedError(f"is {described(info.st_mode)}")
        if info.st_size > limit:
            raise RefusedError(f"has {info.st_size} bytes, where {limit} are the limit")
        data = b""
        while len(data) <= limit and (piece := os.read(file, min(_READ, limit + 1 - len(data)))):
            data += piece
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(file)
    if len(data) > limit:  # it grew meanwhile
        raise RefusedError(f"has more than {limit} bytes, the limit")
    return data


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object as the standard has it: UTF-8, no key twice, no NaN, not nested without end.

    Raises:
        RefusedError: it is anything else.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"is not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_number
        )
        if "\\ud" in text or "\\uD" in text:  # half a character can be written, but not encoded
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise RefusedError(f"is nested more than {DEPTH_LIMIT} deep") from None
    except UnicodeEncodeError:
        raise RefusedError(r"holds half a character (an unpaired \ud… escape)") from None
    except json.JSONDecodeError as error:
        raise RefusedError(
            f"is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:  # the only other one: Python refuses to convert such a number
        raise RefusedError("holds an integer of more digits than can be read") from None
    if not isinstance(value, dict):
        raise RefusedError(f"is {_KINDS[type(value)]}, not a JSON object")
    _check_depth(value)
    return value


def described(mode: int) -> str:
    """What kind of thing a file mode stands for: `a symbolic link`."""
    return _TYPES.get(stat.S_IFMT(mode), "a special file")


def shown(name: str) -> str:
    r"""A file's name as a message can show it: printable, of bounded length, `\xff` for stray bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


_TYPES: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_KINDS: Final[dict[type, str]] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "a truth value",
    type(None): "null",
}


def _instead_of(name: str, folder: int | None, wanted: Any, error: OSError) -> str:
    """Why a name could not be opened: by what it is, when that is the reason."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return f"cannot be opened: {error.strerror}"
    return f"cannot be opened: {error.strerror}" if wanted(mode) else f"is {described(mode)}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RefusedError(f"has the key `{key[:_SHOWN]}` twice")
            seen.add(key)
    return found


def _constant(name: str) -> Any:
    raise RefusedError(f"holds {name}, which is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise RefusedError(f"holds the number {text[:_SHOWN]}, which is too large")
    return value


def _check_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return
    raise RefusedError(f"is nested more than {DEPTH_LIMIT} deep")
