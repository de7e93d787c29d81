"""The fatigue strength curves for direct stress of EN 1993-1-9:2005, section 7.1 and figure 7.1."""

from math import inf

CATEGORY_CYCLES = 2e6
KNEE_CYCLES = 5e6
CUT_OFF_CYCLES = 1e8
SLOPE = 3
SLOPE_BELOW_KNEE = 5


def endurance(stress_range: float, category: float) -> float:
    """Cycles that a detail of a category bears at a range (both in MPa); below the cut-off no end of them."""
    if stress_range >= knee(category):
        return CATEGORY_CYCLES * (category / stress_range) ** SLOPE
    if stress_range >= cut_off(category):
        return KNEE_CYCLES * (knee(category) / stress_range) ** SLOPE_BELOW_KNEE
    return inf


def knee(category: float) -> float:
    """The constant amplitude fatigue limit in MPa: 0.737 of the category."""
    return float(category * (CATEGORY_CYCLES / KNEE_CYCLES) ** (1 / SLOPE))


def cut_off(category: float) -> float:
    """The range in MPa below which there is no damage: 0.549 of the knee."""
    return float(knee(category) * (KNEE_CYCLES / CUT_OFF_CYCLES) ** (1 / SLOPE_BELOW_KNEE))
