"""The system-call filter: what no function has a use for and every escape begins with.

Built here as classic BPF, for `bwrap --seccomp` and for the guard of a run without a sandbox. Refused calls fail with EPERM, as without privilege;
`clone3` with ENOSYS, since its flags lie in memory where a filter cannot look, and libraries then fall
back to `clone`. Without it, a process that had given up everything got all capabilities back, inside a
new user namespace, by `unshare -Ur`.
"""

import errno
import os
import struct
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from kedge.errors import Unavailable


class _Machine(NamedTuple):
    audit: int  # AUDIT_ARCH_*: what `seccomp_data.arch` says of a native call
    clone: int
    clone3: int
    socket: int
    socketpair: int
    ioctl: int
    setrlimit: int
    prlimit64: int
    setns: int
    system_v: tuple[int, ...]  # shmget, semget, msgget
    denied: tuple[int, ...]


# Numbers from 424 on are the same on every processor.
_SINCE_COMMON = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}

_X86_64 = {
    "ptrace": 101,
    "syslog": 103,
    "personality": 135,
    "pivot_root": 155,
    "chroot": 161,
    "acct": 163,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}

_AARCH64 = {
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "quotactl": 60,
    "acct": 89,
    "personality": 92,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "swapon": 224,
    "swapoff": 225,
    "perf_event_open": 241,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}

REFUSED = sorted({*_X86_64, *_AARCH64, *_SINCE_COMMON})  # by name, whatever the arguments

_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        clone=56,
        clone3=435,
        socket=41,
        socketpair=53,
        ioctl=16,
        setrlimit=160,
        prlimit64=302,
        setns=_X86_64["setns"],
        system_v=(29, 64, 68),
        denied=(*_X86_64.values(), *_SINCE_COMMON.values()),
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        clone=220,
        clone3=435,
        socket=198,
        socketpair=199,
        ioctl=29,
        setrlimit=164,
        prlimit64=261,
        setns=_AARCH64["setns"],
        system_v=(194, 190, 186),
        denied=(*_AARCH64.values(), *_SINCE_COMMON.values()),
    ),
}

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET. NEWTIME exists only for unshare
# and clone3: in clone that bit belongs to the exit signal.
NEW_NAMESPACES = 0x7E020000

_CLONE_PARENT = 0x8000

# ioctl requests that type into a terminal on behalf of its owner.
TERMINAL_REQUESTS = TIOCSTI, TIOCLINUX = 0x5412, 0x541C

_AF_UNIX = 1
AF_VSOCK = 40  # talks to the hypervisor past any network namespace

_X32_BIT = 0x40000000

# Instructions of classic BPF, by what they do here.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

# struct seccomp_data { int nr; __u32 arch; __u64 ip; __u64 args[6]; }, both machines little-endian; the
# kernel itself looks only at the low half of the arguments tested here.
_NUMBER, _ARCH, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 24, 32
_HIGH_HALF = 4

_Instruction = tuple[int, int, int, int]

_REFUSE: _Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)

_RLIMIT_LOCKS = 10  # <asm-generic/resource.h>


def supported(machine: str | None = None) -> bool:
    """Whether there is a filter for this processor (`os.uname().machine`)."""
    return (machine or os.uname().machine) in _MACHINES


@cache
def filter_program(machine: str | None = None) -> bytes:
    """The sandbox's filter for this processor, as the array of `struct sock_filter` that the kernel takes.

    Raises:
        Unavailable: there is no filter for it.
    """
    return _packed(_instructions(_known(machine)))


@cache
def guarded_filter(machine: str | None = None, *, network: bool) -> bytes:
    """The filter for a program that shares the host's namespaces and perhaps its account.

    It may not set limits of other processes, which would be a way to kill them, nor the limit that marks
    it as this run's (`marks.py`). What it would make by System V's calls would outlive it.

    Args:
        machine: as `os.uname().machine`.
        network: whether it may make other sockets than those within the machine (AF_UNIX).

    Raises:
        Unavailable: there is no filter for this processor.
    """
    known = _known(machine)
    more = _limits_of_its_own(known)
    for call in known.system_v:
        more += [(_EQUAL, 0, 1, call), _REFUSE]
    if not network:
        for call in (known.socket, known.socketpair):
            more += _unless(call, _FIRST_ARGUMENT, [(_EQUAL, 1, 0, _AF_UNIX), _REFUSE])
    return _packed(_instructions(known, more))


