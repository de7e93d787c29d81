"""A bounded part of what `kills.py` does: SIGKILL at random instants of each phase, and nothing is left."""

import importlib.util
import itertools
import sys
from pathlib import Path

SEED = 7
INSTANTS = 3  # of any run, two seconds each; a hundred and more by hand


def test_kedge_killed_at_random_instants_leaves_nothing(kedge_home: Path) -> None:
    path = Path(__file__).parent / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    assert spec is not None and spec.loader is not None
    kills = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = kills
    spec.loader.exec_module(kills)
    chaos = kills.Chaos(kedge_home, SEED)
    try:
        for phase, victims in itertools.product(kills.PHASES, kills.VICTIMS):
            chaos.hit(phase, victims)
        for _ in range(INSTANTS):
            chaos.round()
        chaos.finish()
    except kills.Broken as broken:
        raise AssertionError(f"seed {SEED}, {dict(chaos.seen)}: {broken}") from broken
    for phase in kills.PHASES:
        assert chaos.seen[f"was {phase}"] >= len(kills.VICTIMS)
