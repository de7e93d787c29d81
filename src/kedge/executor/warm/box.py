"""The namespaces in which a zygote lives, and the three processes that hold them.

    first    makes the mounts, then the user namespace of all below, in which those are locked; the first
             process of its process namespace: with it, the kernel kills all that is in the box
    init     first process of the box's own process namespace, light and trusted: starts the zygote, and
             the first process of each slot
    zygote   the interpreter that imports the module, or for programs this one: three capabilities, one use
             for them

They are forks of the keeper. Nothing of any call is to be seen here.
"""

import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final, NoReturn

from kedge.data import Data
from kedge.executor.plan import Entry
from kedge.executor.warm import becoming, kernel, messages, mounting, slot
from kedge.executor.warm.places import LINE

HOSTNAME: Final = "kedge"

# By this interpreter and by the keeper, and a program would go on to.
IGNORED: Final = (
    *(signal.SIGPIPE, signal.SIGXFSZ),
    *(signal.SIGHUP, signal.SIGINT, signal.SIGTERM),
)


class Program(Data):
    """What becomes the zygote.

    Args:
        argv: the interpreter, the runner and what it is told; empty for forks that become programs.
        variables: all of its environment.
        limits: RLIMIT_* → (soft, hard).
        mask: what its files and folders may not be, see umask(2).
        rules: its system-call filter.
        entered: that of a fork which becomes a program.
    """

    argv: tuple[str, ...]
    variables: dict[str, str]
    limits: dict[int, tuple[int, int]]
    mask: int
    rules: bytes
    entered: bytes = b""


class Started(Data):
    """A box that was started.

    Args:
        first: the number of its first process, which is also the keeper's child.
        ended: a descriptor that is readable once that has ended.
        control: the line to its init, by which slots are asked for.
        line: the line to the zygote, which first says `born` and waits.
    """

    first: int
    ended: int
    control: socket.socket
    line: socket.socket


def start(
    root: str,
    entries: list[Entry],
    uid: int,
    account: tuple[int, int],
    program: Program,
    *,
    network: bool,
) -> Started:
    """Make a box.

    Args:
        root: an empty folder to mount at; only this box will see what is there.
        entries: its mounts.
        uid: the user and group number inside.
        account: which user and which group of this process's user namespace that is.
        program: what becomes its zygote.
        network: whether it shares this process's network.

    Raises:
        OSError: the kernel refuses; what it refused is on standard error.
    """
    control, inner_control = messages.pair(told_who=True)
    line, inner_line = messages.pair(told_who=True)
    middle = os.fork()
    if middle == 0:
        _or_end(_begin, root, entries, uid, inner_control, inner_line, program, network)
    inner_control.close()
    inner_line.close()
    os.waitpid(middle, 0)
    try:
        said, first = messages.words(control)
        if said != [b"map"]:
            raise OSError(None, "the box could not be made")
        ended = os.pidfd_open(first)
    except OSError:
        control.close()
        line.close()
        raise
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {account[0]} 1"),
        ("gid_map", f"{uid} {account[1]} 1"),
    ):
        with open(f"/proc/{first}/{name}", "w") as file:
            file.write(text)
    control.send(b"mapped")
    return Started(first, ended, control, line)


def _or_end(do: Any, *arguments: Any) -> NoReturn:
    """Call what does not return, and end this process if it does."""
    try:
        do(*arguments)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
    os._exit(1)


def _begin(
    root: str,
    entries: list[Entry],
    uid: int,
    control: socket.socket,
    line: socket.socket,
    program: Program,
    network: bool,
) -> None:
    _close_all_but(control.fileno(), line.fileno())
    os.umask(0o022)  # what is mounted can be seen, whatever the caller's files are to be
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWPID)
    if os.fork():
        os._exit(0)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    mounting.make_root(root, entries)
    # All mounts so far are locked for those inside: none can be taken away to look at what is below.
    spaces = os.CLONE_NEWUSER | os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC
    spaces |= os.CLONE_NEWUTS | os.CLONE_NEWCGROUP
    os.unshare(spaces if network else spaces | os.CLONE_NEWNET)
    kernel.let_be_seen()
    control.send(b"map")
    if control.recv(16) != b"mapped":
        return
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    socket.sethostname(HOSTNAME)
    if os.fork() == 0:
        _or_end(_init, control, line, program, network)
    control.close()
    line.close()
    kernel.keep_capabilities()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Let go of what this fork has of its parent's: as long as it were open here, nobody would see its end."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):  # the one that listed the folder
                os.close(int(name))


def _init(control: socket.socket, line: socket.socket, program: Program, network: bool) -> None:
    mounting.mount_processes("/proc")
    if os.fork() == 0:
        control.close()
        _or_end(_become_zygote, line, program)
    line.close()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    while True:
        message = messages.receive(control)
        if message is None:
            return  # the keeper has gone: with this process, the kernel kills all in the box
        (shown, memory_mb), (descriptor,) = message
        os.unshare(os.CLONE_NEWPID)
        if os.fork() == 0:
            control.close()
            os.close(own)
            _or_end(slot.serve, socket.socket(fileno=descriptor), shown, memory_mb, network)
        os.setns(own, os.CLONE_NEWPID)
        os.close(descriptor)


def _become_zygote(line: socket.socket, program: Program) -> None:
    line.send(b"born")
    if line.recv(16) != b"go":
        return
    for limit, values in program.limits.items():
        resource.setrlimit(limit, values)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor in (1, 2):  # read back once the module is imported
        os.dup2(os.memfd_create("output"), descriptor)
    os.dup2(line.fileno(), LINE)
    _close_all_but(LINE)
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    os.umask(program.mask)
    kernel.no_new_privileges()
    kernel.keep_capabilities(kernel.CAP_SYS_ADMIN, kernel.CAP_SYS_CHROOT, kernel.CAP_SETPCAP)
    kernel.filter_system_calls(program.rules)
    if not program.argv:
        kernel.let_be_seen()  # as what was executed can be
        becoming.serve(LINE, program.entered)
        return
    os.execve(program.argv[0], program.argv, program.variables)
