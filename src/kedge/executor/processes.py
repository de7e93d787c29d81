"""Processes as /proc shows them, and the few Linux calls that Python has no function for."""

import fcntl
import os
import select
import signal
import struct

# <linux/pidfd.h>: struct pidfd_info and what asks for it. Kernels from 6.15 on keep a process's exit status
# in its pidfd, also for those who are not its parent.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO = struct.Struct("QQ11Ii")

_PR_SET_CHILD_SUBREAPER = 36

# What shells report for a program that died of a signal, for signals that programs do not exit with by
# choice: 130 and 143 are the exits of programs that ended well after SIGINT and SIGTERM.
_FATAL = frozenset({
    signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL,
    signal.SIGSEGV, signal.SIGSYS, signal.SIGXCPU, signal.SIGXFSZ,
})  # fmt: skip


def descendants(ancestor: int) -> list[int]:
    """Every process below `ancestor`, parents before their children; it is not among them itself."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := parent_of(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found = list(children.get(ancestor, ()))
    for process in found:
        found.extend(children.get(process, ()))
    return found


def parent_of(process: int) -> int | None:
    """The parent of `process`, None when it is gone."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return None


def first_child(process: int) -> int | None:
    """The oldest living child of `process`, None when it has none."""
    try:
        with open(f"/proc/{process}/task/{process}/children", "rb") as file:
            words = file.read().split()
            return int(words[0]) if words else None
    except FileNotFoundError:  # the process is gone, or a kernel without CONFIG_PROC_CHILDREN
        return min((one for one in descendants(process) if parent_of(one) == process), default=None)
    except OSError:
        return None


def send(process: int, number: int) -> None:
    """Send a signal to one process; one that is gone, or may not be signalled, is no error."""
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        pass


def send_group(group: int, number: int) -> None:
    """Send a signal to a process group; one that is gone, or may not be signalled, is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill(pidfd: int) -> None:
    """SIGKILL to the process behind `pidfd`; one that is gone, or may not be signalled, is no error."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def ask_to_end(group: int) -> None:
    """SIGTERM to a process group, also to those of it that are stopped."""
    send_group(group, signal.SIGTERM)
    send_group(group, signal.SIGCONT)


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read, as from a pidfd once its process has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def has_ended(process: int) -> bool:
    """Whether a process is gone, or only waits to be taken leave of."""
    try:
        held = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return wait_readable(held, 0)
    finally:
        os.close(held)


def open_io(process: int) -> int | None:
    """A descriptor of what a process and the children it waits for read and write; None if refused."""
    try:
        return os.open(f"/proc/{process}/io", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def io_bytes(counts: int) -> tuple[int | None, int | None]:
    """Bytes read and written by system calls, from the descriptor that `open_io` gave."""
    try:
        lines = os.pread(counts, 4096, 0).decode().splitlines()
        numbers = dict(line.split(": ") for line in lines)
        return int(numbers["rchar"]), int(numbers["wchar"])
    except (OSError, KeyError, ValueError):
        return None, None


def exit_status(pidfd: int) -> int | None:
    """The wait status of the process behind `pidfd`, reaped or not; None where the kernel cannot say."""
    buffer = bytearray(_PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    fields = _PIDFD_INFO.unpack(buffer)
    return int(fields[-1]) if fields[0] & _PIDFD_INFO_EXIT else None


def told_apart(code: int) -> tuple[int | None, int | None]:
    """Exit code and signal, one of them, from what a first process reports of the program."""
    if code - 128 in _FATAL:
        return None, code - 128
    return code, None


def become_subreaper() -> None:
    """Have orphans below this process become its children, so that their usage can be read.

    Stays so: whoever calls this is there to own the processes of its runs.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
