"""Finding a container's processes and group in what /proc says: never taking the machine's own for them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.executor import container_group
from kedge.executor.container_group import ContainerGroup

CONTAINER = "6e5b1d0f" * 8


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What files say in place of what they do say."""
    told: dict[str, str] = {}
    real = container_group.folders.read

    def read(path: str) -> str:
        return told[path] if path in told else real(path)

    monkeypatch.setattr(container_group.folders, "read", read)
    return told


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process that waits."""
    process = subprocess.Popen(["sleep", "100"])
    yield process.pid
    process.kill()
    process.wait()


def status(process: int, inside: str) -> str:
    text = Path(f"/proc/{process}/status").read_text()
    head, _, rest = text.partition("\nNSpid:")
    return f"{head}\nNSpid:\t{inside}\n{rest.partition(chr(10))[2]}"


def group() -> ContainerGroup:
    found = ContainerGroup()
    found.container = CONTAINER
    return found


def test_who_makes_the_container_ready_is_not_its_first_process(
    said: dict[str, str], sleeper: int
) -> None:
    said[f"/proc/{sleeper}/cgroup"] = f"4:memory:/docker/{CONTAINER}\n0::/\n"
    said[f"/proc/{sleeper}/status"] = status(sleeper, f"{sleeper}")
    found = group()
    found.find()
    assert found.first is None and found.processes() == []
    said[f"/proc/{sleeper}/status"] = status(sleeper, f"{sleeper}\t1")
    found.find()
    assert found.first == sleeper


def test_a_controller_that_it_has_not_joined_is_not_its_own(
    said: dict[str, str], sleeper: int
) -> None:
    """The group of such a controller is the whole machine's."""
    said[f"/proc/{sleeper}/cgroup"] = "4:memory:/\n5:pids:/\n0::/\n"
    assert container_group._group_of(sleeper, CONTAINER) is None
    said[f"/proc/{sleeper}/cgroup"] = f"4:memory:/\n5:pids:/docker/{CONTAINER}\n0::/\n"
    found = container_group._group_of(sleeper, CONTAINER)
    assert found is None or os.getpid() not in found.processes()


def test_a_monitor_with_the_containers_name_is_none_of_its_processes(
    said: dict[str, str], sleeper: int
) -> None:
    said[f"/proc/{sleeper}/cgroup"] = f"4:memory:/libpod_parent/conmon/libpod-conmon-{CONTAINER}\n"
    said[f"/proc/{sleeper}/status"] = status(sleeper, f"{sleeper}\t1")
    found = group()
    found.find()
    assert found.first is None
