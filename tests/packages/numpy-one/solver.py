import sys

import numpy as np
from scipy.linalg import solve as linear


def solve(matrix: list, right: list) -> dict:
    """Returns what numpy returns: arrays, scalars of several types."""
    found = linear(np.array(matrix, dtype=float), np.array(right, dtype=float))
    return {
        "solution": found,
        "norm": np.linalg.norm(found),
        "count": np.int64(found.size),
        "finite": np.isfinite(found).all(),
    }


def where() -> str:
    return sys.prefix
