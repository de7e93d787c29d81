"""The guard of one run without a sandbox: starts the program, and leaves nothing of it behind.

Run as `python -I -S -B guard.py LINE SPEC BEGIN`, three descriptors; it stands alone. It is the
subreaper of all that the program starts, so that a process which forked twice or made a session of its own
still ends up as its child. When the one who started it goes away, LINE closes and it ends everything.
With `guard.py copies LINE` it makes a copy of itself for each message on that line, until nobody is there; a copy
guards one program after the other.

SPEC is a file of two marshalled values. The first is what the program comes under whatever it is, and made while
the guard waits: `rules` of Landlock (as `landlock.Ruleset` has them: `files`, `network`, `scopes`, `paths`) or None,
and `entrances`, the cgroup.procs of its control groups. The second is there once there is a letter on BEGIN: `argv`,
`env`, `folder`, `limits` (RLIMIT_* → soft, hard), `account` (a number or None), and, which may be missing or None:
`processors` (the numbers of those it may use), `paths` (more rules, of its own), `filter` (a seccomp program). LINE keeps messages apart. It takes letters: `t` asks the program's group to end, `a`
all of its processes, `k` kills them all. The guard says: `program PID` when it waits, then `started` or
`failed ERRNO`, at last `ended STATUS CPU_SECONDS PEAK_KIB BYTES_READ BYTES_WRITTEN`, with -1 for what is unknown.

Every import counts here, once for each run: `json` and `typing` would take longer than all the rest.
"""

import ctypes
import errno
import marshal
import os
import resource
import select
import signal
import stat
import struct
import sys
import time

TYPE_CHECKING = False  # as typing's, which is not imported
if TYPE_CHECKING:
    from typing import Any

PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

# <linux/landlock.h>; the numbers are the same on every processor.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_RULE_PATH_BENEATH = 1
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl

# <linux/capability.h>. The one that root keeps: files of its own may lie behind folders of others.
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2

_LIBC = ctypes.CDLL(None, use_errno=True)
_HELD = ctypes.PyDLL(
    None, use_errno=True
)  # its functions are called with the interpreter's lock held
_CLONE3, _CLONE_PARENT = 435, 0x8000  # <linux/sched.h>

# Between two rounds of killing: a kill takes effect at once, but not in this instant.
_PAUSE_S = 0.001

_USED = [0.0, 0]  # by those who were taken leave of: seconds of CPU, KiB of memory at most


def main(line: int, spec: int, begin: int) -> None:
    """Guard one program."""
    for descriptor in (line, spec, begin):
        os.set_inheritable(descriptor, False)
    _guard(line, _woken(), spec, begin)


def copies(line: int) -> None:
    """Make a copy of this process for each message, a child of whoever started it, and tell its number.

    With a message comes the copy's own line. A number below zero is the errno of why there is no copy.
    """
    import _socket
    import gc

    gc.freeze()
    asked = _socket.socket(fileno=line)
    os.set_inheritable(line, False)
    while True:
        message, descriptors = _received(asked)
        if not message:
            return
        (own,) = descriptors
        # Not os.fork: the copy is to be the child of this process's parent.
        process = _HELD.syscall(_CLONE3, struct.pack("=8Q", _CLONE_PARENT, *[0] * 7), 64)
        if process == 0:
            asked.close()
            os.setsid()
            try:
                _guard_many(_socket.socket(fileno=own))
            finally:
                os._exit(0)
        asked.send(str(process if process > 0 else -ctypes.get_errno()).encode())
        os.close(own)


def _guard_many(asked: "Any") -> None:
    """Guard one program for each message with a standard output and error and what `main` takes of it."""
    woken = _woken()
    while True:
        message, descriptors = _received(asked)
        if not message:
            return
        if descriptors:  # else an order for the one before, which has ended
            stdout, stderr, spec, begin = descriptors
            for number, stream in ((1, stdout), (2, stderr)):
                os.dup2(stream, number)
                os.close(stream)
            _guard(asked.fileno(), woken, spec, begin)


def _received(asked: "Any") -> "tuple[bytes, list[int]]":
    """A message and its descriptors; an empty one when nobody is there any more."""
    size = struct.calcsize("i")
    try:
        message, ancillary, _, _ = asked.recvmsg(16, 64 + 4 * size, 0x40000000)  # MSG_CMSG_CLOEXEC
    except ConnectionResetError:
        return b"", []
    found = b"".join(data for _, _, data in ancillary)
    return message, [*struct.unpack(f"{len(found) // size}i", found)]


