"""What keeping a package warm costs: memory, and whether anything grows with the number of calls."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

from figure import Check, Figure, LeftOutError, Side
from surroundings import Surroundings
from warm import IMPORTING, NEEDED, NOTHING_DONE
from warmed import Warmed, warmed

from kedge import home
from kedge.environment import folders
from kedge.executor import cgroup_folders, cgroup_hierarchies, processes

_CALLS, _QUICK_CALLS = 10_000, 40
_FIRST = 0.05  # of them, before the state is looked at: what is made once is made by then
_GROWN_MIB = 1.0  # what the samples themselves and the allocators' moods may take
_LOOK_S = 0.1
_PATIENCE_S = 10.0  # for all that follows the last call to be over


def memory(place: Surroundings) -> Iterator[Figure]:
    """What the processes that wait for a call hold, beside one of its own that has imported the same."""
    for name, code, needed in (("", NOTHING_DONE, "false"), (" numpy", IMPORTING, NEEDED)):
        with warmed(place, f"resting{name.strip()}", code, needed) as warm:
            yield _held(place, f"warm-memory{name}", warm)


def many(place: Surroundings) -> Iterator[Figure]:
    """Many calls in a row, and what is there before and after them."""
    calls = _QUICK_CALLS if place.quick else _CALLS
    groups = _Groups()
    with warmed(place, "many", NOTHING_DONE) as warm:
        first = [groups.seen_after(warm.called()) for _ in range(int(calls * _FIRST))]
        before = _at_rest(place, groups)
        taken = [groups.seen_after(warm.called()) for _ in range(calls)]
        after = _at_rest(place, groups)
    tenth = calls // 10
    yield Figure(
        "warm-many",
        Side(f"a warm call at the executor, {calls} in a row", tuple(taken)),
        (
            Side("Kedge: the first tenth of them", tuple(taken[:tenth])),
            Side("Kedge: the last tenth of them", tuple(taken[-tenth:])),
        ),
        checks=tuple(_compared(before, after)),
        notes=(f"looked at after {len(first)} calls, and at the end",),
    )


class _Groups:
    """The control groups that this process's calls are in: others may make and remove their own beside them."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def seen_after(self, taken: float) -> float:
        """Note whose names are held in the folder of what is temporary, as those of groups are; gives `taken`."""
        places = os.listdir(home.folder(folders.TEMPORARIES))
        self._names.update(folders.name_of(place) for place in places)
        return taken

    def left(self) -> int:
        """How many of those that were ever seen are there."""
        tops = (one.top for one in cgroup_hierarchies.hierarchies())
        return len(self._names & cgroup_folders.found(tops).keys())


@dataclass(frozen=True, slots=True)
class _State:
    """What is there at one moment, of this process and all below it. The names are those of the report."""

    memory_mib: float
    descriptors: int
    processes: int
    control_groups: int
    mounts: int
    files: int
    disk_kib: int


def _compared(before: _State, after: _State) -> Iterator[Check]:
    for one in fields(_State):
        had, has = getattr(before, one.name), getattr(after, one.name)
        most = had + _GROWN_MIB if one.name == "memory_mib" else had
        name = one.name.replace("_", " ").replace("mib", "(MiB)").replace("kib", "(KiB)")
        yield Check(f"{name}: {had:g} before, {has:g} after", has <= most)


def _at_rest(place: Surroundings, groups: "_Groups") -> _State:
    """The state once nothing changes any more."""
    deadline = time.monotonic() + _PATIENCE_S
    before: _State | None = None
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        try:
            now = _state(place, groups)
        except OSError:  # a process ended while it was looked at
            continue
        if before is not None and _counts(now) == _counts(before):
            return now
        before = now
    raise LeftOutError("what is kept warm does not come to rest")


def _counts(state: _State) -> tuple[int, ...]:
    return state.descriptors, state.processes, state.control_groups, state.mounts, state.files


