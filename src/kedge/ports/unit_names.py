"""Single unit names: what the units library says of them, reduced to exact numbers.

Only whole names reach the library, never an expression. It is loaded at the first of them.
"""

import functools
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from kedge.data import Data
from kedge.errors import UnitError, nearest

if TYPE_CHECKING:
    import pint

_RUN_TOGETHER: Final = {
    "Nm": "N*m", "kNm": "kN*m", "MNm": "MN*m", "Nmm": "N*mm", "kNmm": "kN*mm", "daNm": "daN*m",
    "Ncm": "N*cm", "Pas": "Pa*s", "mPas": "mPa*s", "Nms": "N*m*s", "Ns": "N*s", "kNs": "kN*s",
    "Ws": "W*s",
}  # fmt: skip
"""Products that are often written without a sign; the library reads some as a plural (`Pas`)."""

_FAMILIAR: Final = (
    "m", "mm", "cm", "km", "um", "nm", "inch", "ft", "m^2", "mm^2", "cm^2", "m^3", "mm^3", "L", "mL",
    "kg", "g", "mg", "tonne", "lb", "s", "ms", "us", "min", "hour", "day", "Hz", "kHz", "MHz", "GHz",
    "rad", "mrad", "deg", "degree", "rpm", "N", "kN", "MN", "mN", "daN", "lbf", "kip", "kgf", "N*m",
    "N*mm", "kN*m", "Pa", "kPa", "MPa", "GPa", "hPa", "bar", "mbar", "psi", "ksi", "K", "degC", "degF",
    "J", "kJ", "MJ", "mJ", "kWh", "W", "kW", "MW", "mW", "hp", "m/s", "km/hour", "mm/s", "m/s^2", "V",
    "mV", "kV", "A", "mA", "ohm", "percent",
)  # fmt: skip
"""What a misspelt unit was most likely meant to be, asked before the library's thousand names."""


class Reduced(Data):
    """A unit as its value in root units: `root = value * factor + offset`.

    `difference` marks a temperature difference, which has no absolute value to convert to.
    """

    text: str
    factor: Fraction
    offset: Fraction
    dimension: tuple[tuple[str, Fraction], ...]
    difference: bool = False


def resolve(word: str, text: str) -> tuple[Reduced | str, int | None]:
    """What one name means, or the product it stands for; with the exponent that is glued to it."""
    if word in _RUN_TOGETHER:
        return _RUN_TOGETHER[word], None
    word = "degree" if word == "°" else word
    if found := _library_unit(word):
        return found, None
    stem = word.rstrip("0123456789")
    glued = word.removeprefix(stem)  # N/mm2
    if len(glued) == 1 and glued in "23456789" and (found := _library_unit(stem)):
        return found, int(glued)
    close = _nearest(word)
    hint = f"did you mean `{close}`?" if close else "write a unit such as `mm`, `N*mm`, `degC`"
    place = "" if word == text else f" in `{text}`"
    raise UnitError(f"`{word}` is not a unit{place}", hint=hint)


@functools.lru_cache(maxsize=1024)
def _library_unit(word: str) -> Reduced | None:
    """The library's unit of that name, None when it has none that can be used."""
    import pint

    registry = _registry()
    try:
        readings = registry.parse_unit_name(word)
        if not readings:
            return None
        prefix, name, suffix = readings[0]
        if suffix and len(word) <= 3 and word[:-1] != name:  # `Ps` is no plural
            return None
        unit = registry.Unit(prefix + name)
        values = [registry.Quantity(Fraction(value), unit).to_root_units() for value in (0, 1, 2)]
        zero, one, two = (_exact(value.magnitude) for value in values)
    except (pint.PintError, ArithmeticError, ValueError, TypeError, AttributeError, AssertionError):
        return None
    if two - one != one - zero or one == zero:  # decibel: not a factor and an offset
        message = f"`{word}` is a logarithmic unit, which no factor converts"
        raise UnitError(message, hint="use a plain `Float` and say the unit in the description")
    powers = sorted((str(root), _exact(power)) for root, power in values[0].unit_items())
    return Reduced(word, one - zero, zero, tuple(powers), name.startswith("delta_"))


def _nearest(word: str) -> str | None:
    folded = word.casefold()
    for familiar in _FAMILIAR:
        if familiar.casefold() == folded:
            return familiar
    names = [name for name in _registry() if name.isascii() and not name.startswith("delta_")]
    return nearest(word, _FAMILIAR) or nearest(word, names)


@functools.cache
def _registry() -> "pint.UnitRegistry[Fraction]":
    """The one registry. Fractions keep every factor exact."""
    import pint

    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


def _exact(magnitude: Any) -> Fraction:
    """A magnitude of the library: a fraction, or a float where its definition has a root."""
    return Fraction(magnitude)