def _woken() -> int:
    """Take over the orphans of all that this process starts: there is something to read when one has ended."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    kill_all(0)  # nobody yet: as in `_rehearse`
    return woken


def _guard(line: int, woken: int, spec: int, begin: int) -> None:
    """Get a process ready, have it become what the specification says, then obey until that has ended."""
    before = _io()
    _USED[:] = 0.0, 0
    program, told = _forked(spec, begin)
    # First of all: a program of the same account may kill its guard before anything else is said.
    _tell(line, "program", program)
    _silence()
    with os.fdopen(told, "rb") as file:
        error = int(file.read() or 0)
    if error:
        kill_all(program)
        _tell(line, "failed", error)
        return
    _tell(line, "started")
    status = obey(line, woken, program)
    killed = kill_all(program)
    status = killed if status is None else status
    _tell(line, "ended", -1 if status is None else status, *_USED, *_since(before, _io()))


def _forked(spec: int, begin: int) -> tuple[int, int]:
    """The process that is to be the program, and a descriptor to learn from why it is not: an errno."""
    first = os.pread(spec, os.fstat(spec).st_size, 0)  # before anybody can have written the second
    told, tell = os.pipe()  # closed by a successful exec
    program = os.fork()
    if program == 0:
        try:
            _wait_and_become(first, spec, begin)
        except BaseException as error:  # noqa: BLE001 - a limit that is refused is a ValueError
            number = error.errno if isinstance(error, OSError) else errno.EPERM
            os.write(tell, str(number).encode())
        finally:
            os._exit(127)
    for descriptor in (tell, spec, begin):
        os.close(descriptor)
    return program, told


def _wait_and_become(first: bytes, spec: int, begin: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    rules = come_under(marshal.loads(first))
    _rehearse()
    if not os.read(begin, 1):
        os._exit(127)  # nobody is there any more
    found = marshal.loads(os.pread(spec, os.fstat(spec).st_size, len(first)))
    if found["account"] is not None:
        for stream in (1, 2):  # else it could not open /dev/stdout again
            os.fchown(stream, found["account"], found["account"])
    give_up(found, rules)
    execute(found["argv"], found["env"])


def _rehearse() -> None:
    """Do to no effect what comes later.

    What it needs of memory is this process's own by then, and the kernel need not copy it while somebody waits.
    """
    marshal.loads(marshal.dumps({"argv": ("",), "limits": {4: (0, 0)}, "account": None}))
    _write(os.devnull, b"0")
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    for stream in (1, 2):
        os.fchown(stream, -1, -1)
    os.chdir(".")
    if os.geteuid() == 0:
        os.setgroups(os.getgroups())
    os.setresgid(-1, -1, -1)
    os.setresuid(-1, -1, -1)
    _capabilities()
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    try:
        execute(("/",), {"PATH": ""})
    except OSError:
        return


def execute(argv: "tuple[str, ...]", env: "dict[str, str]") -> None:
    # Not os.execvpe, which imports: the account may not be able to read Kedge's own interpreter.
    places = env.get("PATH", "").split(":") if "/" not in argv[0] else [""]
    for place in places:
        try:
            os.execve(os.path.join(place, argv[0]), argv, env)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            reason = error
    raise reason


def come_under(first: "dict[str, Any]") -> "int | None":
    """Come into its control groups; its rules of Landlock as a descriptor."""
    for entrance in first["entrances"]:
        _write(entrance, b"0")
    return None if first["rules"] is None else _ruleset(first["rules"])


def give_up(spec: "dict[str, Any]", rules: "int | None") -> None:
    """Come under every limit of `spec` and these rules, and let go of every right that they do not leave."""
    if spec.get("processors"):
        os.sched_setaffinity(0, spec["processors"])
    for limit, values in spec["limits"].items():
        resource.setrlimit(int(limit), tuple(values))
    os.chdir(spec["folder"])
    # Opened as whoever started this: the account may not get to where its own folders are.
    if rules is not None:
        _add(rules, spec.get("paths") or ())
    account = spec["account"]
    if account is not None:
        if spec.get("reads_closed"):
            prctl(_PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setresgid(account, account, account)
        os.setresuid(account, account, account)
        if spec.get("reads_closed"):
            _keep_capability(_CAP_DAC_READ_SEARCH)
            _checked(
                _LIBC.prctl(
                    *map(ctypes.c_ulong, (_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE)),
                    *map(ctypes.c_ulong, (_CAP_DAC_READ_SEARCH, 0, 0)),
                )
            )
    elif os.geteuid() == 0:
        _keep_capability(_CAP_DAC_OVERRIDE)
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if rules is not None:
        _call(_LANDLOCK_RESTRICT_SELF, rules, 0)
        os.close(rules)
    if spec.get("filter"):
        _install(spec["filter"])


def _write(path: str, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def _ruleset(rules: "dict[str, Any]") -> int:
    attributes = struct.pack("=QQQ", rules["files"], rules["network"], rules["scopes"])
    made = _call(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    _add(made, rules["paths"])
    return made


def _add(rules: int, paths: "tuple[tuple[str, int], ...]") -> None:
    """Add to a ruleset. A path that is not there, or out of reach, has no rule."""
    for path, access in paths:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        rule = struct.pack("=Qi", access, place)
        _call(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        os.close(place)


def _capabilities() -> "ctypes.Array[ctypes.c_uint32]":
    """Effective, permitted, inheritable: the low halves, then the high."""
    held = (ctypes.c_uint32 * 6)()
    _checked(_LIBC.capget((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), held))
    return held


def _keep_capability(capability: int) -> None:
    """Give up all others; without new privileges no exec gives them back."""
    kept = 1 << capability & _capabilities()[1]
    left = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
    _checked(_LIBC.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), left))


def _install(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _checked(_LIBC.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), described, 0, 0))


def _silence() -> None:
    """Let go of the program's output: it must end when the program's own copies are closed."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


