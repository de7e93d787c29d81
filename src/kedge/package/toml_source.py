"""TOML with the place of every key and value.

`tomllib` checks and reads; it keeps no positions. A small locator then walks the same text, which is
known to be valid by then, and notes only where things stand.
"""

import datetime
import re
import tomllib
from typing import Any, Final

from kedge.errors import ManifestError, Where
from kedge.package.document import Document, Path, Place

_LINE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^']*'")
# Up to two quotes may stand directly before the closing three.
_LONG_BASIC: Final = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL: Final = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}#\r\n]*")


def read_toml(text: str, file: str, *, first_line: int = 1, indent: int = 0) -> Document:
    """The document in `text`.

    Args:
        text: TOML.
        file: the name that problems show.
        first_line: the line of `file` on which `text` begins, for TOML inside another file.
        indent: characters that stand before each line there.

    Raises:
        ManifestError: not TOML.
    """
    text = text.replace("\r\n", "\n")
    locator = _Locator(text, first_line, indent)
    try:
        data = tomllib.loads(text)
        locator.document()
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _LINE.search(message)
        line, column = (int(found[1]), int(found[2])) if found else _end(text)
        reason = message[: found.start()].strip() if found else message.split(" (at ")[0]
        raise ManifestError(
            f"{file} is not TOML: {reason[:1].lower()}{reason[1:]}",
            where=Where(file, line + first_line - 1, column + indent),
            hint="check the quotes, brackets and `=` of this line",
        ) from None
    except (RecursionError, ValueError):  # nested without end; a number of thousands of digits
        raise ManifestError(
            f"{file} nests too deep or holds a number that is too long",
            where=Where(file, first_line),
            hint="flatten it",
        ) from None
    return Document(file, _plain(data), locator.keys, locator.values)


def _end(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1


def _plain(value: Any) -> Any:
    """Dates become ISO text, as they are in YAML's core schema and in JSON."""
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return value


class _Locator:
    def __init__(self, text: str, first_line: int, indent: int) -> None:
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {(): Place(first_line, 1 + indent)}
        self._text = text
        self._at = 0
        self._line = first_line
        self._line_start = 0
        self._counted = 0  # up to where newlines have been counted
        self._indent = indent
        self._arrays: dict[Path, int] = {}  # arrays of tables: how many tables so far

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._entry(table)

    def _header(self) -> Path:
        array = self._text.startswith("[[", self._at)
        place = self._place()
        self._at += 2 if array else 1
        parts = self._key()
        path: Path = ()
        for number, (name, at) in enumerate(parts):
            path = (*path, name)
            self.keys.setdefault(path, at)
            self.values.setdefault(path, place)
            last = number == len(parts) - 1
            if last and array:
                self._arrays[path] = self._arrays.get(path, 0) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path] - 1)
                self.values.setdefault(path, place)
        self._skip(_SPACE)
        self._at += 2 if array else 1
        return path

    def _entry(self, table: Path) -> None:
        path = table
        for name, at in self._key():
            path = (*path, name)
            self.keys.setdefault(path, at)
            self.values.setdefault(path, at)
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[tuple[str, Place]]:
        parts: list[tuple[str, Place]] = []
        while True:
            self._skip(_SPACE)
            place = self._place()
            quote = self._text[self._at]
            if quote == '"':
                name = tomllib.loads("k = " + self._take(_BASIC))["k"]
            elif quote == "'":
                name = self._take(_LITERAL)[1:-1]
            else:
                name = self._take(_BARE_KEY)
            parts.append((name, place))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        place = self._place()
        start = self._text[self._at]
        if start == "[":
            self.values[path] = place
            self._array(path)
        elif start == "{":
            self.values[path] = place
            self._inline_table(path)
        else:
            self.values[path] = Place(place.line, place.column, self._scalar())

    def _scalar(self) -> str:
        for opening, whole in (
            ('"""', _LONG_BASIC), ("'''", _LONG_LITERAL), ('"', _BASIC), ("'", _LITERAL),
        ):  # fmt: skip
            if self._text.startswith(opening, self._at):
                return self._take(whole)
        return self._take(_PLAIN).strip()

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                self._at += 1
                return
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                self._at += 1
                return
            self._entry(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "tomllib accepted what the locator does not know"
        self._at = found.end()
        return found.group()

    def _place(self) -> Place:
        newlines = self._text.count("\n", self._counted, self._at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._counted, self._at) + 1
        self._counted = self._at
        return Place(self._line, self._at - self._line_start + 1 + self._indent)
