"""Generators that the operating system seeded, as modules come by them when they are imported."""

import copy
import os
import pickle
import random
import secrets
import ssl
import tempfile
import uuid

STAMP = os.urandom(8).hex()  # drawn once by each process that imports this


class Derived(random.Random):
    """With a way of its own to draw numbers."""

    def random(self) -> float:
        return super().random()


MADE = random.Random()
DRAWN = random.Random()
DRAWN.random()
SYSTEM = random.SystemRandom()
DERIVED = Derived()
COPIED = copy.copy(MADE)
PICKLED = pickle.loads(pickle.dumps(DRAWN))
AGAIN = random.Random(1)
AGAIN.seed()
HIDDEN = {"deep": [(random.Random(),)]}
NAMES = tempfile.gettempdir()
ssl.RAND_bytes(8)
random.random()

# As libraries do that need the same numbers once, and leave no trace.
kept = random.getstate()
random.seed(1)
random.random()
random.setstate(kept)
KEPT = random.Random()
KEPT.random()
kept = KEPT.getstate()
KEPT.seed(1)
KEPT.setstate(kept)


def draw() -> dict:
    """What each gives, and the process that imported this."""
    drawn = {
        "made": MADE.random(),
        "drawn": DRAWN.random(),
        "system": SYSTEM.random(),
        "derived": DERIVED.random(),
        "copied": COPIED.random(),
        "pickled": PICKLED.random(),
        "again": AGAIN.random(),
        "hidden": HIDDEN["deep"][0][0].random(),
        "kept": KEPT.random(),
        "whole module": random.random(),
        "many": random.sample(range(1 << 40), 1)[0],
        "secrets": secrets.token_hex(8),
        "uuid": str(uuid.uuid4()),
        "ssl": ssl.RAND_bytes(8).hex(),
        "temporary": tempfile.mktemp(),
        "new": random.Random().random(),
    }
    return {"stamp": STAMP, "drawn": drawn}