def obey(control: int, woken: int, program: int) -> int | None:
    """Wait for the program's end, or for the order to make one; its wait status, None if it still runs."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if woken in ready:
            os.read(woken, 4096)
            status = _reap(program)[0]
            if status is not None:
                return status
        if control in ready:
            order = os.read(control, 1)
            if order == b"t":
                _ask_group(program)
            elif order == b"a":
                for process in _descendants():
                    _send(process, signal.SIGTERM)
                    _send(process, signal.SIGCONT)
            else:  # `k`, or nobody is there any more
                return None


def _ask_group(program: int) -> None:
    for number in (signal.SIGTERM, signal.SIGCONT):
        try:
            os.killpg(os.getpgid(program), number)
        except (ProcessLookupError, PermissionError):
            return


def kill_all(program: int) -> int | None:
    """Kill until there is nobody left; the program's wait status when it was among them."""
    status = None
    while True:
        ended, alone = _reap(program)
        status = ended if status is None else status
        if alone:
            return status
        for process in _descendants():
            _send(process, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _reap(program: int) -> tuple[int | None, bool]:
    """Take leave of all who have ended: the program's wait status, and whether nobody is left."""
    found = None
    while True:
        try:
            process, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return found, True
        if process == 0:
            return found, False
        _USED[0] += used.ru_utime + used.ru_stime
        _USED[1] = max(_USED[1], used.ru_maxrss)
        if process == program:
            found = status


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(name))
    found = list(children.get(os.getpid(), ()))
    for process in found:
        found.extend(children.get(process, ()))
    return found


def _send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        pass


def _io() -> dict[str, int] | None:
    try:
        with open("/proc/self/io") as file:
            return {name: int(count) for name, count in (line.split(": ") for line in file)}
    except OSError:
        return None


def _since(before: dict[str, int] | None, after: dict[str, int] | None) -> tuple[int, ...]:
    """Bytes read and written in between."""
    if before is None or after is None:
        return (-1, -1)
    return tuple(after[name] - before[name] for name in ("rchar", "wchar"))


def prctl(option: int, value: int) -> None:
    _checked(_LIBC.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _call(number: int, *arguments: int | bytes) -> int:
    """A system call that the C library has no function for.

    Raises:
        OSError: it failed.
    """
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *words))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _tell(report: int, *words: object) -> None:
    try:
        os.write(report, " ".join(map(str, words)).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__" and sys.argv[1] == "copies":
    copies(int(sys.argv[2]))
elif __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
