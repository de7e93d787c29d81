"""Compares what a test case expects with what a function gave."""

import math
from collections.abc import Mapping
from typing import Any, Final

from kedge.package.document import shortened

# Where nothing is said, floats are equal when only the last digits differ: another processor or library
# version rounds differently, and that is no failure.
REL_TOL: Final = 1e-9
_APPROX: Final = frozenset({"approx", "rel_tol", "abs_tol"})


def compare(expected: Any, actual: Any, tolerance: float | None = None) -> list[str]:
    """Every difference, each with the path where it is; an empty list when `actual` is as expected.

    Mappings may be partial: keys that are not expected are not looked at. Lists are compared item by item.
    A number may be expected as `{"approx": x, "rel_tol": r, "abs_tol": a}`.

    Args:
        expected: from a test case.
        actual: outputs of the run.
        tolerance: greatest absolute difference of numbers; None for equal up to rounding.

    >>> compare({"stress": 132.7}, {"stress": 132.6964, "area": 2}, 0.01)
    []
    >>> compare({"points": [1, 2]}, {"points": [1, 3]})
    ['points[1]: expected 2, got 3']
    """
    return _differences(expected, actual, tolerance, "")


def is_approx(expected: Any) -> bool:
    """Whether an expected value is a number with tolerances."""
    return isinstance(expected, Mapping) and "approx" in expected and set(expected) <= _APPROX


def _differences(expected: Any, actual: Any, tolerance: float | None, path: str) -> list[str]:
    if is_approx(expected):
        return _approx(expected, actual, path)
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return [_differs(path, expected, actual)]
        found: list[str] = []
        for key, value in expected.items():
            inner = f"{path}.{shortened(str(key))}" if path else shortened(str(key))
            if key in actual:
                found += _differences(value, actual[key], tolerance, inner)
            else:
                found.append(f"{inner}: expected {_shown(value)}, got nothing")
        return found
    if isinstance(expected, list):
        if not isinstance(actual, list):
            return [_differs(path, expected, actual)]
        if len(expected) != len(actual):
            return [f"{path or 'outputs'}: expected {len(expected)} items, got {len(actual)}"]
        return [
            difference
            for index, (one, other) in enumerate(zip(expected, actual, strict=True))
            for difference in _differences(one, other, tolerance, f"{path}[{index}]")
        ]
    return [] if _equal(expected, actual, tolerance) else [_differs(path, expected, actual)]


def _approx(expected: Mapping[str, Any], actual: Any, path: str) -> list[str]:
    wanted = expected["approx"]
    relative, absolute = expected.get("rel_tol"), expected.get("abs_tol")
    if relative is None and absolute is None:
        relative = REL_TOL
    if _is_number(wanted) and _is_number(actual):
        # As math.isclose, but relative to what is expected alone: a case states that number.
        allowed = max((relative or 0.0) * abs(wanted), absolute or 0.0)
        if _apart(wanted, actual) <= allowed:
            return []
    within = ", ".join(
        f"{name} {value:g}"
        for name, value in (("rel_tol", relative), ("abs_tol", absolute))
        if value is not None
    )
    return [f"{path or 'outputs'}: expected {_shown(wanted)} ({within}), got {_shown(actual)}"]


def _equal(expected: Any, actual: Any, tolerance: float | None) -> bool:
    if _is_number(expected) and _is_number(actual):
        if expected == actual:
            return True
        if tolerance is not None:
            return _apart(expected, actual) <= tolerance
        both_whole = isinstance(expected, int) and isinstance(actual, int)
        return not both_whole and _apart(expected, actual) <= REL_TOL * _size(expected)
    # JSON tells true from 1; Python's == does not.
    return type(expected) is type(actual) and bool(expected == actual)


def _apart(one: float, other: float) -> float:
    try:
        apart = abs(one - other)
    except OverflowError:  # an integer beyond what a float holds
        return math.inf
    return math.inf if math.isnan(apart) else apart


def _size(number: float) -> float:
    try:
        return abs(float(number))
    except OverflowError:
        return math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differs(path: str, expected: Any, actual: Any) -> str:
    return f"{path or 'outputs'}: expected {_shown(expected)}, got {_shown(actual)}"


def _shown(value: Any) -> str:
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # refers to itself, or a number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 200 else text[:199] + "…"
