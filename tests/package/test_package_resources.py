"""Tiers, inheritance, overrides, and what the machine has."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import TaskError
from kedge.package.machine import Machine, this_machine
from kedge.package.resources import TIERS, effective

BIG = Machine(64.0, 256_000)


def sizes(package=None, function=None, caller=None, machine=BIG):
    found, _, _ = effective(package, function, caller, machine)
    return found.cpu, found.memory_mb, found.timeout


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_is_its_three_numbers(tier: str) -> None:
    assert sizes({"tier": tier}) == tuple(TIERS[tier])


@pytest.mark.parametrize(
    ("package", "function", "caller", "expected"),
    [
        (None, None, None, (64, 204_800, None)),
        ({"tier": "nano"}, {"tier": "large"}, None, (4, 8192, 1800)),
        ({"tier": "nano", "timeout": 7}, {"tier": "large"}, None, (4, 8192, 7)),
        ({"tier": "nano"}, {"timeout": 9}, None, (1, 512, 9)),
        ({"tier": "nano"}, {"cpu": 2, "memory_mb": 100}, None, (2, 100, 60)),
        ({"cpu": 2, "memory_mb": 100}, {"cpu": 3}, None, (3, 100, None)),
        ({"cpu": 2, "memory_mb": 100, "timeout": 5}, {"memory_mb": 300}, None, (2, 300, 5)),
        ({"cpu": 2}, {"tier": "micro"}, None, (1, 1024, 120)),
        ({"cpu": 0.5}, None, None, (0.5, 204_800, None)),
        (None, {"memory_mb": 10}, None, (64, 10, None)),
        ({"tier": "nano"}, {"tier": "micro"}, {"cpu": 8}, (8, 1024, 120)),
        ({"tier": "nano"}, None, {"timeout": 1, "memory_mb": 9, "cpu": None}, (1, 9, 1)),
    ],
)
def test_inheritance(package, function, caller, expected) -> None:
    assert sizes(package, function, caller) == expected


def test_the_rest_has_defaults_and_is_inherited() -> None:
    found, origins, _ = effective({"pids": 9, "grace": 1}, {"pids": 7, "gpu": 2}, None, BIG)
    assert (found.gpu, found.grace, found.pids, found.disk_mb) == (2, 1, 7, None)
    assert (origins["gpu"], origins["grace"], origins["disk_mb"]) == (
        "function",
        "package",
        "default",
    )


def test_where_each_value_comes_from_is_told() -> None:
    _, origins, _ = effective({"tier": "nano"}, {"timeout": 3}, {"memory_mb": 8}, BIG)
    assert origins["cpu"] == "tier nano (package)"
    assert origins["timeout"] == "function"
    assert origins["memory_mb"] == "caller"
    _, origins, _ = effective(None, None, None, BIG)
    assert origins["cpu"] == "all of this machine"
    assert origins["memory_mb"] == "80 % of this machine"


def test_more_cpus_than_there_are_is_clamped_with_a_notice() -> None:
    found, origins, notices = effective(None, {"cpu": 8, "memory_mb": 1}, None, Machine(2.0, 1000))
    assert found.cpu == 2
    assert "8" in notices[0]
    assert "2" in notices[0]
    assert "8" in origins["cpu"]


def test_more_memory_than_there_is_is_refused_with_both_numbers() -> None:
    with pytest.raises(TaskError) as caught:
        effective({"tier": "large"}, None, None, Machine(2.0, 1000))
    assert "8192" in caught.value.message
    assert "1000" in caught.value.message
    assert "tier large (package)" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("package", "function", "words"),
    [
        ({"tier": "nano", "cpu": 1}, None, "one block"),
        (None, {"tier": "nano", "memory_mb": 1}, "one block"),
        ({"tier": "nano"}, {"cpu": 1}, "without `memory_mb`"),
        ({"tier": "nano"}, {"memory_mb": 1}, "without `cpu`"),
    ],
)
def test_contradictions_are_refused(package, function, words: str) -> None:
    with pytest.raises(TaskError, match=words) as caught:
        effective(package, function, None, BIG)
    assert caught.value.hint


def test_this_machine_is_as_large_as_it_may_be_used() -> None:
    machine = this_machine()
    assert machine.cpu == len(os.sched_getaffinity(0))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    assert 0 < machine.memory_mb <= total


numbers = st.floats(0.1, 200)
whole = st.integers(1, 200_000)
blocks = st.none() | st.fixed_dictionaries({}, optional={"timeout": numbers}) | st.builds(
    lambda tier, rest: {"tier": tier, **rest},
    st.sampled_from(list(TIERS)),
    st.fixed_dictionaries({}, optional={"timeout": numbers}),
) | st.fixed_dictionaries({"cpu": numbers, "memory_mb": whole}, optional={"timeout": numbers})  # fmt: skip


@given(blocks, blocks, blocks.filter(lambda block: not block or "tier" not in block))
def test_limits_are_whole_and_fit_the_machine(package, function, caller) -> None:
    found, origins, _ = effective(package, function, caller, BIG)
    assert 0 < found.cpu <= BIG.cpu
    assert 0 < found.memory_mb <= BIG.memory_mb
    assert set(origins) == {"cpu", "memory_mb", "timeout", "gpu", "grace", "pids", "disk_mb"}
    for field, value in (caller or {}).items():
        assert field == "cpu" or getattr(found, field) == value
