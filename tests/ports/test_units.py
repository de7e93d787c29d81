"""Units: what they mean, how they convert, and which ones are refused."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import UnitError
from kedge.ports.catalogue import QUANTITIES, Quantity
from kedge.ports.conversion import Each, Fields, Scale, convert, from_data, to_data
from kedge.ports.units import check_quantity, reduce, scale

LENGTHS = ("mm", "cm", "m", "km", "in", "ft", "um", "mile")
STRESSES = ("Pa", "kPa", "MPa", "GPa", "psi", "ksi", "bar", "N/mm^2", "N/mm2", "kgf/cm²")


@pytest.mark.parametrize("quantity", QUANTITIES.values(), ids=lambda quantity: quantity.name)
def test_the_catalogue_agrees_with_the_library_on_every_dimension(quantity: Quantity) -> None:
    check_quantity(quantity.name, quantity.unit)


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (12, "mm", "m", 0.012),
        (1, "in", "mm", 25.4),
        (100, "MPa", "Pa", 1e8),
        (1, "N/mm2", "MPa", 1.0),
        (1, "kN*m", "N*mm", 1e6),
        (1, "kNm", "N·m", 1000.0),
        (90, "km/h", "m/s", 25.0),
        (20, "degC", "K", 293.15),
        (32, "degF", "degC", 0.0),
        (300, "K", "°C", 26.85),
        (-40, "°C", "°F", -40.0),
        (180, "deg", "rad", math.pi),
        (1, "°", "degree", 1.0),
        (60, "rpm", "rad/s", 2 * math.pi),
        (1, "W/(m*degC)", "W/(m*K)", 1.0),
        (1, "g/cm³", "kg/m^3", 1000.0),
        (1, "m^-1", "1/mm", 0.001),
        (1, "m⁻¹", "1/mm", 0.001),
        (50, "%", "1", 0.5),
        (1, "N m", "J", 1.0),
    ],
)
def test_a_value_is_scaled_once(value: float, source: str, target: str, result: float) -> None:
    assert convert(value, scale(source, target)) == result


def test_a_root_in_a_unit_is_kept_to_the_last_bit() -> None:
    factor = scale("MPa*m^0.5", "MPa*mm**(1/2)")
    assert convert(1.0, factor) == math.sqrt(1000)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("", "missing"),
        ("mmm", "`mmm` is not a unit"),
        ("m**9**9**9", "out of place"),
        ("m^999999999", "not an exponent"),
        ("m^1e9", "out of place"),
        ("m^0", "not an exponent"),
        ("m^(1/0)", "not an exponent"),
        ("W/m K", "two ways"),
        ("Nm^2", "two ways"),
        ("(m", "parenthesis"),
        ("((((((((((m))))))))))", "too many parentheses"),
        ("m*", "out of place"),
        ("2 mm", "out of place"),
        ("dB", "logarithmic"),
        ("x" * 5000, "too long"),
        ("__import__('os')", "not a unit"),
        ("²", "out of place"),
    ],
)
def test_text_that_is_no_unit_is_refused_with_a_hint(unit: str, words: str) -> None:
    with pytest.raises(UnitError) as caught:
        reduce(unit)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "target"),
    [("mm", "kg"), ("rpm", "Hz"), ("delta_degC", "degC"), ("N*m", "N"), ("deg", "percent")],
)
def test_units_of_different_kinds_do_not_convert(source: str, target: str) -> None:
    with pytest.raises(UnitError):
        scale(source, target)


def test_a_temperature_difference_converts_where_there_is_no_zero_point() -> None:
    assert convert(9.0, scale("delta_degF", "K")) == 5.0


@given(st.text(max_size=30))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    try:
        reduce(text)
    except UnitError as error:
        assert error.hint


PARTS = [
    "mm",
    "kN",
    "N",
    "Pa",
    "s",
    "^",
    "**",
    "/",
    "*",
    "(",
    ")",
    "1",
    "2",
    "-1",
    "0.5",
    "²",
    "·",
    ".",
    "degC",
    " ",
]


@given(st.lists(st.sampled_from(PARTS)))
def test_no_arrangement_of_unit_parts_makes_the_reader_fail_in_another_way(
    parts: list[str],
) -> None:
    try:
        reduce("".join(parts))
    except UnitError as error:
        assert error.hint


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e200, max_value=1e200)


@given(finite, st.sampled_from(LENGTHS), st.sampled_from(LENGTHS))
def test_a_conversion_is_the_nearest_float_to_the_exact_result(
    value: float, source: str, target: str
) -> None:
    by = scale(source, target) or Scale((1, 1))
    exact = Fraction(repr(value)) * Fraction(*by.factor) + Fraction(*by.offset)
    assert convert(value, by) == float(exact)


# Below 1e-200 a conversion may leave the range in which a float has all its bits.
normal = finite.filter(lambda value: value == 0 or abs(value) > 1e-200)


@given(normal, st.sampled_from([LENGTHS, STRESSES]), st.data())
def test_a_round_trip_comes_back_to_the_last_bits_that_floats_allow(
    value: float, units: tuple[str, ...], data: st.DataObject
) -> None:
    source, target = data.draw(st.sampled_from(units)), data.draw(st.sampled_from(units))
    there, back = scale(source, target), scale(target, source)
    if there is not None:
        assert back is not None
        assert Fraction(*there.factor) * Fraction(*back.factor) == 1
    returned = convert(convert(value, there), back)
    assert abs(returned - value) <= 2 * math.ulp(value)


DECIMAL = ("um", "mm", "cm", "m", "km")


@given(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.integers(-12, 12),
    st.sampled_from(DECIMAL),
    st.sampled_from(DECIMAL),
)
def test_what_people_write_comes_back_exactly_from_any_decimal_unit(
    digits: int, exponent: int, source: str, target: str
) -> None:
    value = float(f"{digits}e{exponent}")
    assert convert(convert(value, scale(source, target)), scale(target, source)) == value


def test_a_value_is_taken_as_it_is_written() -> None:
    assert convert(32.767, scale("m", "mm")) == 32767.0
    assert convert(0.1, scale("km", "mm")) == 100000.0


@given(
    st.floats(-1000, 1000), st.sampled_from(["degC", "degF", "K"]), st.sampled_from(["degC", "K"])
)
def test_temperatures_come_back(value: float, source: str, target: str) -> None:
    returned = convert(convert(value, scale(source, target)), scale(target, source))
    # A zero point that is 273 away costs the last bits of small values, and no more.
    assert abs(returned - value) <= 4 * math.ulp(1000.0)


def test_a_conversion_reaches_into_lists_dicts_and_structs_and_leaves_null() -> None:
    milli = Scale((1, 1000))
    conversion = Fields((("F", "force", Each(milli)), ("n", "n", None)))
    assert convert({"F": [1000, None], "n": 3, "other": 5}, conversion) == {
        "force": [1.0, None],
        "n": 3,
        "other": 5,
    }
    assert convert({"a": 1000}, Each(milli)) == {"a": 1.0}
    assert from_data(to_data(conversion)) == conversion


def test_a_value_that_is_not_a_number_passes_unchanged() -> None:
    for value in (None, True, "x", [1], math.inf):
        assert convert(value, Scale((1, 2))) == value
    assert math.isnan(convert(math.nan, Scale((1, 2))))


def test_a_result_that_is_too_large_is_an_error_and_not_infinity() -> None:
    with pytest.raises(UnitError):
        convert(1e308, Scale((1000, 1)))
