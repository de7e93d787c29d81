"""numpy's generators that were seeded deliberately: the same numbers in every process."""

import copy
import os
import random

import numpy as np

STAMP = os.urandom(8).hex()

random.seed(1)
NUMBER = np.random.default_rng(1)
LARGE = np.random.default_rng(np.random.SeedSequence(2**100 + 7))
SEVERAL = np.random.default_rng([1, 2])
STATE = np.random.RandomState(1)
MERSENNE = np.random.Generator(np.random.MT19937(4))
KEY = np.random.Generator(np.random.Philox(key=3))
SEQUENCE = np.random.SeedSequence(5)
CHILD = np.random.default_rng(SEQUENCE.spawn(2)[1])
COPIED = copy.deepcopy(NUMBER)
JUMPED = np.random.Generator(np.random.PCG64(1).jumped())
SET = np.random.default_rng()
SET.bit_generator.state = np.random.PCG64(9).state


def draw() -> dict:
    drawn = {
        "random": random.random(),
        "number": NUMBER.random(),
        "large": LARGE.random(),
        "several": SEVERAL.random(),
        "state": STATE.random_sample(),
        "mersenne": MERSENNE.random(),
        "key": KEY.random(),
        "sequence": SEQUENCE.generate_state(1)[0],
        "spawned by it": np.random.default_rng(SEQUENCE.spawn(1)[0]).random(),
        "child": CHILD.random(),
        "copied": COPIED.random(),
        "jumped": JUMPED.random(),
        "set": SET.random(),
    }
    return {"stamp": STAMP, "drawn": drawn}
