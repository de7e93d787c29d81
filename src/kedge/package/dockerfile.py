"""A Dockerfile as far as Kedge must know it: its instructions with their lines, and what they build on.

The engine reads it for itself. This is for what is said of it: which line failed, which base it needs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from kedge.data import Data

_DIRECTIVE: Final = re.compile(r"#\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*$")
_HERE: Final = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
_WITH_HERE: Final = ("RUN", "COPY", "ADD")
_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
_NOTHING: Final = "scratch"


class Instruction(Data):
    """One instruction: its word in capitals, the text after it on one line, its first line (from 1)."""

    word: str
    text: str
    line: int


def instructions(source: str) -> list[Instruction]:
    """The instructions of a Dockerfile in their order; comments and empty lines are none."""
    return list(_read(source.splitlines()))


def bases(found: list[Instruction], arguments: Mapping[str, str]) -> list[str]:
    r"""The images that it builds on, each once, with the arguments before the first FROM put in.

    Stages of its own and `scratch` are none. An argument without a value leaves the text as it is.

    >>> bases(instructions("ARG V=3.12\nFROM python:${V} AS made\nFROM made\n"), {})
    ['python:3.12']
    """
    known: dict[str, str] = {}
    stages: set[str] = set()
    needed: list[str] = []
    for one in found:
        if one.word == "ARG" and not stages and not needed:
            name, given, default = one.text.partition("=")
            value = arguments.get(name, default.strip("\"'") if given else None)
            if value is not None:
                known[name.strip()] = _filled(value, known)
        elif one.word == "FROM":
            words = [word for word in one.text.split() if not word.startswith("--")]
            image = _filled(words[0], known) if words else ""
            if image and image.lower() not in {*stages, _NOTHING} and image not in needed:
                needed.append(image)
            stages.add(words[2].lower() if len(words) == 3 and words[1].lower() == "as" else "")
    return needed


def _read(lines: list[str]) -> Iterator[Instruction]:
    escape, number = _escape(lines), 0
    while number < len(lines):
        begun = number
        text = lines[number].strip()
        number += 1
        if not text or text.startswith("#"):
            continue
        while text.endswith(escape) and number < len(lines):
            more = lines[number].strip()
            number += 1
            if more.startswith("#") or not more:
                continue  # a comment, or an empty line, between the parts
            text = f"{text[:-1].rstrip()} {more}"
        word, _, rest = text.removesuffix(escape).partition(" ")
        word = word.upper()
        if word in _WITH_HERE:
            for match in _HERE.finditer(rest):
                while number < len(lines) and lines[number].strip() != match[2]:
                    number += 1
                number += 1
        yield Instruction(word, rest.strip(), begun + 1)


def _escape(lines: list[str]) -> str:
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None:
            break
        if match[1].lower() == "escape" and match[2] in ("`", "\\"):
            return match[2]
    return "\\"


def _filled(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = known.get(match[1] or match[2])
        if match[3] == "-":
            return found or match[4]
        if match[3] == "+":
            return match[4] if found else ""
        return match[0] if found is None else found

    return _VARIABLE.sub(value, text)
