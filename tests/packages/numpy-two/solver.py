"""Another package with the same requirements: it shares the first one's environment."""

import sys

import numpy as np


def solve(n: int) -> dict:
    return {"trace": np.trace(np.eye(n)), "prefix": sys.prefix}
