"""What a call may do to whatever it can reach. Each takes the module that looks at it all."""

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
import time


def nothing(_: object) -> None:
    pass


def patches_modules(_: object) -> None:
    import builtins
    import decimal
    import gc
    import json
    import math

    math.pi = 3
    json.dumps = repr
    builtins.round = None
    os.path.basename = None
    decimal.getcontext().prec = 3
    gc.disable()
    gc.set_threshold(1, 1, 1)
    sys.setrecursionlimit(500)
    sys.setswitchinterval(1)
    sys.path.append("/nowhere")
    sys.argv[:] = ["other"]
    sys.meta_path.clear()
    sys.excepthook = print
    sys.modules["collections"] = None
    # The number -5 itself, which the interpreter has once for all.
    ctypes.c_int.from_address(id(-5) + 24).value = 6


def patches_the_runner(_: object) -> None:
    runner = sys.modules["__main__"]
    runner.WORKSPACE = "/nowhere"
    runner.CANCEL.arm = None
    runner.read_inputs = runner.find_function = None


def changes_its_surroundings(_: object) -> None:
    import locale

    os.environ.clear()
    os.environ["KEDGE_WORKSPACE"] = "/nowhere"
    os.chdir("/usr")
    os.umask(0o777)
    os.nice(19)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    locale.setlocale(locale.LC_ALL, "C")
    os.umask(0o022)  # what it returns has to be written


def changes_signals(_: object) -> None:
    for number in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.kill(os.getpid(), signal.SIGUSR2)
    signal.setitimer(signal.ITIMER_REAL, 1000)


def lowers_its_limits(_: object) -> None:
    for limit, number in ((resource.RLIMIT_CPU, 1000), (resource.RLIMIT_NPROC, 3), (resource.RLIMIT_FSIZE, 1 << 20)):
        resource.setrlimit(limit, (number, number))


def marks_itself_for_the_killer(_: object) -> None:
    for path, text in (("oom_score_adj", "1000"), ("coredump_filter", "0x7f")):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(text)


def closes_descriptors(_: object) -> None:
    os.closerange(0, 1000)


def changes_descriptors(state: object) -> None:
    import fcntl

    os.lseek(state.LIBRARY, 100, os.SEEK_SET)
    for number in range(3):
        fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
        os.set_inheritable(number, False)


def uses_most_of_its_memory(_: object) -> None:
    bytearray(150 << 20)


def fills_memory(_: object) -> None:
    kept = []
    while True:
        kept.append(bytearray(8 << 20))


def fills_memory_in_a_child(_: object) -> None:
    if os.fork() == 0:
        fills_memory(None)
    os.wait()
    raise RuntimeError("the child is gone")


def fills_shared_memory(_: object) -> None:
    with open("/dev/shm/all", "wb") as file:
        while True:
            file.write(bytes(4 << 20))


def leaves_shared_memory(_: object) -> None:
    with open("/dev/shm/some", "wb") as file:
        file.write(bytes(120 << 20))


def fills_the_disk(_: object) -> None:
    with open("/tmp/all", "wb") as file:
        while True:
            file.write(bytes(4 << 20))
            file.flush()
            time.sleep(0.01)


def dies_of_a_fault(_: object) -> None:
    ctypes.string_at(0)


def aborts(_: object) -> None:
    os.abort()


def kills_itself(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exits(_: object) -> None:
    os._exit(7)


def raises(_: object) -> None:
    raise RuntimeError("as it was told")


def stops_itself(_: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def stays(seconds: float = 1000.0) -> None:
    """In a process that has left everything and does not end when asked."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.closerange(0, 3)
    time.sleep(seconds)
    os._exit(0)


def leaves_children(_: object) -> None:
    for _ in range(3):
        stays()


def leaves_a_child_that_holds_its_streams(_: object) -> None:
    if os.fork() == 0:
        time.sleep(1000)


def forks_without_end(_: object) -> None:
    while True:
        try:
            if os.fork() == 0:
                time.sleep(1000)
        except OSError:
            return


def leaves_threads(_: object) -> None:
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


def leaves_files(_: object) -> None:
    for place in ("/tmp", "scratch", "out/artifacts", "/dev/shm"):
        os.makedirs(f"{place}/closed/deep")
        with open(f"{place}/closed/deep/file", "w") as file:
            file.write("left")
        os.symlink("/", f"{place}/everything")
        os.mkfifo(f"{place}/pipe")
        os.chmod(f"{place}/closed", 0)
    os.chmod("/tmp", 0o700)


def signals_everybody(_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSTOP, signal.SIGKILL):
        for process in (1, -1):
            try:
                os.kill(process, number)
            except OSError:
                continue


def kills_its_parent(_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        os.kill(os.getppid() or 1, signal.SIGKILL)
    except OSError:  # where it is another account's
        pass


def kills_its_group(_: object) -> None:
    os.kill(0, signal.SIGKILL)


def writes_to_what_it_inherited(state: object) -> None:
    state.OWN[:8] = b"changed!"


def talks_to_itself(_: object) -> None:
    """Leaves connections that the kernel waits for, and a socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(3):
            mine = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
            mine.close()
            theirs.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"to nobody", ("127.0.0.1", 9))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind("\0left")
    unix.listen()
    os.set_inheritable(unix.fileno(), True)


def leaves_a_listener(_: object) -> None:
    if os.fork() == 0:
        os.setsid()
        server = socket.create_server(("127.0.0.1", 4242))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind("\0left")
        unix.listen()
        os.write(1, b"listening\n")
        time.sleep(1000)
        server.close()
    time.sleep(0.2)


def leaves_system_v(_: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    for made in (library.shmget(0x4242, 4096, 0o1666), library.semget(0x4242, 1, 0o1666), library.msgget(0x4242, 0o1666)):
        if made < 0:
            raise OSError(ctypes.get_errno(), "refused")


def leaves_a_terminal(_: object) -> None:
    import pty

    pty.openpty()


def asks_for_more(_: object) -> None:
    """Everything that a filter or a lock refuses; whether it does is other tests' to see."""
    library = ctypes.CDLL(None, use_errno=True)
    for number in range(0x7E02):
        library.unshare(number << 16)
    library.umount2(b"/tmp", 2)
    library.umount2(b"/workspace/in", 2)
    library.mount(b"none", b"/tmp", b"tmpfs", 0, None)
    library.sethostname(b"other", 5)
    for opened in range(64):
        library.setns(opened, 0)
