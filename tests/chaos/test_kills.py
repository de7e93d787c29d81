"""A bounded part of what `kills.py` does: SIGKILL at random instants, and nothing is left."""

import importlib.util
import sys
from pathlib import Path

SEED = 7
INSTANTS = 10  # two seconds each; a hundred and more by hand


def test_kedge_killed_at_random_instants_leaves_nothing(kedge_home: Path) -> None:
    path = Path(__file__).parent / "kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    assert spec is not None and spec.loader is not None
    kills = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = kills
    spec.loader.exec_module(kills)
    chaos = kills.Chaos(kedge_home, SEED)
    for number in range(INSTANTS):
        try:
            chaos.round()
        except kills.Broken as broken:
            raise AssertionError(f"seed {SEED}, round {number}: {broken}") from broken
    chaos.finish()