@cache
def zygote_filter(machine: str | None = None) -> bytes:
    """The sandbox's filter but for `setns`, by which a fork enters its call's namespaces.

    Raises:
        Unavailable: there is no filter for this processor.
    """
    known = _known(machine)
    denied = tuple(call for call in known.denied if call != known.setns)
    return _packed(_instructions(known._replace(denied=denied)))


@cache
def entered_filter(machine: str | None = None) -> bytes:
    """What is added for a fork that has entered them: no `setns` either, and no process but below itself.

    What it made as a child of the zygote would be in its namespaces and not be found there.

    Raises:
        Unavailable: there is no filter for this processor.
    """
    known = _known(machine)
    return _packed(
        [
            (_LOAD, 0, 0, _NUMBER),
            (_EQUAL, 0, 1, known.setns),
            _REFUSE,
            *_unless(known.clone, _FIRST_ARGUMENT, [(_ANY_BIT, 0, 1, _CLONE_PARENT), _REFUSE]),
            (_RETURN, 0, 0, _ALLOW),
        ]
    )


def _known(machine: str | None) -> _Machine:
    name = machine or os.uname().machine
    known = _MACHINES.get(name)
    if known is None:
        raise Unavailable(
            f"there is no system-call filter for the processor {name!r}",
            hint=f"filters exist for {' and '.join(_MACHINES)}; use the executor `process`",
        )
    return known


def _packed(program: list[_Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", *one) for one in program)


def _instructions(machine: _Machine, more: Sequence[_Instruction] = ()) -> list[_Instruction]:
    """What every program is refused, then `more`, which begins and ends with the call's number loaded."""
    number = (_LOAD, 0, 0, _NUMBER)
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.audit),
        _REFUSE,
        number,
        (_AT_LEAST, 0, 1, _X32_BIT),
        _REFUSE,
        (_EQUAL, 0, 1, machine.clone3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    program += _unless(machine.clone, _FIRST_ARGUMENT, [(_ANY_BIT, 0, 1, NEW_NAMESPACES), _REFUSE])
    program += _unless(machine.socket, _FIRST_ARGUMENT, [(_EQUAL, 0, 1, AF_VSOCK), _REFUSE])
    program += _unless(
        machine.ioctl,
        _SECOND_ARGUMENT,
        [(_EQUAL, 1, 0, TIOCSTI), (_EQUAL, 0, 1, TIOCLINUX), _REFUSE],
    )
    program += more
    for call in machine.denied:
        program += [(_EQUAL, 0, 1, call), _REFUSE]
    program.append((_RETURN, 0, 0, _ALLOW))
    return program


def _limits_of_its_own(machine: _Machine) -> list[_Instruction]:
    """No new limits for another process (by number, so also not for itself), nor RLIMIT_LOCKS for itself."""
    new_limits = [
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _THIRD_ARGUMENT + _HIGH_HALF),
        (_EQUAL, 5, 0, 0),  # it only asks
    ]
    of_whom = [
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_EQUAL, 0, 1, _RLIMIT_LOCKS),
        _REFUSE,
    ]
    return [
        *_unless(machine.setrlimit, _FIRST_ARGUMENT, [(_EQUAL, 0, 1, _RLIMIT_LOCKS), _REFUSE]),
        *_unless(machine.prlimit64, _FIRST_ARGUMENT, [*new_limits, *of_whom]),
    ]


def _unless(call: int, argument: int, body: list[_Instruction]) -> list[_Instruction]:
    """`body` for `call` alone, with the low half of `argument` loaded before and the number after."""
    inner = [(_LOAD, 0, 0, argument), *body, (_LOAD, 0, 0, _NUMBER)]
    return [(_EQUAL, 0, len(inner), call), *inner]
