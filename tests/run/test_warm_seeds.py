"""Two warm calls never draw the same unseeded random numbers; a seed gives what it gives in any process."""

import os
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PYTHONS = runpy.run_path(str(ROOT / "support" / "pythons.py"))["found"]()


@pytest.fixture(params=PYTHONS, ids=[python.version for python in PYTHONS])
def versioned(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: Callable[..., Any],
) -> Any:
    """The package that draws by the standard library, for each Python that there is."""
    python = request.param
    monkeypatch.setenv("PATH", f"{Path(python.path).parent}:{os.environ['PATH']}")
    place = shutil.copytree(ROOT / "packages" / "warm-seeds", tmp_path / "warm-seeds")
    manifest = place / "kedge.yml"
    manifest.write_text(manifest.read_text().replace('"3.12"', f'"{python.version}"'))
    return package(place)


@pytest.fixture
def with_numpy(package: Callable[..., Any]) -> Any:
    return package("warm-numpy")


def draws(calls: Any, function: str) -> list[dict[str, Any]]:
    """What some calls draw that were forked from one process."""
    made = [calls.warm(function) for _ in range(4)]
    assert not any(call.notices for call in made)
    assert len({call.outputs["stamp"] for call in made}) == 1
    return [call.outputs["drawn"] for call in made]


def all_differ(drawn: list[dict[str, Any]]) -> None:
    alike = [name for name in drawn[0] if len({one[name] for one in drawn}) < len(drawn)]
    assert not alike


def test_unseeded_generators_differ_from_call_to_call(versioned: Any) -> None:
    all_differ(draws(versioned, "unseeded"))


@pytest.mark.parametrize("function", ["seeded", "restored"])
def test_seeded_generators_give_what_they_give_cold(versioned: Any, function: str) -> None:
    cold = versioned.cold(function).outputs["drawn"]
    assert draws(versioned, function) == [cold] * 4


@pytest.mark.parametrize("function", ["unseeded", "unseeded-legacy"])
def test_unseeded_generators_of_numpy_differ(with_numpy: Any, function: str) -> None:
    all_differ(draws(with_numpy, function))


def test_generators_that_share_a_seed_still_do(with_numpy: Any) -> None:
    for call in (with_numpy.warm, with_numpy.cold):
        one, other = call("unseeded").outputs["alike"]
        assert one == other


@pytest.mark.parametrize("function", ["seeded", "seeded-legacy"])
def test_seeded_generators_of_numpy_give_what_they_give_cold(
    with_numpy: Any, function: str
) -> None:
    cold = with_numpy.cold(function).outputs["drawn"]
    assert draws(with_numpy, function) == [cold] * 4
