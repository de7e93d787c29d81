"""Inside a box: has imported the handler's module once, and forks one process for each call.

Loaded by the runner (`runner.py zygote INSTRUCTIONS`), so that `__main__` is what it is in any other run.
Standard library only, nothing of Kedge, Python 3.8 and newer. It has three capabilities, in a user namespace of
its own and behind a filter that leaves them one use: to enter the namespaces of a call. A call has none.

Nothing said here is believed outside: the keeper looks at a call through /proc before it trusts it.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import os
import select
import socket
import struct
import sys
from abc import ABC, abstractmethod
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

    Restore = Callable[[], object]

NEW_PROCESSES = 0x20000000  # CLONE_NEWPID
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS

PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP, PR_CAPBSET_DROP = 4, 15, 22, 24
SECCOMP_MODE_FILTER = 2
F_GETFL = 3
CAPABILITY_VERSION_3 = 0x20080522
SAID_LIMIT = 1 << 20  # bytes that importing the module wrote, and every call's log begins with
DESCRIPTORS_LIMIT = (
    16  # in one message: namespaces, the call's line, its streams, entrances of control groups
)
CHUNK = 1 << 16
WNOHANG = 1
LINGER = 20000  # microseconds
LARGE_PAGE, MADV_COLLAPSE = 1 << 21, 25

LIBC = ctypes.CDLL(None, use_errno=True)
HELD = ctypes.PyDLL(None)  # its functions are called with the interpreter's lock held
SIGTERM, SIGCHLD = 15, 17


def main(runner: ModuleType, instructions: dict[str, Any], loaded: set[str]) -> int:
    """Imports, says so, and forks when it is told to; returns when the keeper has gone.

    `instructions` are `line`, the descriptor of the keeper's; `module`, what to import; `filter`, a call's own
    system-call filter in hexadecimal; `threads`, variables that say how many its numerical libraries may have;
    `withheld`, variables that only calls have. `loaded` are the modules that any run has before it imports.
    """
    with socket.socket(fileno=instructions["line"]) as line:
        os.set_inheritable(line.fileno(), False)
        seeds = Seeds(runner)
        runner.standard("pathlib")  # which the runner wants for nearly every function with files
        make_room(runner.WORKSPACE, loaded)
        runner.CANCEL.arm()  # what is imported finds it, and may have its own way to end
        os.chdir(runner.WORKSPACE)
        sys.path.insert(0, runner.WORKSPACE)
        variables = Variables(instructions["withheld"])
        try:
            __import__(instructions["module"])
        except BaseException:
            # A run of its own says why, in full.
            line.send(b"asked" if variables.asked else b"failed")
            return 1
        finally:
            seeds.close()
            variables.close()
        if variables.asked:
            line.send(b"asked")
            return 1
        for left, has_left in LEFT_UNSEEN.items():
            if has_left():
                line.send(left)
                return 1
        runner.flush_streams()
        LIBC.fflush(None)
        put_back = wait_for_forks()
        gc.unfreeze()  # the module may have done that itself, and what is frozen is not found
        libraries = Libraries()
        libraries.use_threads({**instructions["threads"], **variables.changed})
        rules = bytes.fromhex(instructions["filter"])
        call = Call(runner, rules, line.fileno(), variables, [put_back, *seeds.found()], libraries)
        gc.collect()
        gc.freeze()
        gc.disable()
        use_large_pages()
        line.send(b"ready")
        serve(line, call)
    return 0


def use_large_pages() -> None:
    """Has the kernel keep what this process wrote in large pages, where it can (Linux 6.1).

    Each fork has fewer of them to note when it begins and to let go when it ends: with numpy and scipy that is
    half a millisecond at either end.
    """
    madvise = LIBC.madvise
    madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    with open("/proc/self/maps", errors="replace", newline="\n") as file:
        lines = [line.split() for line in file]
    for line in lines:
        if line[1] == "rw-p" and not line[-1].startswith("/"):
            first, last = [int(one, 16) for one in line[0].split("-")]
            for place in range(
                -(-first // LARGE_PAGE) * LARGE_PAGE, last - LARGE_PAGE + 1, LARGE_PAGE
            ):
                madvise(place, LARGE_PAGE, MADV_COLLAPSE)


def has_timer() -> bool:
    """Whether one of the process's three timers runs; no fork would have it."""
    getitimer = __import__("_signal").getitimer
    return any(getitimer(timer) != (0, 0) for timer in range(3))


