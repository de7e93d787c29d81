"""What a program in an image can see and do, told as data.

`letter` names a process of the machine, and the probes of the sandbox's tests by their code.
"""

import json
import os
import resource
import signal
import socket
import stat
import subprocess

KERNEL = (
    *("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"),
    *("/proc/1/mem", "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper"),
)


def everywhere():
    """All that the root shows, but for the kernel's own."""
    for place, folders, names in os.walk("/"):
        if place == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys")]
        yield place, names


def writable():
    found = []
    for place, _ in everywhere():
        path = f"{place}/.written"
        try:
            open(path, "w").close()
        except OSError:
            continue
        os.unlink(path)
        found.append(place)
    return found


def of_kind(matches):
    found = []
    for place, names in everywhere():
        for name in names:
            try:
                info = os.lstat(f"{place}/{name}")
            except OSError:
                continue
            if matches(info):
                found.append(f"{place}/{name}")
    return found


def opened(paths, mode):
    found = []
    for path in paths:
        try:
            open(path, mode).close()
            found.append(path)
        except OSError:
            continue
    return found


def groups_of_control():
    for place, _, names in os.walk("/sys/fs/cgroup"):
        yield from (f"{place}/{name}" for name in names)


def killed(processes):
    found = []
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
            found.append(process)
        except OSError:
            continue
    return found


def identity(program):
    """Who a program is that would be somebody else by its mode or its capabilities."""
    ask = "import os; print(os.geteuid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0])"
    try:
        return subprocess.run([program, "-c", ask], capture_output=True, text=True).stdout.split()
    except OSError as error:
        return [error.strerror]


def limits(name):
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))


with open("/workspace/in/files/letter.txt") as file:
    letter = json.load(file)
shared = os.statvfs("/dev/shm")
probe = {
    "uid": os.getuid(),
    "gid": os.getgid(),
    "groups": os.getgroups(),
    "variables": dict(os.environ),
    "hostname": socket.gethostname(),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "stdin": os.read(0, 1).decode(),
    "writable": sorted(writable()),
    "sockets": of_kind(lambda info: stat.S_ISSOCK(info.st_mode)),
    "disks": of_kind(lambda info: stat.S_ISBLK(info.st_mode)),
    "setuid": of_kind(lambda info: stat.S_ISREG(info.st_mode) and info.st_mode & stat.S_ISUID),
    "kernel": opened(KERNEL, "r+") + opened(groups_of_control(), "r+"),
    "shadow": opened(["/etc/shadow"], "r"),
    "files": limits("NOFILE"),
    "core": limits("CORE"),
    "shared memory": shared.f_frsize * shared.f_blocks,
    "tmp on disk": os.stat("/tmp").st_dev == os.stat("/workspace/out").st_dev,
    "killed": killed([letter["process"]]),
    "su": subprocess.run(
        ["su", "-c", "id"], capture_output=True, stdin=subprocess.DEVNULL
    ).returncode,
    "others": {name: identity(name) for name in ("/opt/root-python", "/opt/capable-python")},
}
for name, code in letter["probes"].items():
    inside = {}
    exec(code, inside)
    probe[name] = inside["said"]
with open("/workspace/out/data.json", "w") as file:
    json.dump({"said": probe}, file)
