"""How a process comes by a group of cgroup v2 below which it may make others.

Version 2 has two rules that v1 had not: a group is given to an account by its owner (systemd, a container
engine), and a group that hands controllers on to those below it holds no processes itself.

Source: Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint" and "Delegation"; and
systemd's docs/CGROUP_DELEGATION.md.
"""

import errno
import os
import time
from collections.abc import Iterable

from kedge.executor import cgroup_folders as folders
from kedge.executor.cgroup import LIMITING, Available
from kedge.executor.cgroup_hierarchies import Hierarchy, hierarchies
from kedge.executor.cgroup_v2 import Parent

SUPERVISOR = "kedge-supervisor"  # the leaf for what was in a delegated group already
TOP = "kedge"  # root's own group at the top of the hierarchy

# What is in a group is moved out of it, while some of it may fork: a few rounds find all.
_ROUNDS = 10

SYSTEMD_PATIENCE_S = 1.0  # it takes 20 ms on a machine at rest; without it a run has fewer limits
_MOVED_LOOK_S = 0.002  # between two looks whether systemd has moved this process

_START_BY_HAND = "systemd-run --user --scope -p Delegate=yes kedge …"


def look(found: list[Hierarchy], root: str = "") -> Parent:
    """The group of version 2 below which this process can make others.

    It may be moved for that, with what else is in its group: into a leaf of the same group, or into a
    scope that systemd makes for it.
    """
    here = _unified(found)
    if here is None:
        return _none("control groups are not mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    for folder in _candidates(here):
        if enabled := enable(folder, LIMITING):
            return _given(folder, enabled, root)
    if os.geteuid() == 0:
        return _none(
            "the control groups here are read-only, or lack the controllers for memory and processes",
            "in a container, mount /sys/fs/cgroup so that it can be written, with a cgroup namespace"
            " (docker run --privileged --cgroupns=private)",
        )
    if refused := _ask_systemd(root):
        return _none(
            f"this account was given no control group, and {refused}",
            f"log in so that systemd runs for you (loginctl enable-linger), or start {_START_BY_HAND}",
        )
    moved = _unified(hierarchies(root))
    if moved is not None and moved.own is not None and (enabled := enable(moved.own, LIMITING)):
        return _given(moved.own, enabled, root)
    return _none(
        "systemd gave this process a control group without controllers",
        "systemctl edit user@.service, and there: [Service] Delegate=cpu memory pids",
    )


def enable(folder: str, wanted: Iterable[str]) -> frozenset[str]:
    """Have the groups below `folder` controlled; which of the `wanted` controllers then are.

    What is in `folder` is moved into a leaf of it when it stands in the way.
    """
    control = f"{folder}/cgroup.subtree_control"
    there = folders.read(f"{folder}/cgroup.controllers").split()
    for controller in wanted:
        if controller in there:
            _enable_one(folder, control, controller)
    return frozenset(wanted) & set(folders.read(control).split())


def _enable_one(folder: str, control: str, controller: str) -> None:
    for _ in range(_ROUNDS):
        try:
            folders.write(control, f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY or not _move_to_leaf(folder):
                return
        else:
            return


def _move_to_leaf(folder: str) -> bool:
    leaf = f"{folder}/{SUPERVISOR}"
    try:
        folders.make(leaf)
    except FileExistsError:
        pass
    except OSError:
        return False
    for process in folders.read(f"{folder}/cgroup.procs").split():
        try:
            folders.write(f"{leaf}/cgroup.procs", process)
        except ProcessLookupError:
            continue
        except OSError:  # another's, or one that cannot be seen from here: 0
            return False
    return True


def _candidates(here: Hierarchy) -> Iterable[str]:
    own = here.own
    if own is not None and os.path.basename(own) == SUPERVISOR:
        own = os.path.dirname(own)  # an earlier Kedge process has moved this one's parent there
    if own is not None and _delegated(own, here.top):
        yield own
    if os.geteuid() == 0:
        top = f"{here.top}/{TOP}"
        # The topmost group of all may have processes and hand controllers on.
        if enable(here.top, LIMITING) and (os.path.isdir(top) or _made(top)):
            yield top


def _delegated(folder: str, top: str) -> bool:
    """Whether a group is this process's to divide."""
    if not os.path.exists(f"{folder}/cgroup.type"):
        return False  # the topmost group of the machine
    if not all(
        os.access(path, os.W_OK)
        for path in (folder, f"{folder}/cgroup.procs", f"{folder}/cgroup.subtree_control")
    ):
        return False
    if os.geteuid() != 0 or folder == top:
        return True  # given to this account, or the top of a container's own namespace
    # Root may write everywhere; systemd says by an attribute which groups it keeps its hands off.
    return os.path.isdir(f"{folder}/{SUPERVISOR}") or any(
        _attribute(folder, name) == b"1" for name in ("trusted.delegate", "user.delegate")
    )


def _attribute(folder: str, name: str) -> bytes | None:
    try:
        return os.getxattr(folder, name)
    except OSError:
        return None


def _made(folder: str) -> bool:
    try:
        folders.make(folder)
    except OSError:
        return False
    return True


def _ask_systemd(root: str) -> str | None:
    """Have the user's systemd move this process into a delegated scope; why not, None when it did.

    By `busctl`, since `systemd-run --scope` would have to start the whole program anew inside.
    """
    import subprocess

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    bus = "DBUS_SESSION_BUS_ADDRESS" in os.environ or (
        runtime and os.path.exists(os.path.join(runtime, "bus"))
    )
    if not os.path.isdir(f"{root}/run/systemd/system") or not bus:
        return "there is no systemd session of this account's that could give one"
    place = f"{root}/proc/self/cgroup"
    before = folders.read(place)
    deadline = time.monotonic() + SYSTEMD_PATIENCE_S
    try:
        asked = subprocess.run(
            scope_request(os.getpid(), os.urandom(4).hex()),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SYSTEMD_PATIENCE_S,
            check=False,
        )
    except FileNotFoundError:
        return "busctl, by which systemd is asked for one, is not installed"
    except (OSError, subprocess.TimeoutExpired):
        return f"systemd did not answer within {SYSTEMD_PATIENCE_S:g} seconds"
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()
        return f"systemd refused one: {said[-1] if said else 'it gives no reason'}"
    while folders.read(place) == before:
        if time.monotonic() > deadline:
            return f"systemd made none within {SYSTEMD_PATIENCE_S:g} seconds"
        time.sleep(_MOVED_LOOK_S)
    return None


def scope_request(process: int, distinct: str) -> list[str]:
    """The command that asks a user's systemd for a delegated scope with `process` in it.

    Source: org.freedesktop.systemd1(5), StartTransientUnit(name, mode, properties, auxiliary units).
    """
    return [
        *("busctl", "--user", f"--timeout={SYSTEMD_PATIENCE_S:g}", "--quiet", "call"),
        *("org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
        *("org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))"),
        *(f"kedge-{process}-{distinct}.scope", "fail"),
        *("3", "PIDs", "au", "1", str(process), "Delegate", "b", "true"),
        *("CollectMode", "s", "inactive-or-failed"),  # nothing stays when it is over
        "0",
    ]


def _unified(found: list[Hierarchy]) -> Hierarchy | None:
    return next((one for one in found if one.version == 2), None)


def _given(folder: str, enabled: frozenset[str], root: str) -> Parent:
    lacking = [name for name in LIMITING if name not in enabled]
    if not lacking:
        return Parent(Available(2, enabled), folder, root)
    return Parent(
        Available(
            2,
            enabled,
            f"this account was not given the cgroup controllers for {' and '.join(lacking)}",
            "systemctl edit user@.service, and there: [Service] Delegate=cpu memory pids",
        ),
        folder,
        root,
    )


def _none(reason: str, hint: str) -> Parent:
    return Parent(Available(None, frozenset(), reason, hint), None)
