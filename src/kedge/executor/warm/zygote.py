"""Inside a box: has imported the handler's module once, and forks one process for each call.

Loaded by the runner (`runner.py zygote INSTRUCTIONS`), so that `__main__` is what it is in any other run.
Standard library only, nothing of Kedge, Python 3.8 and newer. It has three capabilities, in a user namespace of
its own and behind a filter that leaves them one use: to enter the namespaces of a call. A call has none.

Nothing said here is believed outside: the keeper looks at a call through /proc before it trusts it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

    Reseed = Callable[[], object]

NEW_PROCESSES = 0x20000000  # CLONE_NEWPID
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 4, 22, 24
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
SAID_LIMIT = 1 << 20  # bytes that importing the module wrote, and every call's log begins with
DESCRIPTORS_LIMIT = 16  # in one message: namespaces, the call's line, its streams
CHUNK = 1 << 16

LIBC = ctypes.CDLL(None, use_errno=True)


def main(runner: ModuleType, instructions: dict[str, Any]) -> int:
    """Imports, says so, and forks when it is told to; returns when the keeper has gone.

    `instructions` are `line`, the descriptor of the keeper's; `module`, what to import; `filter`, a call's own
    system-call filter in hexadecimal.
    """
    with socket.socket(fileno=instructions["line"]) as line:
        os.set_inheritable(line.fileno(), False)
        seeds = Seeds(runner)
        runner.standard("pathlib")  # which the runner wants for nearly every function with files
        make_room(runner.WORKSPACE)
        sys.path.insert(0, runner.WORKSPACE)
        try:
            __import__(instructions["module"])
        except BaseException:
            line.send(b"failed")  # a run of its own says why, in full
            return 1
        finally:
            seeds.close()
        runner.flush_streams()
        call = Call(runner, bytes.fromhex(instructions["filter"]), seeds.found())
        gc.collect()
        gc.freeze()
        gc.disable()
        line.send(b"ready")
        serve(line, call)
    return 0


def make_room(workspace: str) -> None:
    """Forgets modules of the standard library that were loaded here and stand in the package's way."""
    for name in OWN_MODULES:
        path = os.path.join(workspace, name)
        if os.path.exists(path + ".py") or os.path.isdir(path):
            for loaded in [one for one in sys.modules if one == name or one.startswith(name + ".")]:
                del sys.modules[loaded]


OWN_MODULES = ("ctypes", "gc", "random", "secrets", "select", "socket", "struct")


# ---- forking ------------------------------------------------------------------------------------------


def serve(line: socket.socket, call: Call) -> None:
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
            name, descriptors = received(line)
            if not name:
                return
            if own < 0:
                own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            process = forked(own, descriptors, call)
            ended = checked(LIBC.syscall(434, process, 0))  # pidfd_open
            # Opened now: of what has ended it shows the counts only to those who had asked before.
            counts = os.open("/proc/{}/io".format(process), os.O_RDONLY | os.O_CLOEXEC)
            children[ended] = process, counts, name
            poll.register(ended, select.POLLIN)


