"""Where the places for values stand in a text for `/bin/sh`: bare, in `"…"` or in `'…'`, or refused.

A reader of the shell's grammar, as far as POSIX (XCU 2.2 to 2.10), dash and bash agree on it. It decides by
default against: a place is safe only when the simple command it belongs to was read to its end and found
safe (kedge.runtime.shell_commands). Where the shells disagree, or the reader is not sure, it stops, and
every place from there on is refused with the reason.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final

from kedge.runtime.shell_commands import ASSIGNMENT, EXPANSION, MARK, Word, unsafe_places

__all__ = ["MARK", "Stand", "find_places"]


class Stand(Enum):
    """How a place stands that can be made safe."""

    BARE = "bare"
    DOUBLE = "double"
    SINGLE = "single"


# Commands and expansions inside one another: more than people write, less than Python's recursion bears.
DEEPEST: Final = 50

_BLANK: Final = re.compile(r"(?:[ \t]|\\\n)*")
_OPERATOR: Final = re.compile(r"&&|\|\||[;&|]")
_REDIRECTION: Final = re.compile(r"<<<|<<-|<<|<>|<&|>&|>>|>\||[<>]")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]", re.ASCII)
_ENDS_WORD: Final = " \t\n;&|<>()"
_BEFORE_A_COMMAND: Final = ("if", "then", "elif", "else", "while", "until", "do", "{", "!", "time")
_AFTER_A_COMMAND: Final = ("fi", "done", "}")
_BASH_ONLY: Final = ("[[", "function", "select", "coproc")


class _Unclear(Exception):
    """From here on no place is safe; the message completes `{x} …`."""


def find_places(text: str, paths: Sequence[bool]) -> list[Stand | str]:
    """How each MARK in `text` stands, in their order, or why it is refused: what completes `{x} …`.

    `paths` says of each whether its value is a path, which never begins with `-`.
    """
    marks = [found.start() for found in re.finditer(MARK, text)]
    reader = _Reader(text, {mark for mark, path in zip(marks, paths, strict=True) if path})
    reason = "stands where Kedge cannot tell what it would be to the shell"
    try:
        if ended := reader.commands():
            raise _Unclear(f"stands after a `{ended}` that closes nothing")
    except _Unclear as unclear:
        reason = str(unclear)
    return [
        reader.refused.get(mark) or (reader.stands[mark] if mark in reader.safe else reason)
        for mark in marks
    ]


class _Reader:
    """Reads `text` once, from left to right; every method takes up where the one before has stopped."""

    def __init__(self, text: str, paths: Collection[int]) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.paths = paths
        self.stands: dict[int, Stand] = {}
        self.safe: set[int] = set()
        self.refused: dict[int, str] = {}
        # Here-documents that the next line begins: delimiter, whether tabs before it go, whether expanded.
        self.documents: list[tuple[str, bool, bool]] = []

    # Commands

    def commands(self) -> str:
        """Reads to what ends these commands and gives it: `)`, `;;`, `esac`, or nothing at the end."""
        self.deeper()
        ended = self.simple_commands()
        if ended and self.documents:
            raise _Unclear("stands after a here-document that begins before its line has ended")
        self.depth -= 1
        return ended

    def simple_commands(self) -> str:
        words: list[Word] = []
        while True:
            self.blanks()
            rest = self.text[self.at : self.at + 3]
            if re.match(r"[&(;]\\\n|&>|[<>]\(|\(\(", rest):
                shown = rest[:2].replace("\\", "\\ at the end of a line")
                raise _Unclear(f"stands after `{shown}`, which not every shell reads alike")
            if not rest:
                self.end(words)
                return ""
            if ended := re.match(r"\)|;;&|;;|;&", rest):
                self.end(words)
                self.at += len(ended[0])
                return ")" if ended[0] == ")" else ";;"
            if operator := _OPERATOR.match(rest):
                words = self.end(words)
                self.at += len(operator[0])
            elif rest[0] == "\n":
                words = self.end(words)
                self.newline()
            elif _REDIRECTION.match(rest):
                self.redirection()
            elif rest[0] == "(":
                self.parenthesis(words)
                words = self.end(words)
            else:
                word = self.word()
                if word.text.isdecimal() and not word.quoted and self.peek() in ("<", ">"):
                    continue  # the number of a descriptor
                if words or word.quoted or word.marks:
                    words.append(word)
                elif word.text == "esac":
                    return "esac"
                elif not self.keyword(word.text):
                    words.append(word)

    def end(self, words: list[Word]) -> list[Word]:
        """Judges a simple command that has been read; gives the words of the next, none yet."""
        unsafe = unsafe_places(words, self.paths)
        self.refused |= unsafe
        for word in words:
            self.safe.update(word.marks)
        return []

    def keyword(self, text: str) -> bool:
        """Whether `text` is a reserved word; reads the rest of what a `for` or `case` begins with."""
        if text in _BASH_ONLY:
            raise _Unclear(f"stands after `{text}`, which not every /bin/sh has")
        if text == "for":
            self.for_each()
        elif text == "case":
            self.case()
        else:
            return text in _BEFORE_A_COMMAND or text in _AFTER_A_COMMAND
        return True

    def for_each(self) -> None:
        self.blanks()
        self.refuse(self.word().marks, "names a variable of the shell")
        self.lines()
        if re.match(r"in(?![^ \t\n;])", self.text[self.at : self.at + 3]):
            self.at += 2
            self.blanks()
            while self.peek() not in ("", *"\n;&|<>()"):
                self.safe.update(self.word().marks)
                self.blanks()

    def case(self) -> None:
        self.blanks()
        self.safe.update(self.word().marks)
        self.lines()
        if self.word().text != "in":
            raise _Unclear("stands after a `case` without `in`")
        ended = ";;"
        while ended == ";;":
            self.lines()
            opened = self.peek() == "("
            self.at += opened
            self.blanks()
            pattern = self.word()
            if pattern.text == "esac" and not pattern.quoted and not opened:
                return
            self.pattern(pattern)
            ended = self.commands()
        if ended != "esac":
            raise _Unclear("stands after a `case` without `esac`")

    def pattern(self, word: Word) -> None:
        while True:
            self.refuse(word.marks, "stands in a pattern of `case`")
            self.blanks()
            self.at += 1
            if self.text[self.at - 1 : self.at] == ")":
                return
            if self.text[self.at - 1 : self.at] != "|":
                raise _Unclear("stands after a pattern of `case` without `)`")
            self.blanks()
            word = self.word()

    def parenthesis(self, words: list[Word]) -> None:
        """A subshell, or the `()` of a function."""
        self.at += 1
        if words:
            self.blanks()
            if len(words) > 1 or self.peek() != ")":
                raise _Unclear(
                    "stands after a `(` inside a command, which not every shell reads alike"
                )
            self.at += 1
        elif self.commands() != ")":
            raise _Unclear("stands after a `(` that is not closed")

    # Between words

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def blanks(self) -> None:
        """Blanks, ends of line that a backslash hides, and a comment."""
        self.at = self.end_of(_BLANK)
        if self.peek() == "#":
            start = self.at
            end = self.text.find("\n", start)
            self.at = len(self.text) if end < 0 else end
            self.refuse_since(start, "stands in a comment")

    def lines(self) -> None:
        """Blanks and ends of line."""
        self.blanks()
        while self.peek() == "\n":
            self.newline()
            self.blanks()

    def newline(self) -> None:
        """The end of a line, and the here-documents that follow it."""
        self.at += 1
        documents, self.documents = self.documents, []
        for delimiter, tabs, expanded in documents:
            self.document(delimiter, tabs, expanded)

    def document(self, delimiter: str, tabs: bool, expanded: bool) -> None:
        start = self.at
        while self.at < len(self.text):
            end = self.text.find("\n", self.at) + 1 or len(self.text) + 1
            line = self.text[self.at : end - 1]
            self.at = min(end, len(self.text))
            if (line.lstrip("\t") if tabs else line) == delimiter:
                break
        self.refuse_since(start, "stands in a here-document")
        if expanded and re.search(r"\\\n|`|\$[({]", self.text[start : self.at]):
            raise _Unclear(
                "stands after a here-document with expansions: quote its first delimiter"
            )

    def redirection(self) -> None:
        found = _REDIRECTION.match(self.text, self.at)
        assert found is not None
        operator = found[0]
        self.at = found.end()
        if self.text.startswith("\\\n", self.at):
            raise _Unclear(f"stands after a `{operator}` at the end of a line")
        self.blanks()
        target = self.word()
        if operator in ("<<", "<<-"):
            if MARK in target.text or EXPANSION in target.text or "\n" in target.text:
                raise _Unclear("stands in or after a here-document whose delimiter is not plain")
            self.documents.append((target.text, operator == "<<-", not target.quoted))
        elif operator in ("<&", ">&"):
            self.refuse(target.marks, "names a descriptor of the shell")
        elif operator == "<<<":
            self.refuse(target.marks, "stands in a here-string, which not every /bin/sh has")
        else:
            self.safe.update(target.marks)

    # Inside words

    def word(self) -> Word:
        start = self.at
        text: list[str] = []
        marks: list[int] = []
        quoted = False
        while (char := self.peek()) and char not in _ENDS_WORD:
            self.at += 1
            if char == MARK:
                text.append(self.mark(Stand.BARE, marks))
            elif char == "$":
                text.append(self.dollar(quoted=False))
            elif char == "`":
                text.append(self.backquotes())
            elif char in "*?":
                text.append(EXPANSION)
            elif char not in "\\'\"":
                text.append(char)
            elif char == "\\" and self.peek() == "\n":
                self.at += 1
            else:
                quoted = True
                if char == "\\":
                    text.append(self.escaped())
                elif char == "'":
                    text.append(self.single(marks))
                else:
                    text.append(self.double(marks))
        if self.at == start:
            raise _Unclear(f"stands after a `{char or 'command'}` where a word is missing")
        assigns = ASSIGNMENT.match(self.text, start) is not None
        return Word("".join(text), tuple(marks), quoted, assigns)

    def mark(self, stand: Stand, marks: list[int]) -> str:
        self.stands[self.at - 1] = stand
        marks.append(self.at - 1)
        return MARK

    def escaped(self) -> str:
        """What a backslash escapes, which has been read."""
        char = self.peek()
        self.at += 1
        if char == MARK:
            self.refuse(
                [self.at - 1], "stands after a backslash, which would escape what quotes it"
            )
        return char

    def single(self, marks: list[int]) -> str:
        start = self.at
        end = self.text.find("'", start)
        if end < 0:
            raise _Unclear("stands after a `'` that is not closed")
        for found in re.finditer(MARK, self.text[start:end]):
            self.at = start + found.end()
            self.mark(Stand.SINGLE, marks)
        self.at = end + 1
        return self.text[start:end]

    def double(self, marks: list[int]) -> str:
        text: list[str] = []
        while (char := self.peek()) != '"':
            self.at += 1
            if not char:
                raise _Unclear('stands after a `"` that is not closed')
            if char == MARK:
                text.append(self.mark(Stand.DOUBLE, marks))
            elif char == "\\":
                escaped = self.escaped()
                text.append(
                    "" if escaped == "\n" else escaped if escaped in '$`"\\' else f"\\{escaped}"
                )
            elif char == "$":
                text.append(self.dollar(quoted=True))
            elif char == "`":
                text.append(self.backquotes())
            else:
                text.append(char)
        self.at += 1
        return "".join(text)

    def dollar(self, *, quoted: bool) -> str:
        """What follows a `$`, which has been read."""
        self.deeper()
        expansion = self.expansion(quoted=quoted)
        self.depth -= 1
        return expansion

    def expansion(self, *, quoted: bool) -> str:
        rest = self.text[self.at : self.at + 3]
        if re.match(r"\[|\\\n|\(\\\n" if quoted else r"[\['\"]|\\\n|\(\\\n", rest):
            shown = rest[0].replace("\\", "\\ at the end of a line")
            raise _Unclear(f"stands after `${shown}`, which not every shell reads alike")
        if rest.startswith("(("):
            self.arithmetic()
        elif rest.startswith("("):
            if self.documents:
                raise _Unclear("stands after a here-document that begins before its line has ended")
            self.at += 1
            if self.commands() != ")":
                raise _Unclear("stands after a `$(` that is not closed")
        elif rest.startswith("{"):
            self.parameter(quoted=quoted)
        elif name := _VARIABLE.match(self.text, self.at):
            self.at = name.end()
        else:
            return "$"
        return EXPANSION

    def parameter(self, *, quoted: bool) -> None:
        start = self.at
        self.at += 1
        if self.peek() in (" ", "\t", "\n", "|", "\\"):  # bash 5.3: `${ command; }`
            raise _Unclear("stands in or after a `${` without a name")
        while (char := self.peek()) != "}":
            self.at += 1
            if not char:
                raise _Unclear("stands after a `${` that is not closed")
            if char == "'" and quoted:
                raise _Unclear("stands after a `'` in `${…}`, which not every shell reads alike")
            if char == "'":
                self.single([])
            elif char == '"':
                self.double([])
            elif char == "\\":
                self.escaped()
            elif char == "$":
                self.dollar(quoted=quoted)
            elif char == "`":
                self.backquotes()
        self.at += 1
        self.refuse_since(start, "stands in `${…}`")

    def arithmetic(self) -> None:
        start = self.at
        self.at += 2
        depth = 2
        while depth:
            char = self.peek()
            self.at += 1
            if not char or char in "'\"`\\" or (char == ")" and depth == 2 and self.peek() != ")"):
                raise _Unclear("stands in or after a `$((` that may not be arithmetic")
            if char == "$":
                self.dollar(quoted=True)
            depth += {"(": 1, ")": -1}.get(char, 0)
        self.refuse_since(start, "stands in `$((…))`, whose text the shell evaluates")

    def backquotes(self) -> str:
        start = self.at
        while (char := self.peek()) != "`":
            self.at += 2 if char == "\\" else 1
            if not char or self.documents:
                raise _Unclear("stands in or after backquotes that are not closed")
        self.at += 1
        self.refuse_since(start, "stands in backquotes: `$(…)` may hold it")
        return EXPANSION

    # Verdicts

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Unclear(f"stands after {DEEPEST} things inside one another")

    def end_of(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        assert found is not None
        return found.end()

    def refuse(self, marks: Collection[int], reason: str) -> None:
        for mark in marks:
            self.refused.setdefault(mark, reason)

    def refuse_since(self, start: int, reason: str) -> None:
        for found in re.finditer(MARK, self.text[start : self.at]):
            self.refused.setdefault(start + found.start(), reason)
