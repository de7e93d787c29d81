"""What the keeper sees from outside of a zygote and of a fork: through /proc, not from what they say."""

import os
from typing import Final

from kedge.executor import processes

_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_SPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_STANDARD: Final = {"0", "1", "2", "3"}  # the streams, and its line to the keeper
# Of /proc/PID/stat after the name: page faults of children that were waited for, ticks of CPU.
_FAULTS_AND_TICKS: Final = (8, 11, 12)
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_SHOWN: Final = 3  # of things that import left, in a sentence
_PRESSURE: Final = 0.1  # of the machine's memory: with less available, what no call uses goes
_WRITTEN: Final = ("/tmp", "/workspace/scratch", "/dev/shm")


def left_by_import(zygote: int, init: int, shown: tuple[str, ...]) -> str:
    """Why a process cannot be forked, as what importing its module did; "" when it can.

    Args:
        zygote: its number.
        init: that of the first process of its box.
        shown: what of the host is shown where it can write.
    """
    try:
        if len(os.listdir(f"/proc/{zygote}/task")) > 1:
            return "importing its module starts threads"
        if others := len(set(processes.descendants(init)) - {zygote}):
            return f"importing its module starts {_counted(others, 'process', 'processes')}"
        opened = [
            os.readlink(f"/proc/{zygote}/fd/{name}")
            for name in sorted(os.listdir(f"/proc/{zygote}/fd"))
            if name not in _STANDARD
        ]
        libraries, shared = _mapped(zygote)
        if opened := [path for path in opened if path not in libraries]:
            return f"importing its module leaves open: {_some(opened)}"
        if shared:
            return f"importing its module maps memory that is shared: {_some(shared)}"
        written = [path for place in _WRITTEN for path in _found(init, place, shown)]
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    except (KeyError, ValueError, IndexError):
        return "it cannot be looked at"
    return f"importing its module writes {_some(written)}" if written else ""


def unconfined(process: int, first: int, filters: int) -> str:
    """What is amiss with a fork that is to make a call; "" when nothing is.

    Args:
        process: the fork.
        first: the first process of its slot, whose namespaces it is to be in.
        filters: how many system-call filters it is to have.
    """
    try:
        status = status_of(process)
        held = [name for name in _CAPABILITIES if int(status[name], 16)]
        if held:
            return f"it has capabilities ({', '.join(held)})"
        if status["NoNewPrivs"] != "1" or status["Seccomp"] != "2":
            return "it is not behind its filter"
        if int(status.get("Seccomp_filters", filters)) != filters:
            return "it is not behind its second filter"
        if status["Threads"] != "1" or status["TracerPid"] != "0":
            return "it has threads, or is traced"
        for space in _SPACES:
            if os.readlink(f"/proc/{process}/ns/{space}") != os.readlink(
                f"/proc/{first}/ns/{space}"
            ):
                return f"it is not in its slot's namespace ({space})"
        if _read(f"/proc/{process}/cgroup") != _read(f"/proc/{first}/cgroup"):
            return "it is not in its slot's control group"
        if not is_alone(process, first):
            return "it has started others"
    except (OSError, KeyError, ValueError):
        return "it cannot be looked at"
    return ""


def used_by(process: int, name: str) -> tuple[int, ...] | None:
    """What a fork has used that has taken this name, is one thread, and has waited for no child; else None.

    Microseconds of CPU, KiB of memory at most, bytes read and written.
    """
    try:
        status = status_of(process)
        if status["Name"] != name or status["Threads"] != "1":
            return None
        fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
        faults_of_children, *ticks = (int(fields[place]) for place in _FAULTS_AND_TICKS)
        if faults_of_children:
            return None
        # One is exact, and of this thread alone; the other one counts those that have ended as well.
        own = int(_read(f"/proc/{process}/schedstat").split()[0]) // 1000
        counted = sum(ticks) * 1_000_000 // _TICKS_A_SECOND
        counts = _read(f"/proc/{process}/io").split()
        peak = int(status["VmHWM"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):  # it has ended, or the kernel does not say
        return None
    return max(own, counted), peak, int(counts[1]), int(counts[3])


def is_alone(process: int, first: int) -> bool:
    """Whether nobody else is in a fork's slot. The order counts: what has lost its parent is its first one's."""
    return processes.first_child(process) is None and processes.first_child(first) is None


def status_of(process: int) -> dict[str, str]:
    """The lines of a process's /proc/PID/status, by their names."""
    # Its name may have other ends of lines in it.
    lines = _read(f"/proc/{process}/status").split("\n")
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_memory_short() -> bool:
    """Whether programs could get hardly any more of this machine's memory."""
    return memory_available() < _PRESSURE


def memory_available() -> float:
    """The share of this machine's memory that programs could still get."""
    found = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            found[name] = int(value.split()[0])
    return found.get("MemAvailable", found["MemTotal"]) / found["MemTotal"]


def _read(path: str) -> str:
    """What a file says; `open` costs more than the kernel's answer, and this is done for each call."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        said = b""
        while chunk := os.read(file, 1 << 14):
            said += chunk
    finally:
        os.close(file)
    return said.decode(errors="replace")


def _mapped(process: int) -> tuple[set[str], list[str]]:
    """The files of its code, which some libraries keep open, and what it could write to for others to see."""
    libraries, shared = set(), set()
    name = ""
    with open(f"/proc/{process}/smaps", errors="replace", newline="\n") as file:
        for line in file:
            words = line.split(maxsplit=5)
            if not words[0].endswith(":"):
                name = words[5].strip() if len(words) > 5 else "memory"
                if "x" in words[1]:
                    libraries.add(name)
            elif words[0] == "VmFlags:" and {"sh", "mw"} <= {*line.split()}:
                # Written to now, or once that is allowed.
                shared.add(name)
    return libraries, sorted(shared)


def _found(init: int, place: str, shown: tuple[str, ...]) -> list[str]:
    """What is in a folder that was empty but for what is shown there, as the box sees it."""
    found = []
    for name in sorted(os.listdir(f"/proc/{init}/root{place}")):
        path = f"{place}/{name}"
        if any(one.startswith(f"{path}/") for one in shown):
            found += _found(init, path, shown)
        elif path not in shown:
            found.append(path)
    return found


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
