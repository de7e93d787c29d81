"""From what a caller gave to what the port means: the small, explicit coercions.

int to float; text with a unit to a number in the port's unit; ISO text and dates; the short field names
of a Torsor. Nothing else is guessed. On the way every value is seen to be JSON: finite numbers, text that
is Unicode, no deeper than a parser follows.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from kedge.errors import Problem, UnitError, Where
from kedge.ports.catalogue import TORSOR_FIELDS, Schema
from kedge.ports.shapes import (
    alternatives,
    element_schema,
    entry_schema,
    form,
    holds_secret,
    nominal,
    unit_of,
)
from kedge.ports.wording import MOST_PROBLEMS, Place, expected, is_unicode, path_text, shown

# Levels: beyond it parsers refuse, and a list that contains itself has no end.
_DEEPEST: Final = 100
_WITH_UNIT: Final = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(\S.*?)?\s*", re.ASCII
)
_MOST_BITS: Final = 14_284  # of 4300 digits, beyond which Python makes no text of an integer
_LONGEST_NUMBER: Final = 120  # characters of a number with its unit


class _EnoughError(Exception):
    """As many problems of one value as anybody reads: a list of a million wrong elements has no more."""


class Coercion:
    """One port's value being read.

    `problems` collects what cannot be read, `failed` the places, so that a validator that sees the value
    afterwards need not say it again. `from_people` allows text with units.
    """

    def __init__(self, schema: Schema, *, from_people: bool) -> None:
        self.problems: list[Problem] = []
        self.failed: set[Place] = set()
        self.from_people = from_people
        self.hidden = holds_secret(schema)

    def read(self, schema: Any, value: Any, place: Place) -> Any:
        """`value` as `schema` means it; what cannot be read is kept as it is and becomes a problem."""
        try:
            return self.inner(schema, value, place)
        except RecursionError:
            return self.wrong(place, "is nested too deeply", "use flatter data", value)
        except _EnoughError:
            self.failed.add(place)
            return value

    def inner(self, schema: Any, value: Any, place: Place) -> Any:
        if len(place) > _DEEPEST:
            raise RecursionError  # at once: a list that holds itself twice has 2^100 places
        found, _ = alternatives(schema)
        if len(found) > 1:
            return self.union(found, value, place)
        return self.single(found[0], value, place)

    def single(self, schema: Any, value: Any, place: Place) -> Any:
        kind = form(schema)
        match value:
            case None | bool():
                return value
            case int() | float():
                return self.number(schema, kind, value, place)
            case str():
                return self.text(schema, kind, value, place)
            case list() | tuple():
                return self.elements(schema, kind, value, place)
            case Mapping():
                return self.object(schema, kind, value, place)
        if kind in ("date", "date-time", "duration"):
            from kedge.ports.moments import iso_text

            if (text := iso_text(kind, value)) is not None:
                return text
        hint = "give JSON: numbers, text, true, false, null, lists, objects"
        return self.wrong(place, f"is {shown(value)}; {expected(schema)} is expected", hint, value)

    def elements(
        self, schema: Any, kind: str, value: list[Any] | tuple[Any, ...], place: Place
    ) -> list[Any]:
        floats = (
            kind == "list" and "prefixItems" not in schema and form(schema.get("items")) == "number"
        )
        # Long lists are lists of floats, which are what they are: ten times faster than one by one.
        if floats and all(type(one) is float and math.isfinite(one) for one in value):
            return list(value)
        return [
            self.inner(
                element_schema(schema, index) if kind == "list" else {}, element, (*place, index)
            )
            for index, element in enumerate(value)
        ]

    def number(self, schema: Any, kind: str, value: float, place: Place) -> Any:
        if type(value) not in (
            int,
            float,
        ):  # numpy's float64 and IntEnum are numbers of their own kind
            value = float(value) if isinstance(value, float) else int(value)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            self.wrong(place, "is an integer of more than 4300 digits", "give it as a text", value)
            return 0  # nothing can say it, the message of whatever else is wrong neither
        if isinstance(value, float) and not math.isfinite(value):
            hint = "give a finite number; null in an optional port says that there is none"
            return self.wrong(
                place, f"is {value}, which is not a number that JSON has", hint, value
            )
        if kind == "number" and isinstance(value, int) and nominal(schema) != "Numeric":
            try:
                return float(value)
            except OverflowError:
                return self.wrong(place, "is too large a number", "give one below 1.8e308", value)
        if kind == "integer" and isinstance(value, float):
            message = f"is {value!r}, a Float; {expected(schema)} is expected"
            return self.wrong(
                place, message, f"write {value:.0f}" if value.is_integer() else "round it", value
            )
        return value

    def text(self, schema: Any, kind: str, value: str, place: Place) -> Any:
        if not is_unicode(value):
            self.wrong(place, "is text that is not valid Unicode", "give it as UTF-8", value)
            return ""  # the validator cannot be shown such text, and the rest of the value can
        if kind in ("date", "date-time", "duration"):
            from kedge.ports.moments import iso_text

            if (text := iso_text(kind, value)) is None:
                hint = "write it in ISO 8601, as in the example"
                return self.wrong(
                    place, f"is {shown(value)}; {expected(schema)} is expected", hint, value
                )
            return text
        if kind in ("number", "integer") and self.from_people:
            return self.measured(schema, value, place)
        return value

    def measured(self, schema: Schema, value: str, place: Place) -> Any:
        """Text with a unit as a number in the port's unit."""
        unit = unit_of(schema)
        match = _WITH_UNIT.fullmatch(value) if len(value) <= _LONGEST_NUMBER else None
        if match is None or unit is None or match[2] is None:
            hint = _text_hint(unit, match, value)
            return self.wrong(
                place, f"is {shown(value)}; {expected(schema)} is expected", hint, value
            )
        try:
            number = in_unit(match[1], match[2], unit)
        except UnitError as error:
            return self.unfit(schema, value, match[2], place, error)
        if form(schema) == "integer":
            if not number.is_integer():
                came = f"is `{value}`, {number:g} {unit}"
                return self.wrong(
                    place, f"{came}; {expected(schema)} is expected", "give a whole number", value
                )
            return int(number)
        return number

    def unfit(self, schema: Schema, value: str, unit: str, place: Place, error: UnitError) -> Any:
        from kedge.ports.units import noun, reduce

        wanted = unit_of(schema)
        assert wanted is not None
        try:
            came, port = reduce(unit), reduce(wanted)
        except UnitError:
            message = f"is `{value}`: {error.message}"
            return self.wrong(place, message, error.hint or "write a unit such as `mm`", value)
        if came.dimension == port.dimension:
            return self.wrong(
                place, f"is `{value}`: {error.message}", error.hint or f"give it in {wanted}", value
            )
        what = expected(schema) if nominal(schema) else f"{noun(port)} in {wanted}"
        name = path_text(place)
        message = f"`{value}` is {noun(came)}; `{name}` is {what}"
        hint = f"give it in {wanted} or a unit of the same kind"
        self.note(place, Problem(message, Where(path=name), hint))
        return value

    def object(self, schema: Any, kind: str, value: Mapping[Any, Any], place: Place) -> Any:
        found: dict[str, Any] = {}
        for key, entry in value.items():
            if not isinstance(key, str) or not is_unicode(key):
                self.wrong(
                    place, f"has the key `{key!a:.60}`, which is not text", "quote it", value
                )
                continue
            name = key
            if (
                nominal(schema) == "Torsor"
                and key in TORSOR_FIELDS
                and TORSOR_FIELDS[key] not in value
            ):
                name = TORSOR_FIELDS[key]
            inner = entry_schema(schema, name) if kind in ("struct", "dict") else {}
            found[name] = self.inner(inner, entry, (*place, name))
        return found

    def union(self, found: list[Any], value: Any, place: Place) -> Any:
        """The first alternative that takes the value as it is, else the first that takes it coerced."""
        from kedge.ports.sentences import is_valid

        for schema in found:
            attempt = Coercion({}, from_people=self.from_people)
            read = attempt.read(schema, value, place)
            if not attempt.problems and is_valid(schema, read):
                return read
        return self.single({}, value, place)

    def wrong(self, place: Place, message: str, hint: str, value: Any) -> Any:
        name = path_text(place)
        if self.hidden:
            message, hint = "is a value that is not shown, of the wrong kind", "see the port's type"
        self.note(place, Problem(f"`{name}` {message}", Where(path=name), hint))
        return value

    def note(self, place: Place, problem: Problem) -> None:
        self.failed.add(place)
        self.problems.append(problem)
        if len(self.problems) > MOST_PROBLEMS:
            raise _EnoughError


def in_unit(number: str, unit: str, target: str) -> float:
    """The number written as `number unit`, in `target`; rounded once.

    Raises UnitError when the unit is unknown, of another dimension, or the result is out of range.
    """
    if unit == target:
        return _finite(float(number), number)
    from fractions import Fraction

    from kedge.ports.conversion import exact
    from kedge.ports.units import scale

    by = scale(unit, target)
    if by is None:
        return _finite(float(number), number)
    return exact(Fraction(number).as_integer_ratio(), by)


def _finite(value: float, written: str) -> float:
    if not math.isfinite(value):
        raise UnitError(f"`{written}` is too large a number", hint="give one below 1.8e308")
    return value


def _text_hint(unit: str | None, match: re.Match[str] | None, value: str) -> str:
    if match is None:
        if re.fullmatch(r"\s*[+-]?\d+,\d+.*", value):
            return "write the decimals after a point: 1.5"
        return (
            f'give a number, or text with a unit: "12 {unit}"'
            if unit
            else "give a number, without quotes"
        )
    if match[2] is None:
        return (
            f'write {match[1]} without quotes, or "{match[1]} {unit}"'
            if unit
            else f"write {match[1]} without quotes"
        )
    return "this port has no unit: give the number alone"
