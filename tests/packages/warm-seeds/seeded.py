"""Generators that were seeded deliberately: the same numbers in every process."""

import copy
import os
import random

STAMP = os.urandom(8).hex()

random.seed(1)
FIRST = random.random()
NUMBER = random.Random(1)
TEXT = random.Random("a text")
LATER = random.Random()
LATER.seed(5)
LATER.random()
COPIED = copy.copy(NUMBER)
SET = random.Random()
SET.setstate(random.Random(7).getstate())


def draw() -> dict:
    drawn = {
        "whole module": [FIRST, random.random(), random.gauss(0, 1)],
        "number": NUMBER.random(),
        "text": TEXT.random(),
        "later": LATER.random(),
        "copied": COPIED.random(),
        "set": SET.random(),
    }
    return {"stamp": STAMP, "drawn": drawn}