def _state(place: Surroundings, groups: "_Groups") -> _State:
    family = [os.getpid(), *processes.descendants(os.getpid())]
    entries = [os.stat(path, follow_symlinks=False) for path in _below(place.folder)]
    return _State(
        memory_mib=round(sum(_rolled_up(one, b"Pss_Anon:") for one in family), 1),
        descriptors=sum(len(os.listdir(f"/proc/{one}/fd")) for one in family),
        processes=len(family),
        control_groups=groups.left(),
        mounts=_mounts(family),
        files=len(entries),
        disk_kib=sum(entry.st_blocks for entry in entries) // 2,
    )


def _mounts(family: list[int]) -> int:
    """Mounts in all of their namespaces, but for those that this machine has anyway."""
    machine = _mount_points(os.getpid())
    spaces = {os.readlink(f"/proc/{one}/ns/mnt"): one for one in family}
    seen = 0
    for one in spaces.values():
        points = _mount_points(one)
        is_inside = not os.path.samestat(os.stat(f"/proc/{one}/root"), os.stat("/"))
        seen += (points if is_inside else points - machine).total()
    return seen


def _mount_points(process: int) -> Counter[bytes]:
    return Counter(line.split()[4] for line in _read(f"/proc/{process}/mountinfo").splitlines())


def _held(place: Surroundings, name: str, warm: Warmed) -> Figure:
    """MiB that each kind of process holds, looked at after each of some calls."""
    forks, own, slots, importers, alone = [], [], [], [], []
    with warm.forking() as forking:
        for _ in range(place.rounds(15)):
            warm.called()
            forking.called()
            _at_rest(place, _Groups())
            kept = _kept()
            forks += [_proportional(one) for one in kept.forks]
            own += [_private(one) for one in kept.forks]
            slots += [_proportional(one) for one in kept.slots]
            importers.append(_proportional(kept.importer))
            alone.append(_proportional(forking.process))
    return Figure(
        name,
        Side("a fork that waits for its call", tuple(forks), "MiB"),
        (
            Side("Kedge: of that what it shares with nobody", tuple(own), "MiB"),
            Side("Kedge: the first process of its slot", tuple(slots), "MiB"),
            Side("Kedge: the process that has imported the module", tuple(importers), "MiB"),
            Side("a process by itself that has imported the same", tuple(alone), "MiB"),
        ),
        notes=(
            f"{len(kept.forks)} forks wait; a page that several have counts for each with its part",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """Whom a pool keeps for one package: the numbers of processes."""

    importer: int
    forks: tuple[int, ...]
    slots: tuple[int, ...]


def _kept() -> _Kept:
    parents = {one: processes.parent_of(one) for one in processes.descendants(os.getpid())}
    importers = [one for one in parents if b"\0zygote\0" in _read(f"/proc/{one}/cmdline")]
    found = [one for one in importers if parents[one] not in importers]
    if len(found) != 1:
        raise LeftOutError(f"{len(found)} processes have imported the package, and not one")
    importer = found[0]
    return _Kept(
        importer,
        tuple(one for one, parent in parents.items() if parent == importer),
        tuple(
            one
            for one, parent in parents.items()
            if parent == parents[importer] and one != importer
        ),
    )


def _proportional(process: int) -> float:
    """MiB that a process holds, of what it shares its part."""
    return _rolled_up(process, b"Pss:")


def _private(process: int) -> float:
    """MiB that only this process holds."""
    return _rolled_up(process, b"Private_Clean:", b"Private_Dirty:")


def _rolled_up(process: int, *names: bytes) -> float:
    lines = map(bytes.split, _read(f"/proc/{process}/smaps_rollup").splitlines())
    return sum(int(words[1]) for words in lines if words[0] in names) / 1024


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _below(folder: str) -> Iterator[str]:
    for place, inner, files in os.walk(folder):
        yield from (os.path.join(place, name) for name in (*inner, *files))
