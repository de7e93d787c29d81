"""The container engines of this machine, each with the base image that the tests run on."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.engine import KINDS
from kedge.engine.look import Engine, look
from kedge.environment import images

IMAGE = "localhost/kedge-test/debian:bookworm"


def there(kind: str) -> Engine:
    """An engine that works and has the base image; without one the test is skipped, in CI it fails."""
    found = look(kind)
    reason = found.reason
    if found.engine is not None and images.find(found.engine, IMAGE) is None:
        reason = f"{kind} does not have {IMAGE}: scripts/engines makes it"
    if found.engine is None or reason:
        if os.environ.get("KEDGE_TEST_ALL_ENGINES") == "1":
            pytest.fail(f"{kind}: {reason}")
        pytest.skip(f"{kind}: {reason}")
    return found.engine


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Docker, then Podman."""
    return there(request.param)


@pytest.fixture
def containers(engine: Engine, kedge_home: Path) -> Callable[[], list[str]]:
    """Tells the names of this Kedge home's containers, in whatever state."""

    def names() -> list[str]:
        filtered = ("--filter", f"label=kedge.home={kedge_home}")
        done = subprocess.run(
            [engine.path, "ps", "--all", "--format", "{{.Names}}", *filtered],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    return names
