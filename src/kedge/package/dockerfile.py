"""A Dockerfile as far as Kedge must know it: its instructions with their lines, and what they build on.

The engine reads it for itself. This is for what is said of it: which line failed, which base it needs.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Final

from kedge.data import Data

_DIRECTIVE: Final = re.compile(r"#\s*([A-Za-z][\w-]*)\s*=\s*(.*?)\s*$")
_WORD: Final = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")
_HERE: Final = re.compile(r"\d*<<(-?)([^<]+)")
_WITH_HERE: Final = ("RUN", "COPY", "ADD")
_VARIABLE: Final = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+?])([^}]*))?\})")
_NOTHING: Final = "scratch"


class Instruction(Data):
    """One instruction: its word in capitals, the text after it on one line, its first line (from 1)."""

    word: str
    text: str
    line: int


def instructions(source: str) -> list[Instruction]:
    """The instructions of a Dockerfile in their order; comments and empty lines are none."""
    return list(_read(source.removeprefix("\ufeff").split("\n")))


def bases(found: list[Instruction], arguments: Mapping[str, str]) -> list[str]:
    r"""The images that it needs, each once: to build on, to copy from, to mount from.

    The arguments before the first FROM are put in; one without a value leaves the text as it is. Stages
    of its own and `scratch` are none.

    >>> bases(instructions("ARG V=3.12\nFROM python:${V} AS made\nFROM made\nCOPY --from=tools /a /a"), {})
    ['python:3.12', 'tools']
    """
    known: dict[str, str] = {}
    stages: list[str] = []
    needed: dict[str, None] = {}
    for one in found:
        if one.word == "ARG" and not stages:
            _declare(one.text, arguments, known)
        for image in _named(one):
            image = _filled(image, known)
            if _is_image(image, one.word, stages):
                needed[image] = None
        if one.word == "FROM":
            words = _arguments(one.text)
            named = len(words) == 3 and words[1].lower() == "as"
            stages.append(words[2].lower() if named else "")
    return list(needed)


def _named(one: Instruction) -> list[str]:
    """What an instruction takes from elsewhere: images, and stages by name or number."""
    if one.word == "FROM":
        return _arguments(one.text)[:1]
    if one.word == "COPY":
        return _after("--from=", _flags(one.text))
    if one.word == "RUN":
        mounts = _after("--mount=", _flags(one.text))
        return _after("from=", [field for mount in mounts for field in mount.split(",")])
    return []


def _after(prefix: str, words: list[str]) -> list[str]:
    return [word.removeprefix(prefix) for word in words if word.startswith(prefix)]


def _is_image(name: str, word: str, stages: list[str]) -> bool:
    if not name or name.lower() in {*stages, _NOTHING}:
        return False
    # A stage's number stands for it only here, and its own arguments are not known.
    return word == "FROM" or not (name.isdecimal() or "$" in name)


def _flags(text: str) -> list[str]:
    return list(takewhile(lambda word: word.startswith("--"), text.split()))


def _arguments(text: str) -> list[str]:
    return text.split()[len(_flags(text)) :]


def _declare(text: str, arguments: Mapping[str, str], known: dict[str, str]) -> None:
    """Take note of an ARG's names; what is given for one counts as it stands."""
    try:
        words = shlex.split(text)
    except ValueError:
        return  # a quote without its end: the engine refuses it
    for word in words:
        name, given, default = word.partition("=")
        if name in arguments:
            known[name] = arguments[name]
        elif given:
            known[name] = _filled(default, known)


def _read(lines: list[str]) -> Iterator[Instruction]:
    escape, number = _escape(lines), 0
    while number < len(lines):
        begun = number
        text = lines[number].strip()
        number += 1
        if not text or text.startswith("#"):
            continue
        while text.endswith(escape) and number < len(lines):
            more = lines[number].rstrip()
            number += 1
            if more.lstrip().startswith("#") or not more:
                continue  # a comment, or an empty line, between the parts
            text = _joined(text[:-1], more)
        parts = text.removesuffix(escape).split(None, 1)
        if not parts:
            continue
        word, rest = parts[0].upper(), parts[1].rstrip() if len(parts) == 2 else ""
        if word in _WITH_HERE:
            number = _after_here(rest, lines, number)
        yield Instruction(word, rest, begun + 1)


def _joined(one: str, other: str) -> str:
    """Two parts of an instruction, with one blank between them where there are any."""
    apart = one[-1:].isspace() or other[:1].isspace()
    return one.rstrip() + (" " if apart else "") + other.lstrip()


def _after_here(text: str, lines: list[str], number: int) -> int:
    """The number of the line after the here-documents of an instruction, which begin at `number`."""
    for word in _WORD.findall(text):
        if match := _HERE.fullmatch(word):
            last = re.sub(r"[\"'\\]", "", match[2])
            for position in range(number, len(lines)):
                line = lines[position].removesuffix("\r")
                if (line.lstrip("\t") if match[1] else line) == last:
                    number = position + 1
                    break
    return number


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
        found, how = known.get(match[1] or match[2]), match[3] or ""
        there = bool(found) if ":" in how else found is not None
        if "+" in how:
            return _filled(match[4], known) if there else ""
        if there:
            return found or ""
        return _filled(match[4], known) if "-" in how else match[0]

    return _VARIABLE.sub(value, text)