def received(line: socket.socket) -> tuple[bytes, list[int]]:
    """A call's name, and its descriptors."""
    size = struct.calcsize("i")
    name, ancillary, _, _ = line.recvmsg(
        64, socket.CMSG_SPACE(DESCRIPTORS_LIMIT * size), socket.MSG_CMSG_CLOEXEC
    )
    found: list[int] = []
    for _, _, data in ancillary:
        found += struct.unpack("{}i".format(len(data) // size), data[: len(data) // size * size])
    return name, found


def forked(own: int, descriptors: list[int], call: Call) -> int:
    """Forks into the process namespace that is the first of `descriptors`."""
    checked(LIBC.setns(descriptors[0], NEW_PROCESSES))
    try:
        process = os.fork()
    except OSError:
        checked(LIBC.setns(own, NEW_PROCESSES))
        raise
    if process == 0:
        try:
            call.become(descriptors[1:])
        finally:
            os._exit(70)
    checked(LIBC.setns(own, NEW_PROCESSES))
    for descriptor in descriptors:
        os.close(descriptor)
    return process


def ending(process: int, counts: int, name: bytes) -> bytes:
    """How a call ended and what it used, as words.

    They are its name, its wait status, microseconds of CPU, KiB of memory at most, bytes read, bytes written.
    """
    read, written = [line.split()[1] for line in os.read(counts, 4096).splitlines()[:2]]
    os.close(counts)
    _, status, used = os.wait4(process, 0)
    microseconds = int((used.ru_utime + used.ru_stime) * 1e6)
    figures = [str(one).encode() for one in (status, microseconds, used.ru_maxrss)]
    return b" ".join([name, *figures, read, written])


def checked(returned: int) -> int:
    """What a call of the C library returned, unless that means that it failed."""
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return returned


# ---- one call -----------------------------------------------------------------------------------------


class Call:
    """What every call needs, made before any is forked."""

    def __init__(self, runner: ModuleType, rules: bytes, reseed: list[Reseed]) -> None:
        self.runner = runner
        self.reseed = reseed
        self.collects = gc.isenabled()
        self.said = [os.pread(descriptor, SAID_LIMIT, 0) for descriptor in (1, 2)]
        self.pools = thread_pools()
        self.code = ctypes.create_string_buffer(rules, len(rules))
        address = ctypes.addressof(self.code)
        self.rules = struct.pack("@HP", len(rules) // 8, address)  # struct sock_fprog
        with open("/proc/sys/kernel/cap_last_cap") as file:
            self.capabilities = range(int(file.read()) + 1)

    def become(self, descriptors: list[int]) -> None:
        """In the fork: enters the call's namespaces, gives up everything, and makes the call when told to.

        `descriptors` are the line to whoever makes the call, the two streams, and the namespaces with that
        of mounts as the last one. Does not return.
        """
        line, stdout, stderr = socket.socket(fileno=descriptors[0]), *descriptors[1:3]
        line.send(b"born")  # and is brought under the call's limits
        if line.recv(16) != b"enter":
            os._exit(0)
        for space in descriptors[3:]:
            checked(LIBC.setns(space, 0))
        self.give_up()
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for opened in map(int, os.listdir("/proc/self/fd")):
            if opened > 2 and opened != line.fileno():
                try:
                    os.close(opened)
                except OSError:  # the one that listed the folder
                    pass
        line.send(b"ready")  # and is looked at
        order = self.order(line)
        line.close()
        os._exit(self.made(order))

    def give_up(self) -> None:
        """Every capability, and every way to get one or to go elsewhere."""
        for capability in self.capabilities:
            control(PR_CAPBSET_DROP, capability)
        number = 126 if os.uname().machine == "x86_64" else 91  # capset
        head = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
        checked(LIBC.syscall(number, head, bytes(24)))
        checked(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self.rules, 0, 0))
        control(PR_SET_DUMPABLE, 1)

    def order(self, line: socket.socket) -> dict[str, Any]:
        """What is to be done: its length, then JSON in as many packets as it takes."""
        size, data = int(line.recv(32) or b"0"), b""
        if not size:
            os._exit(0)  # nobody wants this call any more
        while len(data) < size:
            chunk = line.recv(CHUNK)
            if not chunk:
                os._exit(0)
            data += chunk
        found: dict[str, Any] = self.runner.read_json(data.decode())
        return found

    def made(self, order: dict[str, Any]) -> int:
        """The call, and all that an interpreter does before it ends; the exit code."""
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(self.runner.WORKSPACE)
        for descriptor, said in zip((1, 2), self.said):
            while said:
                said = said[os.write(descriptor, said) :]
        for again in self.reseed:
            again()
        for pool in self.pools:
            pool(order["threads"])
        if self.collects:
            gc.enable()
        code: int = self.runner.run(order["instructions"])
        end_interpreter(self.runner)
        return code


def end_interpreter(runner: ModuleType) -> None:
    """Waits for threads, calls what is registered for the end, and writes out what is buffered."""
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        __import__("atexit")._run_exitfuncs()
    except BaseException:
        runner.say(runner.standard("traceback").format_exc())
    runner.flush_streams()
    io = sys.modules["io"]
    for one in gc.get_objects():  # those made since the fork: files that were left open
        if isinstance(one, io.IOBase):
            try:
                one.flush()
            except Exception:
                continue


def control(option: int, value: int) -> None:
    """prctl(2) of one number."""
    words = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    checked(LIBC.prctl(option, *words))


# ---- what a fork must not share -----------------------------------------------------------------------


def thread_pools() -> list[Callable[[int], object]]:
    """What sets the number of threads of the numerical libraries that were loaded with one thread each."""
    paths = set()
    with open("/proc/self/maps") as file:
        for text in file:
            path = text.rstrip("\n").partition("/")[2]
            name = path.rpartition("/")[2]
            if any(known in name for known in ("openblas", "mkl_rt", "gomp", "iomp", "libomp")):
                paths.add("/" + path)
    found = []
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for name in POOL_SETTERS:
            setter = getattr(library, name, None)
            if setter is not None:
                setter.argtypes, setter.restype = [ctypes.c_int], None
                found.append(setter)
    return found


# OpenBLAS under the names by which it is built into the wheels of numpy and scipy, MKL, OpenMP. With an
# underscore on both sides of 64 it would be the one for Fortran, which takes an address.
POOL_SETTERS = [
    *(
        "{}openblas_set_num_threads{}".format(before, after)
        for before in ("", "scipy_")
        for after in ("", "64_", "_64")
    ),
    "MKL_Set_Num_Threads",
    "omp_set_num_threads",
]


class Seeds:
    """Which random generators the import of a module seeds from the operating system.

    Two calls must not draw the same numbers from those: a fork has its parent's state. Generators that were
    seeded deliberately keep their state, as in a process that has just imported the module.
    """

    def __init__(self, runner: ModuleType) -> None:
        self.random = random = runner.standard("random")
        self.secrets = secrets = runner.standard("secrets")
        self.own = {id(random._inst): False}  # generator → whether it was seeded deliberately
        self.drawn: set[int] = set()  # from the operating system, of which numpy makes seeds
        self.before = (random.Random.seed, random.Random.setstate, secrets.randbits)
        seed, setstate, randbits = self.before

        def seed_seen(generator: Any, a: Any = None, version: int = 2) -> None:
            seed(generator, a, version)
            self.own[id(generator)] = a is not None

        def setstate_seen(generator: Any, state: Any) -> None:
            setstate(generator, state)
            self.own[id(generator)] = True

        def randbits_seen(bits: int) -> int:
            number: int = randbits(bits)
            if self.random is not None:
                self.drawn.add(number)
            return number

        random.Random.seed, random.Random.setstate = seed_seen, setstate_seen
        secrets.randbits = randbits_seen
        random.seed = random._inst.seed
        random.setstate = random._inst.setstate

    def close(self) -> None:
        """Puts back what was there."""
        random, secrets = self.random, self.secrets
        random.Random.seed, random.Random.setstate, secrets.randbits = self.before
        random.seed = random._inst.seed
        random.setstate = random._inst.setstate

    def found(self) -> list[Reseed]:
        """What gives each generator that is there the state that it has in a process of its own."""
        random, self.random = self.random, None
        found: list[Reseed] = []
        if self.own[id(random._inst)]:  # which Python itself reseeds in every fork
            state = random._inst.getstate()
            found.append(lambda: random._inst.setstate(state))
        numpy_random = sys.modules.get("numpy.random")
        for one in gc.get_objects():
            try:
                if isinstance(one, random.Random):
                    if one is not random._inst and self.own.get(id(one)) is False:
                        found.append(one.seed)
                elif numpy_random is not None and isinstance(one, numpy_random.BitGenerator):
                    again = self.numpy_reseed(one)
                    if again is not None:
                        found.append(again)
            except Exception:  # an object whose class is an answer of its own: a weak proxy, a mock
                continue
        return found

    def numpy_reseed(self, generator: Any) -> Reseed | None:
        """What seeds a generator of numpy anew, if it was seeded by the operating system."""
        # The attribute had an underscore before numpy 1.25; there is no sequence after a legacy seed.
        sequence = getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)
        entropy = getattr(sequence, "entropy", None)
        if not isinstance(entropy, int) or entropy not in self.drawn:
            return None
        kind = type(generator)
        renew: Any = vars(type(sequence))["__init__"]  # takes new entropy

        def again() -> None:
            renew(sequence)  # which may be asked for children
            generator.state = kind(sequence).state

        return again
