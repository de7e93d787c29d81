"""The named types: primitives, physical quantities, vectors, and what a file can carry.

Every name of a type expression stands here once, with the port it compiles to. Dimensions are
written in the root units that the units library reduces to, so that a named quantity can be
compared with a unit without loading that library.
"""

from typing import Any, Final

from kedge.data import Data

type Schema = dict[str, Any]
type Dimension = tuple[tuple[str, int], ...]


class Quantity(Data):
    """A physical quantity: a Float with a dimension. `unit` is what its value is in by default."""

    name: str
    unit: str
    dimension: Dimension

    @property
    def noun(self) -> str:
        """`a length`, `an area`: the quantity in a sentence."""
        word = self.name.lower()
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _quantity(name: str, unit: str, **exponents: int) -> tuple[str, Quantity]:
    return name, Quantity(name, unit, tuple(sorted(exponents.items())))


QUANTITIES: Final[dict[str, Quantity]] = dict(
    [
        _quantity("Length", "m", meter=1),
        _quantity("Area", "m^2", meter=2),
        _quantity("Volume", "m^3", meter=3),
        _quantity("Mass", "kg", gram=1),
        _quantity("Density", "kg/m^3", gram=1, meter=-3),
        _quantity("Time", "s", second=1),
        _quantity("Frequency", "Hz", second=-1),
        _quantity("Angle", "rad", radian=1),
        _quantity("Force", "N", gram=1, meter=1, second=-2),
        _quantity("Moment", "N*m", gram=1, meter=2, second=-2),
        _quantity("Pressure", "Pa", gram=1, meter=-1, second=-2),
        _quantity("Stress", "Pa", gram=1, meter=-1, second=-2),
        _quantity("Temperature", "K", kelvin=1),
        _quantity("Energy", "J", gram=1, meter=2, second=-2),
        _quantity("Power", "W", gram=1, meter=2, second=-3),
        _quantity("Velocity", "m/s", meter=1, second=-1),
        _quantity("Acceleration", "m/s^2", meter=1, second=-2),
    ]
)

ALIASES: Final = frozenset({frozenset({"Pressure", "Stress"})})
"""Pairs of quantities that connect although their names differ; Moment and Energy do not."""

VECTORS: Final[dict[str, str | None]] = {"Vector3": None, "Force3": "Force", "Moment3": "Moment"}
"""Three numbers each: the quantity of one component, None for plain numbers."""

TORSOR_FIELDS: Final = {"F": "force", "M": "moment"}
"""The short field names a Torsor also answers to."""

DTYPES: Final = (
    "float16", "float32", "float64", "complex64", "complex128", "bool",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip

ARRAY_EXTENSIONS: Final = ("npy",)
TABLE_EXTENSIONS: Final = ("parquet", "arrow")

_PLAIN: Final[dict[str, Schema]] = {
    "Numeric": {"type": "number", "x-type": "Numeric"},
    "Integer": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "String": {"type": "string"},
    "Secret": {"type": "string", "x-type": "Secret"},
    "Date": {"type": "string", "format": "date"},
    "DateTime": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "format": "duration"},
    "Any": {},
    "Object": {"x-type": "Object"},
    "File": {"type": "string", "format": "binary"},
    "Folder": {"type": "string", "format": "binary", "x-type": "Folder"},
}

NAMES: Final = (*_PLAIN, *QUANTITIES, *VECTORS, "Torsor", "Matrix", "Table")
"""Every type that is written as one word."""

CONSTRUCTORS: Final = ("list", "dict", "literal", "Array")
"""Every type that needs brackets."""


def named(name: str) -> Schema | None:
    """The port that one word stands for, None when it is not a type. The answer is the caller's own.

    >>> named("Length")
    {'type': 'number', 'x-type': 'Length', 'x-unit': 'm'}
    """
    if (plain := _PLAIN.get(name)) is not None:
        return dict(plain)
    if quantity := QUANTITIES.get(name):
        return {"type": "number", "x-type": name, "x-unit": quantity.unit}
    if name in VECTORS:
        component = VECTORS[name]
        items = named(component) if component else {"type": "number"}
        return {"type": "array", "items": items, "minItems": 3, "maxItems": 3, "x-type": name}
    if name == "Torsor":
        return {
            "type": "object",
            "properties": {"force": named("Force3"), "moment": named("Moment3")},
            "required": ["force", "moment"],
            "additionalProperties": False,
            "x-type": "Torsor",
        }
    if name == "Matrix":
        rows = {"type": "array", "items": {"type": "number"}}
        return {"type": "array", "items": rows, "x-type": "Matrix"}
    if name == "Table":
        return _carried("Table", TABLE_EXTENSIONS)
    return None


def array(dtype: str, dimensions: int | None) -> Schema:
    """The port of `Array[dtype]` or `Array[dtype, dimensions]`."""
    inside = dtype if dimensions is None else f"{dtype}, {dimensions}"
    return _carried(f"Array[{inside}]", ARRAY_EXTENSIONS)


def array_parts(x_type: str) -> tuple[str, int | None]:
    """Element type and number of dimensions of an array's `x-type`; the reverse of `array`.

    >>> array_parts("Array[float64, 2]")
    ('float64', 2)
    """
    dtype, _, dimensions = x_type[len("Array[") : -1].partition(",")
    return dtype.strip(), int(dimensions) if dimensions.strip() else None


def _carried(x_type: str, extensions: tuple[str, ...]) -> Schema:
    return {
        "type": "string",
        "format": "binary",
        "x-type": x_type,
        "x-extensions": list(extensions),
    }
