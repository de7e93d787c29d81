"""What is done to a value on its way along an edge: a factor and an offset, in the right places.

Made when an edge is checked, kept with it as plain data, and applied without any unit in sight.
"""

from typing import Any

from kedge.data import Data
from kedge.errors import UnitError


class Scale(Data):
    """`target = source * factor + offset`, both exact ratios (numerator, denominator)."""

    factor: tuple[int, int]
    offset: tuple[int, int] = (0, 1)


class Each(Data):
    """Every element of a list, or every value of a dict, by the same conversion."""

    inner: "Conversion"


class Fields(Data):
    """Fields of a struct: (name in the source, name in the target, what is done to it)."""

    fields: "tuple[tuple[str, str, Conversion | None], ...]"


type Conversion = Scale | Each | Fields


def convert(value: Any, conversion: Conversion | None) -> Any:
    """`value` as the target of an edge reads it. Rounded once; null and what has no unit pass.

    >>> convert([250.0, 1.0], Each(Scale((1, 1000))))
    [0.25, 0.001]

    Raises UnitError when the result is too large for a number.
    """
    match conversion:
        case None:
            return value
        case Scale():
            return _scaled(value, conversion)
        case Each(inner):
            if isinstance(value, list):
                return [convert(element, inner) for element in value]
            if isinstance(value, dict):
                return {key: convert(element, inner) for key, element in value.items()}
            return value
        case Fields(fields):
            if not isinstance(value, dict):
                return value
            known = {source: (target, inner) for source, target, inner in fields}
            changed: dict[str, Any] = {}
            for name, field in value.items():
                target, by = known.get(name, (name, None))
                changed[target] = convert(field, by)
            return changed


def _scaled(value: Any, by: Scale) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if value != value or value in (float("inf"), float("-inf")):
        return value
    return exact(_written(value), by)


def _written(value: float) -> tuple[int, int]:
    """The decimal a number is written as, exactly.

    A float is taken as what it prints as: 32.767 m are 32767 mm. Its binary value, 32.76700000000000301 m,
    would make 32767.000000000004 of it, and no round trip of a measured value would come back.
    """
    if isinstance(value, int):
        return value, 1
    from decimal import Decimal

    return Decimal(repr(float(value))).as_integer_ratio()


def exact(value: tuple[int, int], by: Scale) -> float:
    """An exact ratio through a scale, rounded once at the end.

    Raises UnitError when the result is too large for a number.
    """
    (number, under), (factor, factor_under), (offset, offset_under) = value, by.factor, by.offset
    numerator = number * factor * offset_under + offset * under * factor_under
    denominator = under * factor_under * offset_under
    try:
        return numerator / denominator  # CPython divides two integers with one correct rounding
    except OverflowError as error:
        message = "the number is too large once its unit is converted"
        raise UnitError(message, hint="use a larger unit on the receiving side") from error


def to_data(conversion: Conversion | None) -> Any:
    """The conversion as JSON."""
    match conversion:
        case None:
            return None
        case Scale(factor, offset):
            return {"factor": list(factor), "offset": list(offset)}
        case Each(inner):
            return {"each": to_data(inner)}
        case Fields(fields):
            return {
                "fields": [[source, target, to_data(inner)] for source, target, inner in fields]
            }


def from_data(data: Any) -> Conversion | None:
    """The conversion that `to_data` described."""
    if data is None:
        return None
    if "each" in data:
        inner = from_data(data["each"])
        assert inner is not None
        return Each(inner)
    if "fields" in data:
        return Fields(
            tuple((source, target, from_data(inner)) for source, target, inner in data["fields"])
        )
    return Scale(tuple(data["factor"]), tuple(data["offset"]))
