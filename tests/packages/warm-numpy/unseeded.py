"""numpy's generators that the operating system seeded, as modules come by them when they are imported."""

import copy
import os
import pickle
import secrets

import numpy as np

STAMP = os.urandom(8).hex()  # drawn once by each process that imports this

KINDS = ("PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937")
DEFAULT = np.random.default_rng()
DRAWN = np.random.default_rng()
DRAWN.random(1000)
BITS = {kind: getattr(np.random, kind)() for kind in KINDS}
GENERATORS = {kind: np.random.Generator(bits) for kind, bits in BITS.items()}
STATE = np.random.RandomState()
STATE.randn()  # and keeps the second of two
ANEW = np.random.RandomState(1)
ANEW.seed()
SEQUENCE = np.random.SeedSequence()
POOL = np.random.SeedSequence(pool_size=8)
CHILD = np.random.default_rng(SEQUENCE.spawn(2)[1])
SPAWNED = np.random.default_rng().spawn(2)[1]
CHOSEN = np.random.default_rng(secrets.randbits(128))
SEVERAL = np.random.default_rng([secrets.randbits(128), 3])
COPIED = copy.deepcopy(DEFAULT)
PICKLED = pickle.loads(pickle.dumps(GENERATORS["MT19937"]))
JUMPED = {
    kind: np.random.Generator(bits.jumped()) for kind, bits in BITS.items() if hasattr(bits, "jumped")
}
TWO = [np.random.Generator(np.random.PCG64(POOL)) for _ in range(2)]

# As libraries do that need the same numbers once, and leave no trace.
kept = np.random.get_state()
np.random.seed(1)
np.random.random()
np.random.set_state(kept)


def draw() -> dict:
    drawn = {
        "default": DEFAULT.random(),
        "drawn": DRAWN.random(),
        **{kind: made.random() for kind, made in GENERATORS.items()},
        **{f"jumped {kind}": made.random() for kind, made in JUMPED.items()},
        "gauss": STATE.randn(),
        "state": STATE.random_sample(),
        "anew": ANEW.random_sample(),
        "sequence": SEQUENCE.generate_state(1)[0],
        "spawned by it": np.random.default_rng(SEQUENCE.spawn(1)[0]).random(),
        "large pool": POOL.generate_state(8)[0],
        "child": CHILD.random(),
        "spawned": SPAWNED.random(),
        "chosen": CHOSEN.random(),
        "several": SEVERAL.random(),
        "copied": COPIED.random(),
        "pickled": PICKLED.random(),
        "legacy": np.random.random(),
        "new": np.random.default_rng().random(),
    }
    assert POOL.pool_size == 8
    return {"stamp": STAMP, "drawn": drawn, "alike": [one.random() for one in TWO]}