def has_system_v() -> bool:
    """Whether there are semaphores, queues or memory of System V; a fork has a namespace of its own for them.

    The kernel shows them to those who are in the namespace.
    """
    for name in ("sem", "msg", "shm"):
        try:
            with open("/proc/sysvipc/" + name) as file:
                if len(file.readlines()) > 1:  # below the names of its columns
                    return True
        except OSError:  # a kernel without them
            continue
    return False


LEFT_UNSEEN = {
    b"timer": has_timer,
    b"system-v": has_system_v,
}  # that the keeper does not see from outside


def make_room(workspace: str, loaded: set[str]) -> None:
    """Forgets modules that were loaded for this program and stand in the package's way."""
    own = {name.partition(".")[0] for name in sys.modules} - loaded
    for name in own:
        path = os.path.join(workspace, name)
        if os.path.exists(path + ".py") or os.path.isdir(path):
            for found in [one for one in sys.modules if one == name or one.startswith(name + ".")]:
                del sys.modules[found]


# ---- forking ------------------------------------------------------------------------------------------


def serve(line: socket.socket, call: Fork) -> None:
    """Forks a process for each message, and tells how each ended."""
    own = -1  # opened later: what is open at first was left by the import
    children: dict[int, tuple[int, int, bytes]] = {}
    poll = select.poll()
    poll.register(line, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != line.fileno():
                poll.unregister(descriptor)
                line.send(ending(*children.pop(descriptor)))
                os.close(descriptor)
                continue
            said, descriptors = received(line)
            if not said:
                return
            name, _, entrances = said.partition(b" ")
            if own < 0:
                own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            process, counts = forked(own, descriptors, int(entrances), call)
            if process < 0:
                continue  # the keeper sees that nobody is at the call's line
            ended = checked(LIBC.syscall(434, process, 0))  # pidfd_open
            children[ended] = process, counts, name
            poll.register(ended, select.POLLIN)


def wait_for_forks() -> Restore:
    """Sees that the ends of forks wait to be asked for, whatever the module does when its children end.

    Returns what puts that back, for a call; what Python knows of it stays as it is.
    """
    own = ctypes.create_string_buffer(SIGACTION_SIZE)  # the default, and no flags
    found = ctypes.create_string_buffer(SIGACTION_SIZE)
    checked(LIBC.sigaction(SIGCHLD, own, found))
    return partial(LIBC.sigaction, SIGCHLD, found, None)


def received(line: socket.socket) -> tuple[bytes, list[int]]:
    """A call's name with the number of its control groups, and its descriptors."""
    size = struct.calcsize("i")
    said, ancillary, _, _ = line.recvmsg(
        64, socket.CMSG_SPACE(DESCRIPTORS_LIMIT * size), socket.MSG_CMSG_CLOEXEC
    )
    found: list[int] = []
    for _, _, data in ancillary:
        found += struct.unpack("{}i".format(len(data) // size), data[: len(data) // size * size])
    return said, found


def forked(own: int, descriptors: list[int], entrances: int, call: Fork) -> tuple[int, int]:
    """Forks into the process namespace that is the first of `descriptors`: the process, and its counts, open.

    Both are -1 if the kernel refuses, and the counts if the fork ended before it was ready. It is not ready until
    they are open: the counts of what has ended can only be opened by the administrator.
    """
    waiting, opened = os.pipe()  # the fork waits until the other end is closed
    checked(LIBC.setns(descriptors[0], NEW_PROCESSES))
    try:
        process = os.fork()
    except OSError:
        process = -1
    if process == 0:
        try:
            os.close(opened)
            call.become(waiting, descriptors[1:], entrances)
        finally:
            os._exit(70)
    checked(LIBC.setns(own, NEW_PROCESSES))
    try:
        counts = os.open("/proc/{}/io".format(process), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        counts = -1
    for descriptor in (waiting, opened, *descriptors):
        os.close(descriptor)
    return process, counts


def ending(process: int, counts: int, name: bytes) -> bytes:
    """How a call ended and what it used, as words.

    They are its name, its wait status, microseconds of CPU, KiB of memory at most, bytes read, bytes written.
    """
    read = written = b"0"
    if counts >= 0:
        read, written = [line.split()[1] for line in os.read(counts, 4096).splitlines()[:2]]
        os.close(counts)
    status, usage = ctypes.c_int(), ctypes.create_string_buffer(RUSAGE.size)
    # Not os.wait4, which imports `resource`: that may be the package's own.
    checked(LIBC.wait4(process, ctypes.byref(status), 0, usage))
    seconds, more, system_seconds, system_more, memory = RUSAGE.unpack(usage.raw)
    microseconds = (seconds + system_seconds) * 1000000 + more + system_more
    figures = [str(one).encode() for one in (status.value, microseconds, memory)]
    return b" ".join([name, *figures, read, written])


def wait_for_the_end(name: str) -> None:
    """Takes this name and closes all that is open, by which those outside see that nothing is left to be done.

    They end it, and need not wait until the kernel has taken the process apart, which takes longer than many a call.
    Nobody does where there are, or were, threads or children: what those used is known only later.
    """
    children = ctypes.create_string_buffer(RUSAGE.size)
    checked(LIBC.getrusage(-1, children))
    is_alone = LIBC.waitpid(-1, None, WNOHANG) < 0 and not RUSAGE.unpack(children.raw)[-1]
    if is_alone and len(os.listdir("/proc/self/task")) == 1:
        checked(LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0))
        close_others(set())
        LIBC.usleep(LINGER)


# struct rusage: user and system time, KiB of memory at most, and 13 more.
RUSAGE = struct.Struct("5l104x")
SIGACTION_SIZE = 256  # at least that of struct sigaction


def checked(returned: int) -> int:
    """What a call of the C library returned, unless that means that it failed."""
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return returned


# ---- one call -----------------------------------------------------------------------------------------


class Fork(ABC):
    """What becomes of a fork, whatever it is to do; what all of them need is made before any is forked.

    `rules` are the system-call filter of a call, `own_line` the descriptor that no fork keeps.
    """

    def __init__(self, rules: bytes, own_line: int) -> None:
        # The streams, and what the keeper lets pass: libraries that their own code holds open.
        self.kept = set(descriptors_open()) - {own_line}
        self.code = ctypes.create_string_buffer(rules, len(rules))
        address = ctypes.addressof(self.code)
        self.rules = struct.pack("@HP", len(rules) // 8, address)  # struct sock_fprog
        self.capabilities = capabilities_left()

    def become(self, waiting: int, descriptors: list[int], entrances: int) -> None:
        """In the fork: enters the call's groups and namespaces, gives up everything, and makes the call when told to.

        It is ready once `waiting` is closed at the other end. `descriptors` are the line to whoever makes the
        call, the two streams, as many `entrances` of its control groups, and the namespaces with that of mounts
        as the last one. Does not return.
        """
        line, stdout, stderr = descriptors[:3]
        os.write(line, b"joined" if joined(descriptors[3 : 3 + entrances]) else b"born")
        if os.read(line, 16) != b"enter":
            os._exit(0)
        for space in descriptors[3 + entrances :]:
            checked(LIBC.setns(space, 0))
        self.give_up()
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        close_others({*self.kept, line, waiting})
        for descriptor in self.kept - {1, 2}:
            open_again(descriptor)
        self.prepare()
        os.read(waiting, 1)
        os.close(waiting)
        os.write(line, b"ready")  # and is looked at
        self.make(told(line), line)

    def give_up(self) -> None:
        """Every capability, and every way to get one or to go elsewhere."""
        for capability in self.capabilities:
            control(PR_CAPBSET_DROP, capability)
        number = 126 if os.uname().machine == "x86_64" else 91  # capset
        head = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
        checked(LIBC.syscall(number, head, bytes(24)))
        checked(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self.rules, 0, 0))
        control(PR_SET_DUMPABLE, 1)

    @abstractmethod
    def prepare(self) -> None:
        """What a call needs and nobody has to have asked for: done before somebody waits for it."""

    @abstractmethod
    def make(self, data: bytes, line: int) -> None:
        """The call that was ordered. Does not return."""


def joined(entrances: list[int]) -> bool:
    """Whether this process has come into its control groups by these; else it is brought there."""
    try:
        for entrance in entrances:
            os.write(entrance, b"0")
    except OSError:  # a kernel that asks who writes, and not who has opened it (before Linux 5.16)
        return False
    return bool(entrances)


def told(line: int) -> bytes:
    """What is to be done: its length, then as many packets as it takes."""
    size, data = int(os.read(line, 32) or b"0"), b""
    if not size:
        os._exit(0)  # nobody wants this call any more
    while len(data) < size:
        chunk = os.read(line, CHUNK)
        if not chunk:
            os._exit(0)
        data += chunk
    return data


class Call(Fork):
    """A call of a function, by the process that has imported it."""

    def __init__(
        self,
        runner: ModuleType,
        rules: bytes,
        own_line: int,
        variables: Variables,
        restore: list[Restore],
        libraries: Libraries,
    ) -> None:
        super().__init__(rules, own_line)
        self.runner = runner
        self.variables = variables
        self.restore = restore
        self.collects = gc.isenabled()
        self.folder = os.getcwd()
        self.signal: Any = __import__("_signal")
        self.arrived = self.signal.getsignal(SIGTERM)
        self.finalized = Finalized(len(self.kept))
        self.said = [os.pread(descriptor, SAID_LIMIT, 0) for descriptor in (1, 2)]
        self.libraries = libraries

    def prepare(self) -> None:
        """What a call needs and nobody has to have asked for: done before somebody waits for it."""
        self.signal.signal(SIGTERM, self.arrived)  # forks of what a run starts end by it
        for restore in self.restore:
            restore()
        # To no effect but that the memory which a call begins and ends with is this process's own by then, and
        # the kernel need not copy it while somebody waits.
        runner = self.runner
        self.variables.look()
        self.variables.become(self.variables.known)
        runner.read_json(runner.write_json({"numbers": [0.5, 1], "text": "", "nothing": None}))
        with open(os.devnull, encoding="utf-8") as file:
            file.read()
        with open(os.devnull, "wb") as file:
            file.write(b"0")
        caller = sys.modules.get(runner.CALLER)
        if caller is not None:
            caller.prepare()

    def make(self, data: bytes, line: int) -> None:
        """The call, and all that an interpreter does before it ends. Does not return."""
        order: dict[str, Any] = self.runner.read_json(data.decode())
        os.close(line)
        self.variables.become(order["env"])
        os.chdir(self.folder)
        for descriptor, said in zip((1, 2), self.said):
            while said:
                said = said[os.write(descriptor, said) :]
        if self.collects:
            gc.enable()
        code = 1
        try:
            code = self.runner.run(order["instructions"])
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            self.end(code, order["done"])

    def end(self, code: int, done: str) -> None:
        """What an interpreter does before its process ends. Does not return.

        It waits for threads, calls what is registered for the end, and closes files that were left open. It
        does not take all modules apart, which takes longer than many a call.
        """
        try:
            threading = sys.modules.get("threading")
            if threading is not None:
                quietly(threading._shutdown)
            quietly(atexit._run_exitfuncs)
            self.runner.flush_streams()
            self.finalized.finalize()
            self.runner.flush_streams()
        finally:
            self.libraries.end(code, done)


class Variables:
    """What the import of a module does to the environment, and asks of it that only calls have."""

    def __init__(self, withheld: list[str]) -> None:
        asked: list[str] = []
        given: set[str] = set()
        self.asked, self.given = asked, given
        self.before = dict(os.environ)
        self.changed: dict[str, str] = {}
        self.removed: list[str] = []
        self.known: dict[str, str] = {}
        kind: Any = type(os.environ)
        self.kind = kind

        class Watched(kind):  # type: ignore[misc]
            """Notes who asks for what is withheld, and what is set, if only to what it was."""

            def __getitem__(self, name: str) -> str:
                if name in withheld:
                    asked.append(name)
                found: str = super().__getitem__(name)
                return found

            def __setitem__(self, name: str, value: str) -> None:
                super().__setitem__(name, value)
                given.add(name)

        os.environ.__class__ = Watched

    def close(self) -> None:
        """Puts back what was there, and keeps what has changed."""
        os.environ.__class__ = self.kind
        now = dict(os.environ)
        self.changed = {name: now[name] for name in now if name in self.given}
        self.removed = [name for name in self.before if name not in now]

    def look(self) -> None:
        """Notes what the environment is now: to ask it takes longer."""
        self.known = dict(os.environ)

    def become(self, given: dict[str, str]) -> None:
        """Makes the environment that of a call, changed as the import did; most of it is there already."""
        wanted = {**given, **self.changed}
        for name in self.removed:
            wanted.pop(name, None)
        for name in self.known.keys() - wanted.keys():
            del os.environ[name]
        for name, value in wanted.items():
            if self.known.get(name) != value:
                os.environ[name] = value


def capabilities_left() -> list[int]:
    """Those that this process, or what it executes, could still have."""
    with open("/proc/self/status") as file:
        bounding = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return [number for number in range(bounding.bit_length()) if bounding >> number & 1]


def close_others(kept: set[int]) -> None:
    """Closes all that is open but these."""
    first = 0
    for one in sorted(kept):
        if first < one:
            checked(LIBC.syscall(436, first, one - 1, 0))  # close_range
        first = one + 1
    checked(LIBC.syscall(436, first, ctypes.c_uint(0xFFFFFFFF), 0))


def open_again(descriptor: int) -> None:
    """Opens what is open once more, in its place.

    What is inherited has its flags, its position and its locks in common with that of every other call.
    """
    flags = checked(LIBC.fcntl(descriptor, F_GETFL))
    own = os.open("/proc/self/fd/{}".format(descriptor), flags | os.O_CLOEXEC)
    os.lseek(own, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(own, descriptor, os.get_inheritable(descriptor))
    os.close(own)


def descriptors_open() -> list[int]:
    """The numbers of all that is open."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            os.fstat(number)
        except OSError:  # the one that listed the folder
            continue
        found.append(number)
    return found


class Finalized:
    """Objects made by the import that have something to do when they go: a `__del__`.

    `opened` is how many descriptors a call finds open.
    """

    def __init__(self, opened: int) -> None:
        self.opened = opened
        reference = __import__("_weakref").ref
        self.found = []
        for one in gc.get_objects():
            if not isinstance(one, io.IOBase) and has_finalizer(one):
                try:
                    self.found.append(reference(one))
                except TypeError:  # its class has no room for that
                    continue

    def finalize(self) -> None:
        """Has them do it, and what the call has made if it left anything open."""
        found = [one() for one in self.found]
        if len(descriptors_open()) > self.opened:
            found += [one for one in gc.get_objects() if has_finalizer(one)]
        for one in filter(is_plain_file, found):  # before any is closed that others write through
            quietly(partial(type(one).flush, one))
        # Plain files last, into which others write to the end: an archive its table of contents.
        for one in sorted(found, key=is_plain_file):
            if one is not None:
                quietly(partial(type(one).__del__, one))


def has_finalizer(one: object) -> bool:
    """Whether an object is a file, or of a class that has a `__del__` in Python."""
    kind = type(one)
    try:
        return issubclass(kind, io.IOBase) or type(getattr(kind, "__del__", None)) is FUNCTION
    except Exception:  # a class of classes with answers of its own
        return False


FUNCTION = type(has_finalizer)


def is_plain_file(one: object) -> bool:
    """Whether an object is a file of one of the kinds that `open` makes."""
    return type(one).__module__ == "_io"


def quietly(do: Callable[[], object]) -> None:
    """Does it, whatever comes of it."""
    try:
        do()
    except BaseException:
        return


def control(option: int, value: int) -> None:
    """prctl(2) of one number."""
    words = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    checked(LIBC.prctl(option, *words))


# ---- what a fork must not share -----------------------------------------------------------------------


class Libraries:
    """The libraries in C that the import loaded, as far as calls have to do with them."""

    def __init__(self) -> None:
        paths = mapped_files()
        # What sets the number of threads of those that were loaded with one thread each, by the variable
        # that says so.
        self.pools = [
            (variable, function(path, name))
            for path in paths
            for known, variable in WITH_POOLS.items()
            if known in os.path.basename(path)
            for name in POOL_SETTERS
        ]
        self.flushes = [
            function(path, "_gfortran_flush_i4") for path in paths if "libgfortran" in path
        ]
        self.are_quiet = all(map(is_quiet, paths))
        self.count = libraries_loaded()

    def use_threads(self, variables: dict[str, str]) -> None:
        """Lets those that were loaded with one thread each have as many as calls may have.

        OpenBLAS starts them at once. It ends them before a fork, and there starts them when there is work for
        them: so this is done before the first call, with a fork for nothing, and not in each call, where they
        would take milliseconds and then wait for work by spinning.
        """
        begun = False
        for variable, pool in self.pools:
            number = variables[variable]
            if pool is not None and number.isdecimal() and int(number) > 1:
                pool(int(number))
                begun = True
        if not begun:
            return
        process = os.fork()
        if process == 0:
            os._exit(0)
        os.waitpid(process, 0)

    def end(self, code: int, done: str) -> None:
        """Has them write out what they keep, and ends the process.

        `exit` takes all of them apart, 8 ms where scipy is loaded: so it is left out where that is known to
        do nothing. No thread may run Python meanwhile. If all went well the process is called `done` before.
        """
        if not self.are_quiet or libraries_loaded() != self.count:
            HELD.exit(code)
        for flush in filter(None, self.flushes):
            flush(None)
        LIBC.fflush(None)
        if code == 0 and done:
            quietly(partial(wait_for_the_end, done))
        os._exit(code)


WITH_POOLS = {
    "openblas": "OPENBLAS_NUM_THREADS",
    "mkl_rt": "MKL_NUM_THREADS",
    **dict.fromkeys(("gomp", "iomp", "libomp"), "OMP_NUM_THREADS"),
}

# OpenBLAS under the names by which it is built into the wheels of numpy and scipy, MKL, OpenMP. The names
# with one more underscore are Fortran's: they take addresses.
POOL_SETTERS = [
    *(
        "{}openblas_set_num_threads{}".format(before, after)
        for before in ("", "scipy_")
        for after in ("", "64_", "_64")
    ),
    "MKL_Set_Num_Threads",
    "omp_set_num_threads",
]

# What has nothing to do at the end but to write out buffers, by folder and by name.
QUIET_FOLDERS = ("numpy", "numpy.libs", "scipy", "scipy.libs")
QUIET_LIBRARIES = [
    "ld",
    "libbz2",
    "libc",
    "libcrypto",
    "libdl",
    "libexpat",
    "libffi",
    "libgcc_s",
    "liblzma",
    "libm",
    "libmpdec",
    "libpthread",
    "librt",
    "libsqlite3",
    "libssl",
    "libstdc++",
    "libutil",
    "libuuid",
    "libz",
    "libzstd",
]


def is_quiet(path: str) -> bool:
    """Whether a file is no library that has something of its own to do at the end."""
    name = os.path.basename(path)
    if ".so" not in name:
        return True  # the interpreter, and data
    _, found, below = path.rpartition("/site-packages/")
    if found:
        return below.partition("/")[0] in QUIET_FOLDERS
    own = name.startswith("libpython") or path.startswith(os.path.dirname(os.__file__) + "/")
    return own or name.partition(".")[0].partition("-")[0] in QUIET_LIBRARIES


def mapped_files() -> list[str]:
    """The files that are mapped, as libraries are."""
    with open("/proc/self/maps", errors="surrogateescape", newline="\n") as file:
        found = {text.rstrip("\n").partition("/")[2] for text in file}
    return sorted("/" + path for path in found if path)


def function(path: str, name: str) -> Any:
    """A function without a value of a library that is loaded; None if it has none of that name."""
    found = getattr(ctypes.CDLL(path), name, None)
    if found is not None:
        found.restype = None
    return found


def libraries_loaded() -> int:
    """How many libraries have been loaded so far, in its lowest 32 bits."""
    return int(LIBC.dl_iterate_phdr(LOADS, None))


@ctypes.CFUNCTYPE(  # type: ignore[untyped-decorator]
    ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
def LOADS(info: int, _size: int, _data: int) -> int:  # noqa: N802
    """The number that comes with the first library; as it is not 0, no other is looked at."""
    return ctypes.c_int.from_address(info + 32).value  # dlpi_adds, where pointers have 8 bytes


class Seeds:
    """Which random generators the import of a module seeds from the operating system.

    Two calls must not draw the same numbers from those: a fork has its parent's state. Generators that were
    seeded deliberately keep their state, as in a process that has just imported the module.
    """

    def __init__(self, runner: ModuleType) -> None:
        self.random = random = runner.standard("random")
        self.secrets = secrets = runner.standard("secrets")
        self.own = {id(random._inst): False}  # generator → whether it was seeded deliberately
        self.states: set[int] = set()  # that were asked of others, by their hashes
        self.drawn: set[int] = set()  # from the operating system, of which numpy makes seeds
        self.is_over = False
        kind = random.Random
        self.before = kind.seed, kind.getstate, kind.setstate, secrets.randbits
        seed, getstate, setstate, randbits = self.before

        def seed_seen(generator: Any, a: Any = None, version: int = 2) -> None:
            seed(generator, a, version)
            self.own[id(generator)] = a is not None

        def getstate_seen(generator: Any) -> Any:
            state = getstate(generator)
            if not self.is_over and not self.own.get(id(generator)):
                self.states.add(hash(state[1]))
            return state

        def setstate_seen(generator: Any, state: Any) -> None:
            setstate(generator, state)
            # What is put back, or copied, is as good as it was.
            self.own[id(generator)] = hash(state[1]) not in self.states

        def randbits_seen(bits: int) -> int:
            number: int = randbits(bits)
            if not self.is_over:
                self.drawn.add(number)
            return number

        self.patch(seed_seen, getstate_seen, setstate_seen, randbits_seen)

    def patch(self, seed: Any, getstate: Any, setstate: Any, randbits: Any) -> None:
        """Has these called in place of what has their names."""
        kind, own = self.random.Random, self.random._inst
        kind.seed, kind.getstate, kind.setstate = seed, getstate, setstate
        self.random.seed, self.random.getstate, self.random.setstate = (
            own.seed,
            own.getstate,
            own.setstate,
        )
        self.secrets.randbits = randbits

    def close(self) -> None:
        """Puts back what was there."""
        self.is_over = True
        self.patch(*self.before)

    def found(self) -> list[Restore]:
        """What gives each generator that is there the state that it has in a process of its own."""
        kind, own = self.random.Random, self.random._inst
        found: list[Restore] = []
        if self.own[id(own)]:  # which Python itself reseeds in every fork
            found.append(partial(own.setstate, own.getstate()))
        objects = gc.get_objects()
        made = [one for one in objects if issubclass(type(one), kind) and one is not own]
        found += [one.seed for one in made if not self.own.get(id(one))]
        # The seed that torch draws by itself is larger than any that a person thinks of.
        generator: Any = getattr(sys.modules.get("torch"), "default_generator", None)
        if generator is not None and generator.initial_seed() >> 32:
            found.append(generator.seed)
        module = sys.modules.get("numpy.random")
        return found if module is None else found + Numpy(module, self.drawn).found(objects)


class Numpy:
    """numpy's generators, of which each has a sequence that it was seeded by, and the sequences.

    `drawn` are the numbers that came from the operating system.
    """

    def __init__(self, module: ModuleType, drawn: set[int]) -> None:
        self.module: Any = module
        self.drawn = drawn

    def found(self, objects: list[Any]) -> list[Restore]:
        """What gives those that were not seeded deliberately a new state."""
        module = self.module
        sequences, states, gausses = [], [], []
        for one in objects:
            kind = type(one)
            if issubclass(kind, module.SeedSequence) and self.is_drawn(one):
                sequences.append(partial(renew_sequence, one))
            elif issubclass(kind, module.BitGenerator) and self.is_unseeded(one):
                states.append(partial(renew_state, one))
            elif issubclass(kind, module.RandomState) and self.is_unseeded(one._bit_generator):
                gausses.append(partial(forget_gauss, one))
        return [*sequences, *states, *gausses]  # several generators may have one sequence

    def is_drawn(self, sequence: Any) -> bool:
        """Whether there is something of the operating system in a sequence."""
        entropy = getattr(sequence, "entropy", None)
        numbers = entropy if isinstance(entropy, (list, tuple)) else [entropy]
        return any(isinstance(one, int) and one in self.drawn for one in numbers)

    def is_unseeded(self, generator: Any) -> bool:
        """Whether a generator has its state from the operating system, also if it has drawn numbers since."""
        kind, sequence = type(generator), sequence_of(generator)
        if self.is_drawn(sequence) and (
            kind.__name__ not in LASTING or lasting(generator) == lasting(kind(sequence))
        ):
            return True
        if kind.__name__ not in LASTING and sequence is not None:
            return False  # of these nobody can tell whether another state was given to one
        # It was seeded the old way, or its state was put back, or that of another was given to it.
        others = (number for number in self.drawn if number >> 64)  # which no person thinks of
        return any(lasting(generator) == lasting(kind(number)) for number in others)


# What drawing does not change in a generator's state; of the last one it is only so for the first 624 words.
LASTING = {"PCG64": "inc", "PCG64DXSM": "inc", "Philox": "key"}


def lasting(generator: Any) -> Any:
    """That part, in a form that can be compared."""
    found = generator.state["state"][LASTING.get(type(generator).__name__, "key")]
    return found.tolist() if hasattr(found, "tolist") else found


def sequence_of(generator: Any) -> Any:
    """That which has seeded a generator; None after `numpy.random.seed`."""
    # The attribute had an underscore before numpy 1.25.
    return getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)


def renew_sequence(sequence: Any) -> None:
    """Takes other entropy for a sequence, which may be asked for children."""
    vars(type(sequence))["__init__"](sequence, pool_size=sequence.pool_size)


def renew_state(generator: Any) -> None:
    """Gives a generator the state that its sequence, or else new entropy, gives it."""
    generator.state = type(generator)(sequence_of(generator)).state


def forget_gauss(state: Any) -> None:
    """Forgets the second of two numbers that were drawn together."""
    known = state.get_state(legacy=False)
    state.set_state({**known, "has_gauss": 0, "gauss": 0.0})
