"""The text of a type expression, read from left to right with the column of everything in it."""

import json
import math
from typing import Any, Final

from kedge.errors import TypeExpressionError, UnitError, Where, nearest
from kedge.ports.catalogue import (
    CONSTRUCTORS,
    DTYPES,
    NAMES,
    QUANTITIES,
    VECTORS,
    Schema,
    array,
    named,
)
from kedge.ports.shapes import kind_of, same_json
from kedge.ports.wording import is_unicode

DEEPEST: Final = 24  # nesting: beyond what a person reads
_LONGEST: Final = 4000  # characters: beyond what a person writes
_MOST_FIELDS: Final = 1000  # over a whole type: a YAML alias can multiply a small text

_MEANT: Final = {
    "float": "Float", "double": "Float", "number": "Float", "real": "Float", "int": "Integer",
    "str": "String", "text": "String", "bool": "Boolean", "object": "Object", "path": "File",
    "directory": "Folder", "dir": "Folder", "enum": "literal[a, b]", "optional": "Float?",
    "union": "one type; `T?` for an optional value", "none": "T?", "timedelta": "Duration",
    "vector": "Vector3", "dataframe": "Table", "ndarray": "Array[float64]", "torque": "Moment",
    "password": "Secret", "distance": "Length", "duration": "Duration", "speed": "Velocity",
    "tuple": "list[T]", "set": "list[T]", "choice": "literal[a, b]",
}  # fmt: skip
"""What people write out of habit from elsewhere."""

_FORMS: Final = {
    "list": "list[Float]",
    "dict": "dict[str, Float]",
    "literal": "literal[a, b]",
    "Array": "Array[float64, 2]",
}


class Budget:
    """How many fields and choices one type may still have, over all the texts and mappings in it."""

    def __init__(self) -> None:
        self.left = _MOST_FIELDS

    def spend(self, path: str | None = None) -> None:
        """One more. Raises TypeExpressionError when there are too many."""
        self.left -= 1
        if self.left < 0:
            message = f"the type has more than {_MOST_FIELDS} fields"
            raise TypeExpressionError(message, where=Where(path=path), hint="use `dict[str, Any]`")


