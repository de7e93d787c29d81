"""scripts/machine: what `./prime` reaches, which .ci/run does for real."""

from pathlib import Path

import pytest

from kedge.primer.boot import load

ROOT = Path(__file__).parents[1]


def test_prime_wants_all_that_some_test_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("scripts", "tests"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    graph = load("machine")
    assert [state.name for state in graph.goals()] == ["machine"]
    wanted = {state.name for state in graph.order(graph.goals())}
    assert wanted == set(graph.states) - {"stopped"}
