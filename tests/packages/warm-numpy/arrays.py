import os

import numpy as np


def double(given: np.ndarray) -> dict:
    """By a library that has threads of its own for large ones."""
    large = np.ones((600, 600))
    assert (large @ large)[0, 0] == 600
    return {"found": 2 * np.dot(given, given), "threads": len(os.listdir("/proc/self/task"))}


def make() -> dict:
    return {"found": np.arange(4.0).reshape(2, 2)}
