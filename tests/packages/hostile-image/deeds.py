"""What a program in an image does to those who run it; the input `deed` says which."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time

OUT = "/workspace/out"
DATA = f"{OUT}/data.json"
PROGRESS = f"{OUT}/progress.jsonl"


def write(text, path=DATA):
    with open(path, "w") as file:
        file.write(text)


def good():
    write('{"y": 1}')


def not_json():
    write('{"y": 1')


def no_object():
    write("[1]")


def not_a_number():
    write('{"y": NaN}')


def twice():
    write('{"y": 1, "y": 2}')


def deep():
    write('{"y": ' + "[" * 200_000 + "]" * 200_000 + "}")


def huge():
    with open(DATA, "wb") as file:
        file.write(b'{"y": "')
        file.writelines(b"x" * (1 << 20) for _ in range(150))
        file.write(b'"}')


def many_digits():
    write('{"y": ' + "9" * 100_000 + "}")


def data_link():
    os.symlink("/etc/passwd", DATA)


def data_fifo():
    os.mkfifo(DATA)


def data_folder():
    os.mkdir(DATA)


def data_closed():
    good()
    os.chmod(DATA, 0)


def error_link():
    os.symlink("/etc/shadow", f"{OUT}/_error.json")
    sys.exit(1)


def error_huge():
    write('{"error": "' + "x" * (50 << 20) + '"}', f"{OUT}/_error.json")
    sys.exit(1)


def rubbish():
    """Everything that is no file to collect, in every place, and a good answer."""
    for folder in ("files", "artifacts", "."):
        place = f"{OUT}/{folder}"
        os.symlink("/etc/passwd", f"{place}/passwd.txt")
        os.symlink("/", f"{place}/root")
        os.mkfifo(f"{place}/fifo")
        listening = socket.socket(socket.AF_UNIX)
        os.chdir(place)
        listening.bind("socket")
        for device in (0o020666, 0o060666):
            try:
                os.mknod("device", device, os.makedev(1, 3))
                sys.exit("a device was made")
            except PermissionError:
                pass
    artifacts = os.fsencode(f"{OUT}/artifacts")
    for name in (b"n" * 255, b"\xff\xfe", b"a\nb", b"\x1b[31mred", b"-rf", "é\u202e".encode()):
        with open(artifacts + b"/" + name, "wb") as file:
            file.write(b"kept")
    shutil.copy("/bin/true", f"{OUT}/artifacts/true")
    os.chmod(f"{OUT}/artifacts/true", 0o6777)
    os.mkdir(f"{OUT}/artifacts/closed", 0)
    os.chdir(f"{OUT}/artifacts")
    for _ in range(1500):
        os.mkdir("deeper")
        os.chdir("deeper")
    good()


def replaces():
    """Puts links in the places of Kedge's own folders."""
    for name in ("files", "artifacts"):
        shutil.rmtree(f"{OUT}/{name}")
        os.symlink("/etc", f"{OUT}/{name}")
    try:
        os.rename(OUT, "/workspace/scratch/out")
        sys.exit("`out` was moved")
    except OSError:
        good()


def progress():
    """Many events, lines that are none, and a last one that counts."""
    with open(PROGRESS, "w") as file:
        file.write('not JSON\n[1]\n{"step": "two"}\n{"step": NaN}\n\n\0\0\n')
        file.write('{"message": "' + "z" * (1 << 20) + '"}\n')
        file.writelines(f'{{"step": {number + 1}, "total": 100000}}\n' for number in range(100_000))
        file.write('{"step": 1, "message": "without its newline"')
    time.sleep(0.3)
    good()


def progress_link():
    os.symlink("/etc/passwd", PROGRESS)
    time.sleep(0.3)
    good()


def progress_fifo():
    os.mkfifo(PROGRESS)
    time.sleep(0.3)
    good()


def leaves():
    """Leaves a process that nobody is the parent of, and that hears nothing."""
    _escape()
    good()


def stays():
    """The same, and stays as well."""
    _escape()
    write('{"step": 1, "total": 1, "message": "ready"}\n', PROGRESS)
    while True:
        time.sleep(60)


def _escape():
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(reading)
            os.execve("/bin/sleep", ["sleep", "4242"], {})
        os._exit(0)
    os.wait()
    os.close(writing)
    os.read(reading, 1)  # ends when the grandchild is a sleep: exec closes the pipe


def kills_the_first():
    """What can only be done from outside its namespace."""
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with contextlib.suppress(PermissionError):  # where that is another account's
            os.kill(1, number)
    time.sleep(0.2)
    if os.path.exists("/proc/1"):
        good()


def kills_all():
    """All that it may kill, which neither it nor the first process is among."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
    os.kill(-1, signal.SIGKILL)
    os.waitpid(child, 0)
    good()


def pretends():
    """Ends as an engine's program does that could not start anything, and as its first process says it."""
    good()
    sys.exit(125)


with open("/workspace/in/data.json") as given:
    globals()[json.load(given)["deed"]]()
