"""Another package with the same requirements: it shares the first one's environment."""

import sys

import numpy as np


def solve(n: int) -> float:
    return np.trace(np.eye(n))


def where() -> str:
    return sys.prefix
