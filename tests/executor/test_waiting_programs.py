"""Programs that forks become which wait in namespaces that are ready; what those are confined to is in test_isolation.py."""

import os
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.contract.workspace import Workspace
from kedge.errors import StartFailed
from kedge.executor import Ended, Job, choose, processes
from kedge.executor.warm import forked
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.pool import Pool
from kedge.middleware import drive
from kedge.task import Becoming, Process, Resources

PERFORMING = runpy.run_path(str(Path(__file__).parent / "performing.py"))


class Programs:
    """Programs in forks of one pool, and what they said."""

    def __init__(self, pool: Pool, base: Path) -> None:
        self.pool = pool
        self.base = base
        self.said = b""
        self.notices: list[str] = []

    def job(self, **more: Any) -> Job:
        place = self.base / os.urandom(4).hex()
        place.mkdir()
        return Job(
            run_id=os.urandom(6).hex(),
            package="",
            function="task",
            workspace=Workspace(PERFORMING["_lay_out"](str(place), ()), None),
            resources=Resources(cpu=1, memory_mb=256, timeout=30),
            on_output=self.hear,
            on_notice=self.notices.append,
            pool=self.pool,
            **more,
        )

    def hear(self, _: str, data: bytes) -> None:
        self.said += data

    def run(self, *argv: str, env: dict[str, str] | None = None, **more: Any) -> Ended:
        payload = Process(argv, env=env or {}, forkable=Becoming())
        return forked.execute(self.pool, payload, self.job(**more))

    def opened(self, **more: Any) -> None:
        PERFORMING["opened"](
            self.pool, Process(("/bin/true",), forkable=Becoming()), self.job(**more)
        )


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    if not choose("sandbox").executor.usable().ok:
        pytest.skip("there are no sandboxes here")
    tmp_path.chmod(0o755)
    with Pool() as pool:
        yield Programs(pool, tmp_path)


def test_forks_wait_once_there_was_more_than_one_program(programs: Programs) -> None:
    sandbox = choose("sandbox").executor
    payload = Process(("/bin/echo", "x"), forkable=Becoming())
    for number in range(4):
        drive(sandbox.execute(payload, programs.job()))
        if number == 0:
            assert programs.pool._keeper is None and not programs.pool.kept()
        programs.pool.await_opened()
    (kept,) = programs.pool.kept()
    assert kept["name"] == "programs" and kept["forks"] + kept["calls"] > 0
    assert programs.said == b"x\n" * 4 and programs.notices == []


def test_one_after_the_other_and_each_in_a_folder_of_its_own(programs: Programs) -> None:
    programs.opened()
    for _ in range(5):
        ended = programs.run(
            "/bin/sh", "-c", "ls out/artifacts; touch out/artifacts/x /tmp/x /dev/shm/x"
        )
        assert ended.exit_code == 0
        assert programs.run("/bin/sh", "-c", "ls /tmp /dev/shm | grep x").exit_code == 1
    assert programs.said == b""


def test_what_one_leaves_running_is_not_there_for_the_next(programs: Programs) -> None:
    programs.opened()
    assert programs.run("/bin/sh", "-c", "setsid sleep 1000 & echo begun").exit_code == 0
    below = processes.descendants(programs.pool._keeper[0])
    assert not [one for one in below if b"sleep" in command(one)]
    assert programs.run("/bin/sh", "-c", "ps ax | grep -c '[s]leep'").exit_code == 1


def command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_texts_of_any_bytes_come_through(programs: Programs) -> None:
    programs.opened()
    odd = os.fsdecode(b"a\xffb")
    assert programs.run("/bin/sh", "-c", 'echo "$0 $ODD"', odd, env={"ODD": odd}).exit_code == 0
    assert programs.said == b"a\xffb a\xffb\n"


def test_what_the_kernel_does_not_execute_is_said(programs: Programs) -> None:
    programs.opened()
    with pytest.raises(StartFailed, match="Argument list too long"):
        programs.run("/bin/true", *["x" * 100_000] * 40)
    with pytest.raises(StartFailed, match="not found"):
        programs.run("no-such-program")
    assert programs.run("/bin/sh", "-c", "exit 127").exit_code == 127


def test_nothing_of_kedge_is_to_be_seen(programs: Programs) -> None:
    programs.opened()
    assert programs.run(
        "/bin/sh", "-c", "cat /proc/1/environ; ls /proc/1/root/; tr '\\0' ' ' < /proc/1/maps"
    )
    assert b"KEDGE_HOME" not in programs.said and b"/usr" not in programs.said


def test_a_path_with_something_else_in_its_place_is_not_what_was_there_before(
    programs: Programs, tmp_path: Path
) -> None:
    place, other = tmp_path / "settings", tmp_path / "other"
    place.write_text("before")
    programs.opened(paths=(str(place),))
    assert programs.run("/bin/cat", str(place), paths=(str(place),)).exit_code == 0
    other.write_text("after")
    other.rename(place)
    with pytest.raises(NotWarmError):
        programs.run("/bin/cat", str(place), paths=(str(place),))
    programs.opened(paths=(str(place),))
    assert programs.run("/bin/cat", str(place), paths=(str(place),)).exit_code == 0
    assert programs.said == b"beforeafter"


def test_a_keeper_that_was_killed_gets_a_successor(programs: Programs) -> None:
    programs.opened()
    assert programs.run("/bin/echo", "1").exit_code == 0
    keeper = programs.pool._keeper[0]
    held = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGKILL)
    assert processes.wait_readable(held, 30)
    os.close(held)
    assert programs.run("/bin/echo", "2").exit_code == 0
    assert programs.said == b"1\n2\n"