class TypeText:
    """A reader of one text, from left to right."""

    def __init__(self, text: str, budget: Budget, depth: int) -> None:
        self.text = text
        self.budget = budget
        self.base = depth
        self.at = 0

    def read(self) -> Schema:
        if len(self.text) > _LONGEST:
            raise self.wrong(0, f"it is longer than {_LONGEST} characters", "use a smaller type")
        if not is_unicode(self.text):
            raise self.wrong(0, "it is text that is not valid Unicode", "write it as UTF-8")
        if not self.text.strip():
            raise TypeExpressionError(
                "the type is empty",
                where=Where(column=1),
                hint="write one, such as `Float` or `Length[mm]`",
            )
        schema = self.type(self.base)
        self.blanks()
        if self.at < len(self.text):
            hint = "write one type; `T?` for an optional one, `literal[a, b]` for a choice"
            raise self.wrong(self.at, f"`{self.text[self.at]}` is out of place", hint)
        return schema

    def type(self, depth: int) -> Schema:
        if depth >= DEEPEST:
            raise self.wrong(self.at, "it is nested too deeply", f"nest at most {DEEPEST} levels")
        self.blanks()
        core = self.struct(depth) if self.next("{") else self.core(depth)
        self.blanks()
        if not self.next("?"):
            return core
        self.at += 1
        self.blanks()
        if self.next("?"):
            raise self.wrong(self.at, "a second `?` says nothing more", "remove it")
        return {"anyOf": [core, {"type": "null"}]}

    def core(self, depth: int) -> Schema:
        start = self.at
        name = self.name()
        if not name:
            raise self.missing(start, "a type", "write one, such as `Float` or `Length[mm]`")
        brackets = self.next("[")
        if name in _FORMS:
            if not brackets:
                raise self.wrong(start, f"`{name}` needs brackets", f"write `{_FORMS[name]}`")
            return self.constructed(name, depth)
        schema = named(name)
        if schema is None:
            raise self.unknown(start, name)
        if not brackets:
            return schema
        return self.bracketed(name, schema)

    def constructed(self, name: str, depth: int) -> Schema:
        self.at += 1
        self.blanks()
        if name == "literal":
            return self.literal()
        if name == "Array":
            return self.array()
        if name == "dict":
            start = self.at
            if (key := self.name()) not in ("str", "String"):
                raise self.wrong(
                    start, f"the keys of a dict are `str`, not `{key}`", "write `dict[str, T]`"
                )
            self.expect(",", "write `dict[str, T]`")
            self.blanks()
        start = self.at
        inner = self.type(depth + 1)
        self.expect("]", f"close it: `{_FORMS[name]}`")
        kind = kind_of(inner)
        if kind != "value" and (name == "dict" or kind != "file" or "anyOf" in inner):
            message = f"a {name} cannot hold `{self.text[start : self.at - 1].strip()}`"
            raise self.wrong(
                start, message, "files go into `list[File]`, everything else of files alone"
            )
        if name == "dict":
            return {"type": "object", "additionalProperties": inner}
        return {"type": "array", "items": inner}

    def bracketed(self, name: str, schema: Schema) -> Schema:
        if name == "File":
            self.at += 1
            return {**schema, "x-extensions": self.extensions()}
        opening = self.at
        end = self.text.find("]", opening)
        if end < 0:
            raise self.missing(len(self.text), "`]`", f"close it: `{name}[…]`")
        inside = self.text[opening + 1 : end].strip()
        if name not in QUANTITIES and name not in VECTORS and name not in ("Float", "Integer"):
            raise self.wrong(opening, f"`{name}` takes nothing in brackets", f"write `{name}`")
        first = opening + 1
        while self.text[first] == " ":
            first += 1
        component = VECTORS.get(name) or name
        from kedge.ports.units import check_quantity, reduce

        try:
            if component in QUANTITIES:
                check_quantity(component, inside)
            else:
                reduce(inside)
        except UnitError as error:
            raise self.wrong(
                first, error.message, error.hint or "write a unit such as `mm`"
            ) from None
        self.at = end + 1
        if name in VECTORS:
            return {**schema, "items": {**schema["items"], "x-unit": inside}}
        return {**schema, "x-unit": inside}

    def extensions(self) -> list[str]:
        found: list[str] = []
        while True:
            self.blanks()
            start = self.at
            # What has no lower case of one letter (`İ`) could not be written again as it is kept.
            while (character := self.peek()) and (
                character.lower().isalnum() or character in "._+-"
            ):
                self.at += 1
            extension = self.text[start : self.at].lstrip(".").lower()
            if not extension:
                raise self.missing(
                    start, "an extension", "write `File[pdf]`, or `File` for any file"
                )
            if extension not in found:
                found.append(extension)
            if self.separator("write `File[step,iges]`"):
                return found

    def literal(self) -> Schema:
        found: list[Any] = []
        while True:
            self.blanks()
            start = self.at
            choice = self.choice()
            if any(same_json(choice, other) for other in found):
                raise self.wrong(start, f"`{choice}` stands there twice", "remove one of the two")
            found.append(choice)
            self.budget.spend()
            if self.separator("write `literal[a, b]`"):
                return {"enum": found}

    def choice(self) -> Any:
        start = self.at
        if self.next('"'):
            try:
                value, length = json.JSONDecoder().raw_decode(self.text[start:])
            except ValueError:
                raise self.wrong(
                    start, "the quoted text does not end", 'close it with `"`'
                ) from None
            if not is_unicode(value):
                message = "the quoted text holds half a character"
                raise self.wrong(start, message, r"remove the unpaired `\ud…` escape")
            self.at = start + length
            return value
        if self.next("'"):
            end = self.text.find("'", start + 1)
            if end < 0:
                raise self.wrong(start, "the quoted text does not end", "close it with `'`")
            self.at = end + 1
            return self.text[start + 1 : end]
        while (character := self.peek()) and character not in ",[]{}\"'":
            self.at += 1
        word = self.text[start : self.at].strip()
        if not word:
            raise self.missing(start, "a value", "write `literal[a, b]`")
        return self.number(start, word)

    def number(self, start: int, word: str) -> Any:
        try:
            value = json.loads(word, parse_constant=str)
        except (ValueError, RecursionError):
            return word
        if isinstance(value, float) and not math.isfinite(value):
            raise self.wrong(start, f"`{word}` is too large a number", "write a finite number")
        return value

    def array(self) -> Schema:
        start = self.at
        dtype = self.name()
        if dtype not in DTYPES:
            close = nearest(dtype, DTYPES) or "float64"
            message = f"`{dtype}` is not an element type of an array"
            raise self.wrong(start, message, f"did you mean `Array[{close}]`?")
        self.blanks()
        dimensions: int | None = None
        if self.next(","):
            self.at += 1
            self.blanks()
            start = self.at
            while (character := self.peek()) and character in "0123456789":
                self.at += 1
            digits = self.text[start : self.at]
            if not 0 < len(digits) <= 2 or not 0 < int(digits) <= 32:
                message = "the number of dimensions of an array is 1 to 32"
                raise self.wrong(start, message, "write `Array[float64, 2]`")
            dimensions = int(digits)
        self.expect("]", "write `Array[float64, 2]`")
        return array(dtype, dimensions)

    def struct(self, depth: int) -> Schema:
        self.at += 1
        found: dict[str, Schema] = {}
        required: list[str] = []
        while True:
            self.blanks()
            start = self.at
            name = self.field_name()
            if name in found:
                raise self.wrong(
                    start, f"the field `{name}` stands there twice", "remove one of the two"
                )
            self.blanks()
            if self.next("?"):
                self.at += 1
            else:
                required.append(name)
            self.expect(":", "write `{a: Float, b: Float}`")
            self.blanks()
            start = self.at
            self.budget.spend()
            found[name] = self.type(depth + 1)
            if kind_of(found[name]) != "value":
                message = f"the field `{name}` is a file, which cannot be a part of a struct"
                raise self.wrong(start, message, "make it a port of its own")
            self.blanks()
            if self.next("}"):
                self.at += 1
                return struct_of(found, required)
            self.expect(",", "separate fields with `,` and close with `}`")

    def field_name(self) -> str:
        start = self.at
        if self.next('"'):
            name = self.choice()
            assert isinstance(name, str)
            return name
        if not (name := self.name()):
            raise self.missing(start, "a field's name", "write `{a: Float, b: Float}`")
        return name

    def name(self) -> str:
        start = self.at
        while (character := self.peek()) and (
            (character.isascii() and character.isalnum())
            or character == "_"
            or (character == "-" and self.at > start)
        ):
            self.at += 1
        return self.text[start : self.at]

    def separator(self, hint: str) -> bool:
        """Past a `,` (False) or the closing `]` (True)."""
        self.blanks()
        if self.next("]"):
            self.at += 1
            return True
        self.expect(",", hint)
        return False

    def expect(self, character: str, hint: str) -> None:
        self.blanks()
        if not self.next(character):
            raise self.missing(self.at, f"`{character}`", hint)
        self.at += 1

    def blanks(self) -> None:
        while self.peek().isspace():
            self.at += 1

    def next(self, character: str) -> bool:
        return self.peek() == character

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def unknown(self, start: int, name: str) -> TypeExpressionError:
        known = NAMES + CONSTRUCTORS
        folded = {word.casefold(): word for word in known}
        meant = folded.get(name.casefold()) or _MEANT.get(name.casefold()) or nearest(name, known)
        if meant is None:
            return self.wrong(
                start,
                f"`{name}` is not a type",
                f"types are {', '.join(NAMES[:6])}, Length, File, …",
            )
        return self.wrong(
            start, f"`{name}` is not a type", f"did you mean `{_FORMS.get(meant, meant)}`?"
        )

    def missing(self, at: int, what: str, hint: str) -> TypeExpressionError:
        here = self.text[at : at + 1]
        found = f"`{here}` stands" if here.strip() else "it ends"
        return self.wrong(at, f"{what} is missing where {found}", hint)

    def wrong(self, at: int, message: str, hint: str) -> TypeExpressionError:
        column = min(at, len(self.text)) + 1
        shown = self.text if len(self.text) <= 60 else f"{self.text[:60]}…"
        if not message.startswith(f"`{shown}` is not a type"):
            message = f"`{shown}` is not a type: {message} (column {column})"
        return TypeExpressionError(message, where=Where(column=column), hint=hint)


def struct_of(fields: dict[str, Schema], required: list[str]) -> Schema:
    """The schema of a struct; fields that are not `required` may be left out."""
    return {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }
