"""Placeholders in the text of a command: where they are, which names they may have, what they stand for.

A placeholder is `{name}` or `{name.attribute}`, the name of port form. A value is known by what stands
between the braces, its *key*: `input_file`, `input_file.stem`, `task.name`.

Every other brace is text: `awk '{ print $1 }'`, `{a,b}`, `{"a": {"b": 1}}`, `{}`. So is one right after a
`$` that no backslash escapes, which is the shell's: `${name}`, `${name:-word}`. Braces that are doubled on
both sides are one brace of text each: `{{name}}` is the text `{name}`, `awk '{{print}}'` runs `{print}`.
Two that open together and close apart, or the reverse, are two as they stand: JSON may end in `}}`.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from kedge.data import Data
from kedge.errors import Problem, Where, nearest

FILE_ATTRIBUTES: Final = ("path", "name", "stem", "suffix")

_PLACEHOLDER: Final = re.compile(
    r"\{([A-Za-z][A-Za-z0-9_-]{0,62})(?:\.([A-Za-z][A-Za-z0-9_-]{0,62}))?\}", re.ASCII
)


class Placeholder(Data):
    """One place for a value; `line` and `column`, from 1, say where its brace opens."""

    name: str
    attribute: str | None
    line: int
    column: int

    @property
    def key(self) -> str:
        """What its value is known by."""
        return self.name if self.attribute is None else f"{self.name}.{self.attribute}"

    def __str__(self) -> str:
        return f"`{{{self.key}}}`"

    def where(self, source: str) -> Where:
        """Its place; `source` says what the text is (`command`, `args[2]`)."""
        return Where(source, self.line, self.column)


type Part = str | Placeholder


def parse(text: str) -> list[Part]:
    """The parts of `text` in their order: pieces of text and placeholders.

    >>> parse("cp {a.path} {{b}}")
    ['cp ', Placeholder(name='a', attribute='path', line=1, column=4), ' {b}']
    """
    partner = _pairs(text)
    parts: list[Part] = []
    piece: list[str] = []
    closing: set[int] = set()  # the first of two braces that close what two have opened
    at = 0
    while at < len(text):
        pair = text[at : at + 2]
        if at in closing or (pair == "}}" and at not in partner and at + 1 not in partner):
            piece.append("}")
            at += 2
        elif pair == "{{" and not _is_of_the_shell(text, at) and _close_together(partner, at):
            if at in partner:
                closing.add(partner[at + 1])
            piece.append("{")
            at += 2
        elif (found := _PLACEHOLDER.match(text, at)) and not _is_of_the_shell(text, at):
            if piece:
                parts.append("".join(piece))
                piece = []
            line = text.count("\n", 0, at) + 1
            column = at - text.rfind("\n", 0, at)
            parts.append(Placeholder(found[1], found[2], line, column))
            at = found.end()
        else:
            piece.append(text[at])
            at += 1
    if piece:
        parts.append("".join(piece))
    return parts


def check(parts: Iterable[Part], known: Collection[str], source: str) -> list[Problem]:
    """A problem for each placeholder whose key is not one of `known`: with its place, and the nearest key."""
    return [
        _unknown(part, known, source)
        for part in parts
        if isinstance(part, Placeholder) and part.key not in known
    ]


def fill(parts: Iterable[Part], values: Mapping[str, str]) -> str:
    """The text with the values in it, for what no shell reads: one argument of a list."""
    return "".join(part if isinstance(part, str) else values[part.key] for part in parts)


def of_file(name: str, path: str) -> dict[str, str]:
    """What the placeholders of the file or folder `name` at `path` stand for, by key.

    No path begins with `-`: a command would read it as an option.

    >>> of_file("data", "/in/a.csv")["data.stem"]
    'a'
    """
    if path.startswith("-"):
        path = f"./{path}"
    file_name = os.path.basename(path)
    stem, suffix = os.path.splitext(file_name)
    attributes = dict(zip(FILE_ATTRIBUTES, (path, file_name, stem, suffix), strict=True))
    return {name: path} | {f"{name}.{attribute}": text for attribute, text in attributes.items()}


def is_path(placeholder: Placeholder, known: Collection[str]) -> bool:
    """Whether its value is a file's path, which never begins with `-`."""
    of_a_file = placeholder.name != "task" and f"{placeholder.name}.path" in known
    return of_a_file and placeholder.attribute in (None, "path")


def _pairs(text: str) -> dict[int, int]:
    partner: dict[int, int] = {}
    open_braces: list[int] = []
    for brace in re.finditer(r"[{}]", text):
        at = brace.start()
        if brace[0] == "{":
            open_braces.append(at)
        elif open_braces:
            other = open_braces.pop()
            partner[at], partner[other] = other, at
    return partner


def _close_together(partner: dict[int, int], at: int) -> bool:
    """Whether two braces that open at `at` are closed side by side, or neither is closed."""
    outer, inner = partner.get(at), partner.get(at + 1)
    return outer == inner if outer is None or inner is None else outer == inner + 1


def _is_of_the_shell(text: str, at: int) -> bool:
    """Whether the brace follows a `$` that is not escaped."""
    if not text.startswith("$", at - 1) or at == 0:
        return False
    before = text[: at - 1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 0


def _unknown(placeholder: Placeholder, known: Collection[str], source: str) -> Problem:
    name = placeholder.name
    of_name = [key for key in known if key.split(".")[0] == name]
    if placeholder.attribute is not None and name in of_name and len(of_name) == 1:
        message = f"{placeholder}: `{name}` is a value, which has no attributes"
        close: str | None = name
    elif of_name:
        has = ", ".join(f"`{{{key}}}`" for key in sorted(of_name))
        message = f"{placeholder} is not known: there is {has}"
        close = nearest(placeholder.key, of_name)
    else:
        message = f"{placeholder} is not declared: no input or output has this name"
        close = nearest(placeholder.key, list(known)) or nearest(name, list(known))
    hint = f"for the text `{{{placeholder.key}}}` itself, double its braces: `{{{{{placeholder.key}}}}}`"
    if close:
        hint = f"did you mean `{{{close}}}`? {hint[0].upper()}{hint[1:]}"
    return Problem(message, placeholder.where(source), hint)
