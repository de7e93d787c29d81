"""Control groups of version 2: how a process comes by one, what is written where, what is read.

Most machines have version 2, and not every one that tests run on: so a small kernel in a folder stands in,
with the rules that matter. The first tests hold it against the real one where there is one.
"""

import errno
import fcntl
import os
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kedge.executor import cgroup_folders as folders
from kedge.executor import cgroups, delegation
from kedge.executor.cgroup_hierarchies import hierarchies
from kedge.executor.cgroup_v2 import GroupV2, Parent
from kedge.task import Resources

RUN = "abcdefghij12"
ALL = ("cpu", "memory", "pids")
LIMITED = Resources(cpu=0.5, memory_mb=100, pids=20)

FILES = {
    "memory": {
        "memory.max": "max", "memory.swap.max": "max", "memory.oom.group": "0",
        "memory.stat": "anon 0\nfile 0\nshmem 0\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    },
    "pids": {"pids.max": "max", "pids.events": "max 0\n"},
    "cpu": {"cpu.max": "max 100000"},
}  # fmt: skip


class Kernel:
    """cgroup v2 in a folder: what is written has the effect that it has in Linux."""

    def __init__(self, root: Path, controllers: tuple[str, ...] = ALL) -> None:
        self.root = root
        self.top = root / "sys/fs/cgroup"
        self.top.mkdir(parents=True)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/swaps").write_text("Filename Type Size Used Priority\n")
        self.mounts = ["30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"]
        self.processes: dict[str, set[int]] = {}
        self.on_move: Callable[[str], None] = lambda folder: None
        self._populate(str(self.top), controllers, topmost=True)

    def be_in(self, path: str) -> str:
        """Have the process that asks be in the group at `path`."""
        (self.root / "proc/self/cgroup").write_text(f"0::{path}\n")
        (self.root / "proc/self/mountinfo").write_text("\n".join(self.mounts) + "\n")
        return str(self.top) + path.rstrip("/")

    def group(self, path: str, *processes: int, hands_on: tuple[str, ...] = ()) -> str:
        """A group with processes; all groups above it hand `hands_on` on to it."""
        folder = str(self.top)
        for part in path.strip("/").split("/"):
            for controller in hands_on:
                self.write(f"{folder}/cgroup.subtree_control", f"+{controller}")
            folder = f"{folder}/{part}"
            if not os.path.isdir(folder):
                self.make(folder)
        self.processes[folder] |= set(processes)
        self._show(folder)
        return folder

    def make(self, folder: str) -> None:
        os.mkdir(folder)
        above = os.path.dirname(folder)
        self._populate(folder, tuple(self._words(f"{above}/cgroup.subtree_control")))

    def remove_one(self, folder: str) -> None:
        if folder not in self.processes:
            raise FileNotFoundError(errno.ENOENT, "", folder)
        if self.processes[folder] or any(entry.is_dir() for entry in os.scandir(folder)):
            raise OSError(errno.EBUSY, "", folder)
        for entry in os.scandir(folder):
            os.unlink(entry)
        os.rmdir(folder)
        del self.processes[folder]

    def write(self, path: str, text: str) -> None:
        if not os.path.isfile(path):
            raise FileNotFoundError(errno.ENOENT, "", path)
        folder, name = os.path.split(path)
        if name == "cgroup.procs":
            self._move(folder, int(text))
        elif name == "cgroup.subtree_control":
            self._hand_on(folder, text)
        elif name == "cgroup.kill":
            for inner in folders.inside(folder):
                self.processes[inner].clear()
                self._show(inner)
        else:
            Path(path).write_text(text + "\n")

    def _move(self, folder: str, process: int) -> None:
        known = [one for one, inside in self.processes.items() if process in inside]
        if not known:
            raise ProcessLookupError(errno.ESRCH, "", folder)
        if folder != str(self.top) and self._words(f"{folder}/cgroup.subtree_control"):
            raise OSError(errno.EBUSY, "", folder)
        self.processes[known[0]].discard(process)
        self.processes[folder].add(process)
        self.on_move(known[0])
        self._show(known[0])
        self._show(folder)

    def _hand_on(self, folder: str, text: str) -> None:
        controller = text.removeprefix("+")
        if controller not in self._words(f"{folder}/cgroup.controllers"):
            raise FileNotFoundError(errno.ENOENT, "", folder)
        if folder != str(self.top) and self.processes[folder]:
            raise OSError(errno.EBUSY, "", folder)
        control = Path(folder) / "cgroup.subtree_control"
        control.write_text(" ".join(sorted({*control.read_text().split(), controller})) + "\n")
        for entry in list(os.scandir(folder)):
            if entry.is_dir():
                there = self._words(f"{entry.path}/cgroup.controllers")
                self._control(entry.path, (*there, controller))

    def _populate(
        self, folder: str, controllers: tuple[str, ...], *, topmost: bool = False
    ) -> None:
        self.processes[folder] = set()
        place = Path(folder)
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (place / name).write_text("")
        (place / "cpu.stat").write_text("usage_usec 0\nuser_usec 0\nsystem_usec 0\n")
        if not topmost:
            (place / "cgroup.type").write_text("domain\n")
            (place / "cgroup.kill").write_text("")
        self._control(folder, controllers)

    def _control(self, folder: str, controllers: tuple[str, ...]) -> None:
        place = Path(folder)
        (place / "cgroup.controllers").write_text(" ".join(dict.fromkeys(controllers)) + "\n")
        if folder != str(self.top):
            for controller in controllers:
                for name, value in FILES.get(controller, {}).items():
                    if not (place / name).exists():
                        (place / name).write_text(value + "\n")

    def _show(self, folder: str) -> None:
        lines = "".join(f"{process}\n" for process in sorted(self.processes[folder]))
        (Path(folder) / "cgroup.procs").write_text(lines)

    def _words(self, path: str) -> list[str]:
        return Path(path).read_text().split()


@pytest.fixture
def start_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    """Starts a kernel that all folders of control groups are then in."""

    def start(*controllers: str) -> Kernel:
        kernel = Kernel(tmp_path / "machine", controllers or ALL)
        for name in ("make", "write", "remove_one"):
            monkeypatch.setattr(folders, name, getattr(kernel, name))
        return kernel

    return start


@pytest.fixture
def kernel(start_kernel: Callable[..., Kernel]) -> Kernel:
    return start_kernel()


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not root, and in nobody's session."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    yield


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def found(kernel: Kernel) -> Parent:
    """What the process on that machine can have."""
    parent = cgroups.look(str(kernel.root))
    assert isinstance(parent, Parent)
    return parent


def text(*parts: str) -> str:
    return Path(*parts).read_text().strip()


# --- The rules that the small kernel has, held against the real one.


def real_top() -> str | None:
    top = next((one.top for one in hierarchies() if one.version == 2), None)
    return top if top is not None and os.access(top, os.W_OK) else None


needs_real = pytest.mark.skipif(real_top() is None, reason="no cgroup v2 that can be written")


@pytest.fixture(params=["small", pytest.param("real", marks=needs_real)])
def group(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, str]]:
    """A group that hands a controller on, one with a process, and that process; of either kernel."""
    if request.param == "small":
        kernel: Kernel = request.getfixturevalue("kernel")
        yield kernel.group("above/taken", 77, hands_on=("memory",)), 77, "memory"
        return
    with open(__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the topmost group is everybody's
        with real_group() as made:
            yield made


@contextmanager
def real_group() -> Iterator[tuple[str, int, str]]:
    top = real_top()
    assert top is not None
    controllers = Path(top, "cgroup.subtree_control").read_text().split()
    there = Path(top, "cgroup.controllers").read_text().split()
    if not there:
        pytest.skip("no controller of version 2")
    controller = (controllers or there)[0]
    folders.write(f"{top}/cgroup.subtree_control", f"+{controller}")
    above = f"{top}/kedge-test-{secrets.token_hex(4)}"
    taken = f"{above}/taken"
    process = subprocess.Popen(["sleep", "600"])
    try:
        folders.make(above)
        folders.write(f"{above}/cgroup.subtree_control", f"+{controller}")
        folders.make(taken)
        folders.write(f"{taken}/cgroup.procs", str(process.pid))
        yield taken, process.pid, controller
    finally:
        process.kill()
        process.wait()
        folders.remove((above,))
        if controller not in controllers:
            folders.write(f"{top}/cgroup.subtree_control", f"-{controller}")


def test_a_group_with_processes_hands_no_controller_on(group: tuple[str, int, str]) -> None:
    folder, _, controller = group
    with pytest.raises(OSError) as refused:
        folders.write(f"{folder}/cgroup.subtree_control", f"+{controller}")
    assert refused.value.errno == errno.EBUSY


def test_what_is_in_a_delegated_group_moves_into_a_leaf(group: tuple[str, int, str]) -> None:
    folder, process, controller = group
    assert delegation.enable(folder, (controller, "nonsense")) == {controller}
    assert text(folder, "cgroup.procs") == ""
    assert text(folder, delegation.SUPERVISOR, "cgroup.procs") == str(process)
    with pytest.raises(OSError) as refused:
        folders.write(f"{folder}/cgroup.procs", str(process))
    assert refused.value.errno == errno.EBUSY


def test_a_group_with_a_process_is_not_removed_but_by_killing_it(
    group: tuple[str, int, str],
) -> None:
    folder, _, _ = group
    with pytest.raises(OSError) as refused:
        folders.remove_one(folder)
    assert refused.value.errno == errno.EBUSY
    GroupV2(frozenset(), folder).remove()
    assert not os.path.exists(folder)


@needs_real
def test_a_real_group_kills_what_got_away() -> None:
    top = real_top()
    assert top is not None
    parent = Parent(cgroups.Available(2, frozenset()), top)
    one = parent.create("test" + secrets.token_hex(4), LIMITED, 0)
    assert one is not None
    code = "read x; setsid sh -c 'sleep 601 & sleep 602 & echo up; wait' & wait"
    with subprocess.Popen(
        ["sh", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        one.join(program.pid)
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "up\n"
        assert len(one.processes()) == 4
        assert one.usage().cpu_s is not None
        one.kill()
        assert one.processes() == []
        one.remove()
    assert not os.path.exists(os.path.dirname(one.entrances[0]))


DIVIDE = """
import os, subprocess, sys
from kedge.executor import delegation
from kedge.executor.cgroup_hierarchies import hierarchies
from kedge.task import Resources
scope, controller, name = sys.argv[1:]
open(scope + "/cgroup.procs", "w").write("0")
os.setresgid(61017, 61017, 61017)
os.setresuid(61017, 61017, 61017)
delegation.LIMITING = (controller,)
parent = delegation.look(hierarchies())
assert parent.folder == scope and parent.available.controllers == {controller}, parent
assert "kedge-supervisor" in open("/proc/self/cgroup").read()
group = parent.create(name, Resources(cpu=1, memory_mb=64), 0)
with subprocess.Popen(["sleep", "600"]) as child:
    group.join(child.pid)
    assert group.processes() == [child.pid]
    group.remove()
assert child.returncode == -9
assert not os.path.exists(os.path.dirname(group.entrances[0]))
"""


@needs_real
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can delegate")
def test_an_ordinary_user_divides_a_real_group_that_was_delegated() -> None:
    with open(__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with real_group() as (taken, _, controller):
            scope = f"{os.path.dirname(taken)}/scope"
            folders.make(scope)
            for name in ("", "/cgroup.procs", "/cgroup.subtree_control"):
                os.chown(scope + name, 61017, 61017)
            done = subprocess.run(
                [sys.executable, "-c", DIVIDE, scope, controller, "test" + secrets.token_hex(4)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


# --- How a process comes by a group.


def test_a_scope_that_was_delegated_is_divided(kernel: Kernel, as_user: None) -> None:
    folder = kernel.group("user.slice/mine.scope", 70, 71, hands_on=ALL)
    kernel.be_in("/user.slice/mine.scope")
    parent = found(kernel)
    assert parent.available == cgroups.Available(2, frozenset(ALL))
    assert parent.folder == folder
    assert kernel.processes[f"{folder}/kedge-supervisor"] == {70, 71}
    assert kernel.processes[folder] == set()


def test_what_is_born_while_the_others_move_is_moved_too(kernel: Kernel, as_user: None) -> None:
    folder = kernel.group("mine.scope", 70, 71, hands_on=ALL)
    kernel.be_in("/mine.scope")
    births = iter([72, 73])

    def born(left: str) -> None:
        if left == folder and (child := next(births, None)) is not None:
            kernel.processes[folder].add(child)

    kernel.on_move = born
    assert found(kernel).available.version == 2
    assert kernel.processes[f"{folder}/kedge-supervisor"] == {70, 71, 72, 73}


def test_a_later_process_of_the_same_scope_uses_it_as_it_is(kernel: Kernel, as_user: None) -> None:
    folder = kernel.group("mine.scope", 70, hands_on=ALL)
    kernel.be_in("/mine.scope")
    found(kernel)
    kernel.be_in("/mine.scope/kedge-supervisor")
    parent = found(kernel)
    assert parent.folder == folder
    assert kernel.processes[f"{folder}/kedge-supervisor"] == {70}


def test_the_top_of_a_containers_own_namespace_is_divided(kernel: Kernel, as_root: None) -> None:
    folder = kernel.group("box", 1, 70, hands_on=ALL)
    kernel.mounts = ["30 20 0:26 /box /sys/fs/cgroup/box rw - cgroup2 cgroup2 rw"]
    kernel.be_in("/box")
    parent = found(kernel)
    assert parent.folder == folder
    assert kernel.processes[f"{folder}/kedge-supervisor"] == {1, 70}


def test_root_leaves_a_session_alone_and_goes_to_the_top(kernel: Kernel, as_root: None) -> None:
    session = kernel.group("user.slice/session-1.scope", 70, 71, hands_on=ALL)
    kernel.be_in("/user.slice/session-1.scope")
    parent = found(kernel)
    assert parent.folder == str(kernel.top / "kedge")
    assert kernel.processes[session] == {70, 71}
    assert parent.create(RUN, LIMITED, 0) is not None
    assert found(kernel).folder == parent.folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set a trusted attribute")
def test_root_uses_what_systemd_delegated(kernel: Kernel, as_root: None) -> None:
    folder = kernel.group("system.slice/agent.service", 70, hands_on=ALL)
    kernel.be_in("/system.slice/agent.service")
    try:
        os.setxattr(folder, "trusted.delegate", b"1")
    except OSError:
        pytest.skip("this file system has no such attributes")
    assert found(kernel).folder == folder


def test_root_in_the_topmost_group_moves_nobody(kernel: Kernel, as_root: None) -> None:
    kernel.processes[str(kernel.top)] = {1, 2, 70}
    kernel.be_in("/")
    assert found(kernel).folder == str(kernel.top / "kedge")
    assert kernel.processes[str(kernel.top)] == {1, 2, 70}


def deny(monkeypatch: pytest.MonkeyPatch, *denied: str) -> None:
    """These groups are somebody else's."""
    allowed = os.access

    def access(path: str, mode: int) -> bool:
        owner = os.path.dirname(path) if os.path.basename(path).startswith("cgroup.") else path
        return owner not in denied and allowed(path, mode)

    monkeypatch.setattr(os, "access", access)


def test_an_account_without_any_is_told_what_to_do(
    kernel: Kernel, as_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny(monkeypatch, kernel.group("session-1.scope", 70, hands_on=ALL))
    kernel.be_in("/session-1.scope")
    parent = found(kernel)
    assert parent.available.version is None
    assert "given no control group" in parent.available.reason
    assert "systemd-run --user --scope -p Delegate=yes" in parent.available.hint
    assert parent.create(RUN, LIMITED, 0) is None


def test_a_read_only_mount_in_a_container_is_named(
    kernel: Kernel, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.group("box", 1)
    kernel.be_in("/box")

    def refuse(path: str, text: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(folders, "write", refuse)
    parent = found(kernel)
    assert parent.available.version is None
    assert "read-only" in parent.available.reason
    assert "--cgroupns=private" in parent.available.hint


def test_a_machine_without_any_is_told(start_kernel: Callable[..., Kernel]) -> None:
    kernel = start_kernel()
    kernel.be_in("/")
    (kernel.root / "proc/self/mountinfo").write_text("")
    available = found(kernel).available
    assert (available.version, available.reason) == (None, "control groups are not mounted")
    assert available.hint


def test_a_controller_that_was_not_given_is_named(kernel: Kernel, as_user: None) -> None:
    kernel.group("mine.scope", 70, hands_on=("memory", "pids"))
    kernel.be_in("/mine.scope")
    parent = found(kernel)
    assert parent.available.controllers == {"memory", "pids"}
    assert "for cpu" in parent.available.reason
    assert "Delegate=cpu" in parent.available.hint
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    assert group.enforces == {"memory", "pids"}


def test_version_1_with_controllers_goes_before_version_2_without(
    start_kernel: Callable[..., Kernel], as_root: None
) -> None:
    kernel = start_kernel("hugetlb")
    kernel.mounts.append("31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory")
    memory = kernel.top / "memory/mine"
    memory.mkdir(parents=True)
    kernel.be_in("/")
    with (kernel.root / "proc/self/cgroup").open("a") as file:
        file.write("4:memory:/mine\n")
    parent = cgroups.look(str(kernel.root))
    assert parent.available.version == 1
    assert parent.available.controllers == {"memory"}
    assert "for pids and cpu" in parent.available.reason


# --- Asking systemd.


@pytest.fixture
def systemd(
    kernel: Kernel, as_user: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], Kernel]:
    """A user session in which `busctl` is a script: what systemd does, or fails to do."""

    def answering(script: str) -> Kernel:
        deny(monkeypatch, kernel.group("session-1.scope", 70, hands_on=ALL))
        kernel.group("app.slice/new.scope", 70, hands_on=ALL)
        kernel.be_in("/session-1.scope")
        (kernel.root / "run/systemd/system").mkdir(parents=True)
        monkeypatch.setattr(
            delegation, "SYSTEMD_PATIENCE_S", 30.0
        )  # a busy machine decides nothing
        programs = tmp_path / "programs"
        programs.mkdir()
        if script:
            busctl = programs / "busctl"
            busctl.write_text(f"#!/bin/sh\necho \"$@\" > '{tmp_path}/asked'\n{script}\n")
            busctl.chmod(busctl.stat().st_mode | stat.S_IXUSR)
        (programs / "bus").touch()
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin" if script else str(programs))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(programs))
        return kernel

    return answering


def moved(kernel_root: str) -> str:
    place = f"{kernel_root}/proc/self/cgroup"
    return f"echo 0::/app.slice/new.scope > '{place}.new'; mv '{place}.new' '{place}'"


def test_systemd_gives_a_user_a_scope(systemd: Callable[[str], Kernel], tmp_path: Path) -> None:
    kernel = systemd(moved(str(tmp_path / "machine")))
    parent = found(kernel)
    assert parent.available == cgroups.Available(2, frozenset(ALL))
    assert parent.folder == str(kernel.top / "app.slice/new.scope")
    asked = text(str(tmp_path), "asked")
    assert "StartTransientUnit" in asked
    assert f"PIDs au 1 {os.getpid()} Delegate b true" in asked


def test_the_move_is_awaited(systemd: Callable[[str], Kernel], tmp_path: Path) -> None:
    # The answer comes when the job is queued; the move itself is later.
    kernel = systemd(f"(sleep 0.1; {moved(str(tmp_path / 'machine'))}) >/dev/null 2>&1 &")
    assert found(kernel).available.version == 2


def test_a_refusal_of_systemds_is_told(systemd: Callable[[str], Kernel]) -> None:
    kernel = systemd("echo 'Call failed: Access denied' >&2; exit 1")
    available = found(kernel).available
    assert available.version is None
    assert "systemd refused one: Call failed: Access denied" in available.reason
    assert available.hint


@pytest.mark.parametrize("script", ["exec sleep 600", "true"], ids=["hangs", "does nothing"])
def test_a_systemd_that_does_not_act_is_given_up(
    systemd: Callable[[str], Kernel], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = systemd(script)
    monkeypatch.setattr(delegation, "SYSTEMD_PATIENCE_S", 0.2)
    begun = time.monotonic()
    available = found(kernel).available
    assert time.monotonic() - begun < 30
    assert available.version is None
    assert "within 0.2 seconds" in available.reason


def test_a_systemd_without_busctl_is_told(systemd: Callable[[str], Kernel]) -> None:
    assert "busctl" in found(systemd("")).available.reason


# --- A group.


@pytest.fixture
def parent(kernel: Kernel, as_user: None) -> Parent:
    kernel.group("mine.scope", 70, hands_on=ALL)
    kernel.be_in("/mine.scope")
    return found(kernel)


def outer(parent: Parent) -> str:
    return f"{parent.folder}/kedge-{RUN}"


def test_limits_are_on_the_outer_folder_and_processes_in_the_leaf(
    kernel: Kernel, parent: Parent
) -> None:
    group = parent.create(RUN, LIMITED, 3)
    assert group is not None
    assert group.enforces == {"memory", "pids", "cpu"}
    folder = outer(parent)
    said = {name: text(folder, name) for kind in FILES.values() for name in kind if "." in name}
    assert said["memory.max"] == str(100 << 20)
    assert said["memory.swap.max"] == "0"
    assert said["memory.oom.group"] == "1"
    assert said["pids.max"] == "23"
    assert said["cpu.max"] == "50000 100000"
    assert group.entrances == (f"{folder}/run/cgroup.procs",)
    group.join(70)
    assert kernel.processes[f"{folder}/run"] == {70}
    assert group.processes() == [70]


def test_all_the_cpus_need_no_quota(parent: Parent) -> None:
    group = parent.create(RUN, Resources(cpu=os.cpu_count() or 1, memory_mb=100), 0)
    assert group is not None
    assert "cpu" in group.enforces
    assert text(outer(parent), "cpu.max") == "max 100000"


@pytest.mark.parametrize(("swap", "held"), [("", True), ("/swapfile file 1 0 -2\n", False)])
def test_without_swap_accounting_a_machine_that_swaps_does_not_hold_the_limit(
    kernel: Kernel, parent: Parent, monkeypatch: pytest.MonkeyPatch, swap: str, held: bool
) -> None:
    monkeypatch.delitem(FILES["memory"], "memory.swap.max")
    with (kernel.root / "proc/swaps").open("a") as file:
        file.write(swap)
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    assert ("memory" in group.enforces) is held


def test_what_is_used_is_read(parent: Parent) -> None:
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    folder = Path(outer(parent))
    mib = 1 << 20
    (folder / "memory.stat").write_text(f"anon {5 * mib}\nfile {90 * mib}\nshmem {2 * mib}\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\n")
    assert group.usage() == cgroups.Usage(2.5, 0, forks_refused=0)
    assert group.memory_mb() == 7.0


@pytest.mark.parametrize(
    ("events", "kills"),
    [
        ("max 0\noom 0\noom_kill 0\n", 0),
        ("max 9\noom 0\noom_kill 0\n", 0),
        ("max 9\noom 1\noom_kill 3\noom_group_kill 1\n", 3),
        ("max 0\noom 0\noom_kill 2\n", 0),  # the whole machine's memory was full
        ("", None),
    ],
)
def test_a_kill_counts_only_at_this_groups_limit(
    parent: Parent, events: str, kills: int | None
) -> None:
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    Path(outer(parent), "memory.events").write_text(events)
    assert group.usage().oom_kills == kills


@pytest.mark.parametrize("counted_in", ["", "run"], ids=["since 6.11", "before"])
def test_forks_that_were_refused_are_counted_where_the_kernel_does(
    parent: Parent, counted_in: str
) -> None:
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    folder = Path(outer(parent), counted_in)
    folder.mkdir(exist_ok=True)
    (folder / "pids.events").write_text("max 4\n")
    assert group.usage().forks_refused == 4


def test_without_a_controller_of_processes_nothing_is_counted(
    kernel: Kernel, as_user: None
) -> None:
    kernel.group("mine.scope", 70, hands_on=("memory",))
    kernel.be_in("/mine.scope")
    group = found(kernel).create(RUN, LIMITED, 0)
    assert group is not None
    assert group.usage().forks_refused is None


def test_a_group_that_is_gone_uses_nothing_that_is_known(parent: Parent) -> None:
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    group.remove()
    assert not os.path.exists(outer(parent))
    assert group.usage() == cgroups.Usage()
    assert group.memory_mb() is None
    group.remove()


def test_killing_leaves_nothing_and_lets_nothing_be_born(kernel: Kernel, parent: Parent) -> None:
    group = parent.create(RUN, LIMITED, 0)
    assert group is not None
    group.join(70)
    group.kill()
    assert group.processes() == []
    assert text(outer(parent), "pids.max") == "0"


def test_one_name_is_one_group(parent: Parent) -> None:
    assert parent.create(RUN, LIMITED, 0) is not None
    assert parent.create(RUN, LIMITED, 0) is None


# --- Where this process is.


@pytest.mark.parametrize(
    ("shown", "own", "place"),
    [
        ("/", "/a/b", "/sys/fs/cgroup/a/b"),
        ("/", "/", "/sys/fs/cgroup"),
        ("/docker/x", "/docker/x/b", "/sys/fs/cgroup/b"),
        ("/docker/x", "/docker/x", "/sys/fs/cgroup"),
        ("/docker/x", "/docker/xy", None),
        ("/", "/../other", None),
    ],
)
def test_a_place_is_found_below_what_the_mount_shows(
    kernel: Kernel, shown: str, own: str, place: str | None
) -> None:
    kernel.mounts = [f"30 20 0:26 {shown} /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw"]
    kernel.be_in(own)
    (one,) = hierarchies(str(kernel.root))
    assert one.own == (None if place is None else f"{kernel.root}{place}")


def test_a_mount_with_a_space_in_its_name_is_found(kernel: Kernel) -> None:
    kernel.mounts = [r"30 20 0:26 / /mnt/control\040groups rw - cgroup2 cgroup2 rw"]
    kernel.be_in("/a")
    (one,) = hierarchies(str(kernel.root))
    assert one.own == f"{kernel.root}/mnt/control groups/a"


def test_what_others_made_and_what_kedge_keeps_is_no_run(kernel: Kernel) -> None:
    for path in (
        "kedge",
        "kedge-supervisor",
        "a/kedge-abcdefghij12/run",
        "kedge-ABCDEFGHIJ12",
        "docker",
    ):
        kernel.group(path)
    if os.geteuid() == 0:
        os.chown(kernel.group("b/kedge-another00012"), 61017, 61017)
    assert folders.found([str(kernel.top)]) == {RUN: [f"{kernel.top}/a/kedge-{RUN}"]}
