"""Whatever a warm call does, the next one finds everything as if it were the first."""

from collections.abc import Callable
from typing import Any

import pytest

# Each with how it ends, None for well.
DEEDS = {
    "nothing": None,
    "patches_modules": None,
    "patches_the_runner": None,
    "changes_its_surroundings": None,
    "changes_signals": None,
    "lowers_its_limits": None,
    "marks_itself_for_the_killer": None,
    "closes_descriptors": None,
    "changes_descriptors": None,
    "uses_most_of_its_memory": None,
    "fills_memory": "out_of_memory",
    "fills_memory_in_a_child": "out_of_memory",
    "fills_shared_memory": "out_of_memory",
    "leaves_shared_memory": None,
    "fills_the_disk": "out_of_disk",
    "dies_of_a_fault": "function_error",
    "aborts": "function_error",
    "kills_itself": "function_error",
    "exits": "function_error",
    "raises": "function_error",
    "leaves_children": None,
    "leaves_a_child_that_holds_its_streams": None,
    "forks_without_end": None,
    "leaves_threads": None,
    "leaves_files": None,
    "signals_everybody": None,
    "kills_its_parent": None,
    "kills_its_group": "function_error",
    "writes_to_what_it_inherited": None,
    "talks_to_itself": None,
    "leaves_a_listener": None,
    "leaves_system_v": None,
    "leaves_a_terminal": None,
    "asks_for_more": None,
}


@pytest.fixture
def calls(package: Callable[[str], Any]) -> Any:
    return package("warm-state")


@pytest.fixture
def reference(calls: Any) -> dict[str, Any]:
    """What a call finds that follows on nothing bad."""
    found: dict[str, Any] = calls.warm("look").outputs
    return found


@pytest.mark.parametrize(("deed", "ends"), DEEDS.items())
def test_a_call_leaves_nothing_for_the_next(
    calls: Any, reference: dict[str, Any], deed: str, ends: str | None
) -> None:
    done = calls.warm("do", deed=deed)
    assert done.kind == ends, done.result.failure
    later = [calls.warm("look") for _ in range(4)]
    for found in later:
        assert found.notices == ()
        assert found.outputs["stamp"] == reference["stamp"]  # by the same process, which was warm
        assert found.outputs["state"] == reference["state"]
    assert calls.warm("do", deed="uses_most_of_its_memory").kind is None


def test_a_call_may_end_before_what_forked_it_goes_on(package: Callable[[str], Any]) -> None:
    calls = package("warm-manners")
    found = [calls.warm("outruns") for _ in range(3)]
    assert all(called.is_warm for called in found)
    assert len({called.outputs["result"] for called in found}) == 1  # that process has not ended


@pytest.mark.parametrize("deed", ["nothing", "leaves_files", "talks_to_itself", "leaves_system_v"])
def test_what_a_call_has_left_empty_is_used_again(calls: Any, deed: str) -> None:
    """Else the tests above would only see that a new slot is new."""
    done = {calls.warm("do", deed=deed).outputs["slot"] for _ in range(6)}
    assert done & {calls.warm("look").outputs["slot"] for _ in range(6)}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_call_ends_as_it_does_cold(calls: Any, deed: str) -> None:
    warm, cold = (call("do", deed=deed).told() for call in (calls.warm, calls.cold))
    for told in (warm, cold):
        told["outputs"] = sorted(told["outputs"])  # what it saw is compared below
        if told["failure"]:  # in some are amounts, which differ
            told["failure"] = {
                name: told["failure"][name] for name in ("kind", "type", "traceback")
            }
    assert warm == cold


def test_a_call_finds_the_same_warm_and_cold(calls: Any, reference: dict[str, Any]) -> None:
    cold = calls.cold("look").outputs
    assert cold["stamp"] != reference["stamp"]
    for state in (reference["state"], cold["state"]):
        state.pop("mounts")  # which bubblewrap makes in its own way
        state.pop("group")
        state["descriptors"] = sorted(state["descriptors"].values())
        state["files"].pop("/tmp")  # where Kedge's own folder may be shown, and this checkout
        state.pop("modules")  # what Kedge itself needs there is loaded too
        state.pop("group and session")  # a call leads its own: `kedge.executor.warm.zygote`
    assert reference["state"] == cold["state"]
