"""Whether a program can be started, said before it is tried, in a sentence that names the reason.

What starts a program inside a sandbox can only report a number, and 127 may as well be the program's own.
"""

import os
import posixpath
import stat
import struct
from collections.abc import Callable, Iterable, Mapping

from kedge.errors import StartFailed

Locate = Callable[[str], str | None]

_LINKS = 40  # as many as the kernel follows before ELOOP

# e_machine of the ELF header for os.uname().machine (elf.h)
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "ppc64le": 21, "s390x": 22}
_ELF_NAMES = {3: "x86 (32 bit)", 40: "ARM (32 bit)", 8: "MIPS"} | {
    number: name for name, number in _ELF_MACHINES.items()
}
_BINFMT = "/proc/sys/fs/binfmt_misc"  # where an emulator for other processors is announced


_MAX_ARGUMENT = 32 * 4096  # MAX_ARG_STRLEN, linux/binfmts.h, with the smallest page there is


def check_program(
    argv: tuple[str, ...],
    variables: Mapping[str, str],
    folder: str,
    locate: Locate,
    *,
    by_others: bool,
) -> None:
    """Raise unless `argv[0]` is a program that can be started.

    Args:
        argv: the program and its arguments.
        variables: its environment; PATH is where a bare name is looked for.
        folder: the working directory as the program sees it.
        locate: from a path as the program sees it to the host's path of the same file.
        by_others: whether somebody other than its owner is to start it.

    Raises:
        StartFailed: it is not found, not executable, for another processor, or cannot be passed on.
    """
    if not argv or not argv[0]:
        raise StartFailed("there is no program to start", hint="give at least a program's name")
    _check_text(argv, variables)
    host = _find(argv[0], variables.get("PATH", ""), folder, locate)
    _check_file(argv[0], host, folder, locate, by_others=by_others)


def check_open(paths: Iterable[str]) -> None:
    """Raise unless everybody may read these files and enter these folders; not said of what is in them.

    Raises:
        StartFailed: one is closed to others than its owner.
    """
    for path in paths:
        mode = os.stat(path).st_mode
        if not mode & (0o001 if stat.S_ISDIR(mode) else 0o004):
            raise StartFailed(
                f"{path!r} is closed to others than its owner, as whom the code does not run",
                hint=f"chmod a+{'rx' if stat.S_ISDIR(mode) else 'r'} it",
            )


def _check_text(argv: tuple[str, ...], variables: Mapping[str, str]) -> None:
    for text in (*argv, *(f"{name}={value}" for name, value in variables.items())):
        try:
            raw = os.fsencode(text)
        except UnicodeEncodeError:
            raw = b"\0"
        if b"\0" in raw:
            raise StartFailed(
                f"{text[:80]!r} cannot be passed to a program",
                hint="take the NUL character or the lone surrogate out of it",
            )
        if len(raw) >= _MAX_ARGUMENT:
            raise StartFailed(
                f"{text[:40]!r}… is {len(raw)} bytes long, more than one argument or variable may be",
                hint=f"the system passes {_MAX_ARGUMENT} bytes at most; put it into a file",
            )
    for name in variables:
        if not name or "=" in name:
            raise StartFailed(
                f"{name!r} is not a name that a variable can have", hint="use letters, digits and _"
            )


def _find(name: str, path: str, folder: str, locate: Locate) -> str:
    if "/" in name:
        places = [posixpath.normpath(posixpath.join(folder, name))]
    else:
        places = [posixpath.join(folder, place, name) for place in path.split(":")]
    first: str | None = None
    for place in places:
        found = _resolve(place, locate)
        if found is None:
            continue
        mode = os.stat(found).st_mode
        if stat.S_ISREG(mode) and mode & 0o111:
            return found
        first = first or found
    if first is not None:
        return first
    raise StartFailed(
        f"the program {name!r} was not found",
        hint=f"it is looked for in {path}"
        if "/" not in name
        else "check that it exists where the run can see it",
    )


def _resolve(path: str, locate: Locate) -> str | None:
    """The host's path of what `path` is to the program, with the links at its end followed as it would."""
    for _ in range(_LINKS):
        host = locate(path)
        if host is None:
            return None
        try:
            target = os.readlink(host)
        except OSError:
            return host if os.path.exists(host) else None
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return None


def _check_file(name: str, host: str, folder: str, locate: Locate, *, by_others: bool) -> None:
    status = os.stat(host)
    if stat.S_ISDIR(status.st_mode):
        raise StartFailed(f"{name!r} is a folder, not a program", hint="give the program in it")
    wanted = 0o001 if by_others else 0o111
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & wanted:
        raise StartFailed(
            f"the program {name!r} is not executable"
            + (
                " for others than its owner, as whom it does not run"
                if status.st_mode & 0o111
                else ""
            ),
            hint=f"chmod {'a+rx' if by_others else '+x'} it, or start it through its interpreter",
        )
    try:
        with open(host, "rb") as file:
            head = file.read(4096)
    except OSError:
        return  # executable but not readable, which is legal: the kernel will tell
    if head.startswith(b"\x7fELF"):
        _check_processor(name, head)
        _check_loader(name, host, locate)
    elif head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].replace(b"\0", b" ").split()
        interpreter = os.fsdecode(words[0]) if words else ""
        if not interpreter or _resolve(posixpath.join(folder, interpreter), locate) is None:
            raise StartFailed(
                f"the program {name!r} asks in its first line for {interpreter!r}, which is not there",
                hint="name an interpreter that the run can see, such as #!/bin/sh",
            )
    else:
        raise StartFailed(
            f"{name!r} is neither a program for this machine nor a script with a #! line",
            hint="add a first line such as #!/bin/sh, or start it through its interpreter",
        )


def _check_processor(name: str, head: bytes) -> None:
    own = os.uname().machine
    order = "<" if head[5:6] == b"\x01" else ">"
    (machine,) = struct.unpack_from(f"{order}H", head.ljust(20, b"\0"), 18)
    if own not in _ELF_MACHINES or machine == _ELF_MACHINES[own] or _emulates():
        return
    raise StartFailed(
        f"the program {name!r} is for {_ELF_NAMES.get(machine, f'processor {machine}')},"
        f" not for this machine's {own}",
        hint="build it for this machine, or run it on one of its own kind",
    )


def _emulates() -> bool:
    try:
        return bool(set(os.listdir(_BINFMT)) - {"register", "status"})
    except OSError:
        return False


def _check_loader(name: str, host: str, locate: Locate) -> None:
    loader = _loader(host)
    if loader is not None and _resolve(loader, locate) is None:
        raise StartFailed(
            f"the program {name!r} needs the loader {loader!r}, which is not there",
            hint="it was built for another system (musl instead of glibc, say)",
        )


def _loader(host: str) -> str | None:
    """The PT_INTERP of a 64-bit little-endian ELF file, None when it has none or is another sort."""
    with open(host, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[4:6] != b"\x02\x01":
            return None
        (table,) = struct.unpack_from("<Q", head, 32)
        entry_size, count = struct.unpack_from("<HH", head, 54)
        if entry_size < 56:
            return None
        file.seek(table)
        headers = file.read(entry_size * count)
        for index in range(len(headers) // entry_size):
            kind, _, offset, _, _, length = struct.unpack_from(
                "<IIQQQQ", headers, index * entry_size
            )
            if kind == 3 and length < 4096:
                file.seek(offset)
                return os.fsdecode(file.read(length).rstrip(b"\0"))
    return None
