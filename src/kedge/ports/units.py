"""Units: what a unit's text means, as an exact factor, an exact offset and a dimension.

The radian stays in the dimension, so that 60 rpm is never read as 6.28 Hz. The units library is loaded
at the first unit that is asked for; nothing on the path of an ordinary run asks for one.
"""

import functools
from typing import Final

from kedge.errors import UnitError
from kedge.ports.catalogue import QUANTITIES
from kedge.ports.conversion import Scale
from kedge.ports.unit_names import Reduced
from kedge.ports.unit_text import UnitText

_LONGEST: Final = 100  # characters: no unit people write is longer, and hostile text is

_ROOT_WORDS: Final = {
    "gram": "mass",
    "meter": "length",
    "second": "time",
    "radian": "angle",
    "kelvin": "temperature",
    "ampere": "current",
    "mole": "amount of substance",
    "candela": "luminous intensity",
    "bit": "information",
    "count": "count",
}


@functools.lru_cache(maxsize=1024)
def reduce(text: str) -> Reduced:
    """What the unit `text` means.

    >>> reduce("mm").factor
    Fraction(1, 1000)

    Raises UnitError, with the nearest known unit, when it means nothing.
    """
    if len(text) > _LONGEST:
        raise UnitError(
            f"`{text[:20]}…` is too long for a unit", hint="write a unit such as `N*mm`"
        )
    return UnitText(text).read()


def scale(source: str, target: str) -> Scale | None:
    """How a value in `source` becomes one in `target`; None when nothing has to be done.

    >>> scale("mm", "m").factor
    (1, 1000)

    Raises UnitError when one is unknown or their dimensions differ.
    """
    if source == target:
        return None
    one, other = reduce(source), reduce(target)
    if one.dimension != other.dimension:
        message = f"`{source}` is {noun(one)} and `{target}` is {noun(other)}"
        raise UnitError(message, hint="convert between units of one dimension only")
    if (one.difference and other.offset) or (other.difference and one.offset):
        message = f"`{source}` and `{target}` are a temperature and a temperature difference"
        raise UnitError(message, hint="use K, or the same unit on both sides")
    factor = one.factor / other.factor
    offset = (one.offset - other.offset) / other.factor
    if factor == 1 and offset == 0:
        return None
    return Scale(factor.as_integer_ratio(), offset.as_integer_ratio())


def check_quantity(name: str, unit: str) -> None:
    """Refuses a unit that the quantity `name` cannot be in.

    Raises UnitError naming both dimensions: `Stress[mm]`.
    """
    quantity = QUANTITIES[name]
    reduced = reduce(unit)
    if dict(reduced.dimension) != dict(quantity.dimension):
        message = f"`{unit}` is {noun(reduced)}, `{name}` is {quantity.noun} ({quantity.unit})"
        raise UnitError(message, hint=_dimension_hint(unit, name, quantity.unit))
    if reduced.difference:
        message = f"`{unit}` is a temperature difference, `{name}` is a temperature"
        raise UnitError(message, hint=f"write `{name}[degC]` or `{name}[K]`")


def noun(reduced: Reduced) -> str:
    """`a length`, `a pressure or stress`: the dimension of a unit in a sentence."""
    dimension = dict(reduced.dimension)
    if not dimension:
        return "a pure number"
    if reduced.difference:
        return "a temperature difference"
    names = [
        quantity.noun for quantity in QUANTITIES.values() if dict(quantity.dimension) == dimension
    ]
    if names:
        return " or ".join([names[0], *(name.split(" ", 1)[1] for name in names[1:])])
    if (
        len(dimension) == 1
        and (only := next(iter(dimension.items())))[1] == 1
        and only[0] in _ROOT_WORDS
    ):
        word = _ROOT_WORDS[only[0]]
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    if dimension == {"radian": 1, "second": -1}:
        return "an angular velocity"
    return "a quantity of " + "*".join(
        _ROOT_WORDS.get(root, root) + ("" if power == 1 else f"^{power}")
        for root, power in sorted(dimension.items(), key=lambda item: (item[1] < 0, item[0]))
    )


def _dimension_hint(unit: str, name: str, usual: str) -> str:
    if name == "Temperature" and unit in ("C", "F"):
        return f"write `Temperature[deg{unit}]`"
    if name == "Frequency":
        return "write `Frequency[Hz]`, or `Float[rpm]` for a rotational speed"
    return f"write a unit such as `{name}[{usual}]`"
