"""The system-call filter, run by a small machine for classic BPF."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedge.errors import Unavailable
from kedge.executor.seccomp import filter_program, guarded_filter, supported

ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {
        "clone": 56,
        "socket": 41,
        "socketpair": 53,
        "ioctl": 16,
        "read": 0,
        "setresuid": 117,
        "capset": 126,
        "setrlimit": 160,
        "prlimit64": 302,
    },
    "aarch64": {
        "clone": 220,
        "socket": 198,
        "socketpair": 199,
        "ioctl": 29,
        "read": 63,
        "setresuid": 147,
        "capset": 91,
        "setrlimit": 164,
        "prlimit64": 261,
    },
}
DENIED = {
    "x86_64": (101, 135, 155, 161, 165, 166, 250, 272, 298, 304, 308, 310, 311, 313, 321, 323),
    "aarch64": (39, 40, 41, 51, 92, 97, 117, 219, 241, 265, 268, 270, 271, 273, 280, 282),
}
BOTH = pytest.mark.parametrize("machine", sorted(AUDIT))


def judge(
    machine: str,
    number: int,
    *arguments: int,
    audit: int | None = None,
    program: bytes | None = None,
) -> int:
    """What the filter, the sandbox's if none is given, returns for a call, as the kernel would find it."""
    data = struct.pack(
        "<iIQ6Q", number, audit or AUDIT[machine], 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6]
    )
    instructions = list(struct.iter_unpack("HBBI", program or filter_program(machine)))
    accumulator = at = 0
    while True:
        code, when_true, when_false, value = instructions[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x15:
                at += when_true if accumulator == value else when_false
            case 0x35:
                at += when_true if accumulator >= value else when_false
            case 0x45:
                at += when_true if accumulator & value else when_false
            case 0x06:
                return value
            case _:
                raise AssertionError(f"an instruction that no filter uses: {code:#x}")


@BOTH
def test_what_programs_do_is_allowed(machine: str) -> None:
    for name in ("read", "setresuid", "capset"):
        assert judge(machine, NUMBERS[machine][name]) == ALLOW


@BOTH
def test_what_escapes_begin_with_is_refused(machine: str) -> None:
    for number in (*DENIED[machine], 425, 426, 427, 428, 429, 430, 431, 432, 433, 442):
        assert judge(machine, number) == EPERM
    assert judge(machine, 435) == ENOSYS


@BOTH
@given(flags=st.integers(0, (1 << 64) - 1))
def test_clone_makes_processes_and_threads_but_no_namespaces(machine: str, flags: int) -> None:
    expected = EPERM if flags & 0x7E020000 else ALLOW
    assert judge(machine, NUMBERS[machine]["clone"], flags) == expected


@BOTH
@given(request=st.integers(0, (1 << 64) - 1) | st.sampled_from([0x5412, 0x541C, 0x5413]))
def test_nobody_types_into_a_terminal(machine: str, request: int) -> None:
    low = request & 0xFFFFFFFF  # all that the kernel looks at
    expected = EPERM if low in (0x5412, 0x541C) else ALLOW
    assert judge(machine, NUMBERS[machine]["ioctl"], 0, request) == expected


@BOTH
@given(family=st.integers(0, 60))
def test_only_the_hypervisors_sockets_are_refused(machine: str, family: int) -> None:
    expected = EPERM if family == 40 else ALLOW
    assert judge(machine, NUMBERS[machine]["socket"], family) == expected


@BOTH
@given(number=st.integers(0x40000000, 0x7FFFFFFF))
def test_the_other_numbering_of_the_same_processor_is_refused(machine: str, number: int) -> None:
    assert judge(machine, number) == EPERM


@BOTH
@given(audit=st.integers(1, (1 << 32) - 1), number=st.integers(0, 500))
def test_calls_of_another_processor_are_refused(machine: str, audit: int, number: int) -> None:
    if audit != AUDIT[machine]:
        assert judge(machine, number, audit=audit) == EPERM


@BOTH
@pytest.mark.parametrize("call", ["socket", "socketpair"])
@given(family=st.integers(0, (1 << 64) - 1) | st.integers(0, 60))
def test_without_a_sandbox_only_sockets_within_the_machine_are_made(machine, call, family) -> None:
    number = NUMBERS[machine][call]
    closed = guarded_filter(machine, network=False)
    expected = ALLOW if family & 0xFFFFFFFF == 1 else EPERM
    assert judge(machine, number, family, program=closed) == expected
    opened = guarded_filter(machine, network=True)
    vsock = call == "socket" and family & 0xFFFFFFFF == 40
    assert judge(machine, number, family, program=opened) == (EPERM if vsock else ALLOW)


ANYTHING = st.integers(0, (1 << 64) - 1)


@BOTH
@given(
    process=st.just(0) | st.integers(1, 1 << 22),
    limit=st.integers(0, 15),
    new=st.just(0) | st.just(1 << 32) | ANYTHING,
    old=ANYTHING,
)
def test_without_a_sandbox_a_program_sets_its_own_limits_and_not_its_mark(
    machine, process, limit, new, old
) -> None:
    program = guarded_filter(machine, network=False)
    refused = new != 0 and (process != 0 or limit == 10)
    found = judge(machine, NUMBERS[machine]["prlimit64"], process, limit, new, old, program=program)
    assert found == (EPERM if refused else ALLOW)
    found = judge(machine, NUMBERS[machine]["setrlimit"], limit, new, program=program)
    assert found == (EPERM if limit == 10 else ALLOW)


@BOTH
@given(number=st.integers(0, 500), first=ANYTHING, second=ANYTHING)
def test_without_a_sandbox_nothing_more_is_allowed(machine, number, first, second) -> None:
    if judge(machine, number, first, second) != ALLOW:
        for network in (True, False):
            program = guarded_filter(machine, network=network)
            assert judge(machine, number, first, second, program=program) != ALLOW


def test_a_processor_without_a_filter_is_named() -> None:
    assert not supported("pdp11")
    with pytest.raises(Unavailable, match="'pdp11'"):
        filter_program("pdp11")
