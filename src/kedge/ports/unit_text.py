"""The grammar of a unit's text.

    unit   = factor { ("*" | "·" | "." | "/" | blank) factor }
    factor = (name | "1" | "(" unit ")") [ ("^" | "**") exponent | superscript ]

It is Kedge's own, and only single names go on to the units library: that keeps hostile text
(`m**9**9**9`) and text with two readings (`W/m K`) out of it.
"""

from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from kedge.errors import UnitError
from kedge.ports.unit_names import Reduced, resolve

_DEEPEST: Final = 8  # parentheses
_HIGHEST: Final = 12  # exponent: kg^12 already means nothing
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT_CHARACTERS: Final = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_TIMES: Final = "*·⋅×."
# For roots, which are not rational: far beyond a float's 17 digits.
_PRECISE: Final = Context(prec=60)


type _Dimension = dict[str, Fraction]
type _Product = tuple[Fraction, _Dimension]


class UnitText:
    """One pass over a unit's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.names = 0
        # The unit, while it is one name: only then does an offset mean something. In `W/(m*degC)` the
        # degree is a difference.
        self.alone: Reduced | None = None

    def read(self) -> Reduced:
        self.blanks()
        if self.at == len(self.text):
            raise UnitError(
                "a unit is missing: there is nothing to read", hint="write a unit such as `mm`"
            )
        factor, dimension = self.product(0)
        if self.at < len(self.text):
            raise self.unreadable()
        kept = tuple(sorted((root, power) for root, power in dimension.items() if power))
        if self.alone is not None and self.names == 1:
            return Reduced(self.text, factor, self.alone.offset, kept, self.alone.difference)
        return Reduced(self.text, factor, Fraction(0), kept)

    def product(self, depth: int) -> "_Product":
        factor, dimension = self.factor(depth)
        divided = False
        while True:
            gap = self.blanks()
            sign = self.peek()
            if sign in ("", ")"):
                return factor, dimension
            power = 1
            if sign == "/":
                self.at += 1
                divided, power = True, -1
            elif sign in _TIMES and not self.text.startswith("**", self.at):
                self.at += 1
            elif gap and divided:
                message = f"`{self.text}` can be read in two ways: a blank after `/`"
                raise UnitError(message, hint="write `W/(m*K)` or `W/m*K`")
            elif not gap:
                raise self.unreadable()
            self.blanks()
            more, more_dimension = self.factor(depth)
            factor = factor * more if power == 1 else factor / more
            dimension = _joined(dimension, more_dimension, power)

    def factor(self, depth: int) -> "_Product":
        if self.peek() == "(":
            return self.group(depth)
        if self.peek() == "1" and not self.text[self.at + 1 : self.at + 2].isalnum():
            self.at += 1
            self.names += 1
            self.exponent()
            return Fraction(1), {}
        found, glued = resolve(self.word(), self.text)
        power = Fraction(glued) if glued is not None else self.exponent()
        self.names += 1
        if isinstance(found, str):
            if power != 1:
                message = f"`{self.text}` can be read in two ways: an exponent after a product"
                raise UnitError(message, hint=f"write `({found})^2`, or the exponent on one factor")
            factor, dimension = UnitText(found).product(depth)
        else:
            factor, dimension = found.factor, dict(found.dimension)
            self.alone = found if power == 1 else None
        return _raised(factor, power), _joined({}, dimension, power)

    def group(self, depth: int) -> "_Product":
        if depth >= _DEEPEST:
            raise UnitError(f"`{self.text}` has too many parentheses", hint="write it flatter")
        self.at += 1
        self.blanks()
        factor, dimension = self.product(depth + 1)
        if self.peek() != ")":
            message = f"`{self.text}` lacks a closing parenthesis"
            raise UnitError(message, hint="close it: `W/(m*K)`")
        self.at += 1
        power = self.exponent()
        if power != 1:
            self.alone = None
        return _raised(factor, power), _joined({}, dimension, power)

    def exponent(self) -> Fraction:
        """The exponent at this place, 1 when there is none."""
        if (character := self.peek()) and character in _SUPERSCRIPT_CHARACTERS:
            start = self.at
            while (character := self.peek()) and character in _SUPERSCRIPT_CHARACTERS:
                self.at += 1
            return self.power(self.text[start : self.at].translate(_SUPERSCRIPTS))
        start = self.at
        self.blanks()
        for sign in ("**", "^"):
            if self.text.startswith(sign, self.at):
                self.at += len(sign)
                self.blanks()
                return self.power(self.number())
        self.at = start
        return Fraction(1)

    def number(self) -> str:
        """The text of an exponent: `2`, `-1`, `0.5`, `(1/2)`."""
        if self.peek() == "(":
            end = self.text.find(")", self.at)
            if end < 0:
                raise self.unreadable()
            inside = self.text[self.at + 1 : end].replace(" ", "")
            self.at = end + 1
            return inside
        start = self.at
        while (character := self.peek()) and (
            character in "0123456789." or (character in "+-" and self.at == start)
        ):
            self.at += 1
        return self.text[start : self.at]

    def power(self, written: str) -> Fraction:
        if len(written) > 8 or not written.isascii():
            raise self.bad_power(written)
        try:
            power = Fraction(written)
        except (ValueError, ZeroDivisionError) as error:
            raise self.bad_power(written) from error
        if not power or abs(power) > _HIGHEST or power.denominator > _HIGHEST:
            raise self.bad_power(written)
        return power

    def bad_power(self, written: str) -> UnitError:
        message = f"`{written}` is not an exponent in the unit `{self.text}`"
        return UnitError(message, hint="write a small number: `mm^2`, `MPa*m^0.5`")

    def word(self) -> str:
        start = self.at
        while (character := self.peek()) and (
            character.isalpha()
            or character in "_°%"
            or (character in "0123456789" and self.at > start)
        ):
            self.at += 1
        if self.at == start:
            raise self.unreadable()
        return self.text[start : self.at]

    def blanks(self) -> bool:
        start = self.at
        while self.peek() == " ":
            self.at += 1
        return self.at > start

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def unreadable(self) -> UnitError:
        what = f"`{self.peek()}`" if self.peek() else "its end"
        message = f"`{self.text}` is not a unit: {what} at character {self.at + 1} is out of place"
        return UnitError(message, hint="write a unit such as `mm`, `N*mm`, `kg/m^3`")


def _joined(one: _Dimension, other: _Dimension, power: Fraction | int) -> _Dimension:
    joined = dict(one)
    for root, exponent in other.items():
        joined[root] = joined.get(root, Fraction(0)) + exponent * power
    return joined


def _raised(factor: Fraction, power: Fraction) -> Fraction:
    if power.denominator == 1:
        whole = abs(power.numerator)
        ratio = Fraction(factor.numerator**whole, factor.denominator**whole)
        return ratio if power > 0 else 1 / ratio
    base = _PRECISE.divide(Decimal(factor.numerator), Decimal(factor.denominator))
    exponent = _PRECISE.divide(Decimal(power.numerator), Decimal(power.denominator))
    return Fraction(_PRECISE.power(base, exponent))
