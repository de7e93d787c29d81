"""numpy's oldest generator, seeded and then by the operating system again."""

import os

import numpy as np

STAMP = os.urandom(8).hex()

np.random.seed(1)
np.random.seed()


def draw() -> dict:
    return {"stamp": STAMP, "drawn": {"legacy": np.random.random()}}
