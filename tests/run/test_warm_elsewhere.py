"""Warm calls on machines that lack what this one has: a newer kernel's words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.executor import processes
from kedge.executor.warm import pool as pools
from kedge.executor.warm.pool import Pool

# The keeper itself, after these lines.
KEEPER = """\
import sys
sys.path.insert(0, sys.argv[1])
from kedge.executor.warm import keeper
{lines}
keeper.main(sys.argv)
"""

# It hears what the zygote says of a fork's end after it has heard all else of that.
HEARS_THE_ZYGOTE_LAST = """\
hear = keeper.Keeper._hear_zygote
def last(self, box):
    if not box.at("called", "empty"):
        hear(self, box)
keeper.Keeper._hear_zygote = last
"""


@pytest.fixture
def elsewhere(
    package: Callable[[str], Any], own_pool: Pool, tmp_path: Path, monkeypatch: Any
) -> Callable[[str, str], Any]:
    """Opens a package in a pool whose keeper, which comes with the first call, begins with some lines."""

    def make(name: str, lines: str) -> Any:
        program = tmp_path / "keeper.py"
        program.write_text(KEEPER.format(lines=lines))
        monkeypatch.setattr(pools, "_KEEPER", str(program))
        calls = package(name)
        calls.pool = own_pool
        return calls

    return make


def test_a_call_that_leaves_children_has_ended_as_it_did(
    elsewhere: Callable[[str, str], Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(processes, "exit_status", lambda _: None)  # as before Linux 6.15
    calls = elsewhere("warm-state", HEARS_THE_ZYGOTE_LAST)
    called = calls.warm("do", deed="leaves_children")
    assert called.is_warm
    assert called.kind is None, called.result.failure
