"""What code inside the sandbox can see and do, as root's run and as an ordinary user's."""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from kedge.contract.ownership import remove
from kedge.contract.workspace import Workspace
from kedge.executor import Job, choose
from kedge.middleware import drive
from kedge.task import Process, Resources


def test_it_sees_the_system_and_its_workspace_and_no_home(anyhow) -> None:
    shown = anyhow.told("import os; said = sorted(os.listdir('/'))")
    assert {"usr", "etc", "proc", "dev", "tmp", "workspace"} <= set(shown)
    assert not {"home", "root", "mnt", "opt", "srv", "sys", "boot"} & set(shown)


def test_no_variable_of_the_host_leaks_in(anyhow) -> None:
    said = anyhow.told("import os; said = dict(os.environ)", env={"OMP_NUM_THREADS": "7"})
    assert "HOST_SECRET" not in said
    assert said["KEDGE_WORKSPACE"] == "/workspace"
    assert said["HOME"] == said["KEDGE_SCRATCH"] == "/workspace/scratch"
    assert said["LANG"] == "C.UTF-8"
    assert said["OMP_NUM_THREADS"] == "7"
    assert said["MKL_NUM_THREADS"] == "1"


def test_a_package_cannot_pretend_to_be_another_run(anyhow) -> None:
    said = anyhow.told(
        "import os; said = os.environ['KEDGE_RUN_ID']",
        env={"KEDGE_RUN_ID": "another"},
        run_id="thisrunsname",
    )
    assert said == "thisrunsname"


REACH = """
import socket
said = {}
for name, family, place in (("tcp", socket.AF_INET, ("127.0.0.1", {port})),
                            ("unix", socket.AF_UNIX, "\\0kedge-test-{own}")):
    try:
        socket.socket(family).connect(place)
        said[name] = True
    except OSError:
        said[name] = False
said["interfaces"] = [name for _, name in socket.if_nameindex()]
"""


def test_there_is_no_network(anyhow) -> None:
    said = anyhow.told(REACH)
    assert said == {"tcp": False, "unix": False, "interfaces": ["lo"]}


def test_the_network_is_the_hosts_when_asked_for(anyhow) -> None:
    said = anyhow.told(REACH, network=True)
    assert said["tcp"]


WRITE = """
import os
said = []
for folder in ("/", "/usr", "/etc", "/dev", "/var", "/proc", "/workspace", "/workspace/in",
               "/workspace/in/files", "/workspace/out", "/workspace/scratch", "/tmp", "/var/tmp", "/dev/shm"):
    try:
        open(folder + "/written", "w").close()
        said.append(folder)
    except OSError:
        pass
"""


@pytest.mark.parametrize("package", [None, {"bolts.py": "x = 1\n"}])
def test_only_out_scratch_and_tmp_can_be_written(anyhow, package) -> None:
    assert anyhow.told(WRITE, package=package) == [
        "/workspace/out",
        "/workspace/scratch",
        "/tmp",
        "/var/tmp",
        "/dev/shm",
    ]


def test_the_package_is_the_working_directory(anyhow) -> None:
    said = anyhow.told(
        "import os; said = [os.getcwd(), sorted(os.listdir()), open('bolts.py').read()]",
        package={"bolts.py": "x = 1\n"},
    )
    own = ["kedge_test_called.py"] if anyhow.warm else []
    assert said == ["/workspace", ["bolts.py", "in", *own, "out", "scratch"], "x = 1\n"]


def test_what_it_writes_belongs_to_an_unprivileged_user_and_comes_back(anyhow) -> None:
    answer = anyhow.python(
        "import os, time\n"
        "open('/workspace/out/result', 'w').write('1')\n"
        "os.symlink('/etc/passwd', '/workspace/out/link')\n"
        "while not os.path.exists('/workspace/in/ticked'): time.sleep(0.01)\n"
        "time.sleep(0.2)",
        touch_on_tick=True,
    )
    assert answer["ended"]["exit_code"] == 0
    during, after = answer["owners"], answer["owners_after"]
    assert set(after.values()) == {answer["uid"]}
    assert {"result", "link", "files"} <= set(after)
    assert after["result"] == answer["uid"]
    assert during["result"] != 0
    assert os.stat("/etc/passwd").st_uid == 0
    assert answer["left_beside"] == ["in", "out", "scratch"]


def test_a_run_of_roots_is_somebody_else_on_the_host(anyhow) -> None:
    said = anyhow.told(
        "import os; said = [os.getuid(), os.getgid(), os.getgroups(), open('/etc/passwd').read()]"
    )
    assert said[0] == said[1] != 0
    assert f"kedge:x:{said[0]}:{said[1]}:" in said[3]
    if anyhow.is_root:
        # In a fork, that number is called 1000 inside, in a user namespace.
        in_fork = anyhow.warm or anyhow.waiting
        assert said[0] >= 1_900_000_000 or in_fork
        assert said[2] in ([], [said[1]] if in_fork else [])


def test_what_only_its_owner_may_read_stays_unread(anyhow) -> None:
    folder = anyhow.base / "solver"
    folder.mkdir()
    (folder / "open").write_text("all may read this")
    (folder / "closed").write_text("secret")
    (folder / "closed").chmod(0o600)
    # Written by root in either case: an ordinary user's run is still that user.
    said = anyhow.told(
        "said = {}\n"
        "for name in ('open', 'closed'):\n"
        "    try: said[name] = open('{base}/solver/' + name).read()\n"
        "    except OSError as error: said[name] = error.errno",
        paths=[str(folder)],
    )
    if anyhow.name != "me":
        assert said == {"open": "all may read this", "closed": 13}


PRIVILEGE = """
said = {}
for line in open("/proc/self/status"):
    name, _, value = line.partition(":")
    if name.startswith("Cap") or name in ("NoNewPrivs", "Seccomp"):
        said[name] = int(value, 16)
"""


def test_it_has_no_privilege_and_no_way_to_any(anyhow) -> None:
    said = anyhow.told(PRIVILEGE)
    assert said.pop("NoNewPrivs") == 1
    assert said.pop("Seccomp") == 2
    assert set(said) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert set(said.values()) == {0}


CALLS = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def attempt(function, *arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "?") if function(*arguments) == -1 else "worked"
x86 = platform.machine() == "x86_64"
clone = 56 if x86 else 220
said = {
    "unshare a user namespace": attempt(libc.unshare, 0x10000000),
    "unshare mounts": attempt(libc.unshare, 0x00020000),
    "clone a user namespace": attempt(libc.syscall, clone, 0x10000000 | 17, 0, 0, 0, 0),
    "clone3": attempt(libc.syscall, 435, 0, 0),
    "mount": attempt(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": attempt(libc.umount2, b"/tmp", 0),
    "chroot": attempt(libc.chroot, b"/tmp"),
    "ptrace": attempt(libc.ptrace, 0, 0, 0, 0),
    "process_vm_readv": attempt(libc.process_vm_readv, os.getpid(), 0, 0, 0, 0, 0),
    "setns": attempt(libc.setns, 0, 0),
    "personality": attempt(libc.personality, 0x0040000),
    "keyctl": attempt(libc.syscall, 250 if x86 else 219, 0, -3, 0),
    "bpf": attempt(libc.syscall, 321 if x86 else 280, 0, 0, 0),
    "perf": attempt(libc.syscall, 298 if x86 else 241, 0, 0, -1, -1, 0),
    "userfaultfd": attempt(libc.syscall, 323 if x86 else 282, 0),
    "io_uring": attempt(libc.syscall, 425, 1, 0),
    "open_tree": attempt(libc.syscall, 428, -100, b"/", 0),
    "type into a terminal": attempt(libc.ioctl, 0, 0x5412, b"x"),
    "talk to the hypervisor": attempt(libc.socket, 40, 1, 0),
}
"""


def test_calls_that_escapes_begin_with_are_refused(anyhow) -> None:
    said = anyhow.told(CALLS)
    assert said.pop("clone3") == "ENOSYS"
    assert set(said.values()) == {"EPERM"}, said


BESIDE = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
said = libc.syscall(56 if platform.machine() == "x86_64" else 220, 0x8000 | 17, 0, 0, 0, 0)
if said == 0:
    os._exit(0)
said = [said, ctypes.get_errno()]
"""


def test_a_fork_cannot_leave_a_process_to_what_it_was_forked_from(anyhow) -> None:
    if anyhow.warm or anyhow.waiting:
        assert anyhow.told(BESIDE) == [-1, 1]


def test_threads_and_children_still_work(anyhow) -> None:
    said = anyhow.told(
        "import subprocess, threading\n"
        "found = []\n"
        "thread = threading.Thread(target=found.append, args=(1,)); thread.start(); thread.join()\n"
        "said = [found, subprocess.run(['/bin/echo', 'hi'], capture_output=True, text=True).stdout]"
    )
    assert said == [[1], "hi\n"]


def test_only_its_own_processes_exist(anyhow) -> None:
    answer = anyhow.python(
        "import os, signal\n"
        "print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))\n"
        "for process in ({pid}, {own}):\n"
        "    try: os.kill(process, signal.SIGKILL)\n"
        "    except OSError as error: print(error.strerror)\n"
        "os.kill(-1, signal.SIGTERM) if os.fork() else os._exit(0)\n"
        "print('alive')"
    )
    lines = answer["stdout"].splitlines()
    numbers = json.loads(lines.pop(0))
    assert numbers[0] == 1 and len(numbers) == 2  # that of the namespace, and its own
    assert lines == ["No such process", "No such process", "alive"]
    assert answer["neighbour_lives"]


def test_a_large_input_is_shown_and_not_copied(anyhow) -> None:
    mesh = anyhow.base / "mesh.med"
    with open(mesh, "wb") as file:
        file.truncate(10 << 30)
        file.seek(5 << 30)
        file.write(b"in the middle")
    said = anyhow.told(
        "import os\n"
        "status = os.stat('/workspace/in/files/mesh.med')\n"
        "file = open('/workspace/in/files/mesh.med', 'rb'); file.seek(5 << 30)\n"
        "said = [status.st_ino, status.st_size, file.read(13).decode(),"
        " os.access('/workspace/in/files/mesh.med', os.W_OK)]",
        files=[[str(mesh), "in/files/mesh.med"]],
    )
    assert said == [mesh.stat().st_ino, 10 << 30, "in the middle", False]
    [place] = anyhow.base.glob("run-*/*/in/files/mesh.med")
    assert place.stat().st_size == place.stat().st_blocks == 0


def test_an_input_that_only_its_owner_may_read_still_arrives(anyhow) -> None:
    source = anyhow.base / "secret.txt"
    source.write_text("mine")
    os.chown(source, anyhow.base.stat().st_uid, -1)
    source.chmod(0o600)
    said = anyhow.told(
        "said = open('/workspace/in/files/letter.txt').read()",
        files=[[str(source), "in/files/letter.txt"]],
    )
    assert said == "mine"
    assert source.stat().st_mode & 0o777 == 0o600


def test_an_input_that_went_away_is_named(anyhow) -> None:
    answer = anyhow.run("true", files=[["/nowhere/mesh.med", "in/files/mesh.med"]])
    assert answer["error"][0] == "InputError"
    assert "/nowhere/mesh.med" in answer["error"][1]


def test_no_descriptor_of_the_caller_is_inherited(somebody) -> None:
    own = os.open("/", os.O_RDONLY)
    os.set_inheritable(own, True)
    try:
        said = somebody.told("import os; said = sorted(os.listdir('/proc/self/fd'), key=int)")
    finally:
        os.close(own)
    assert said == ["0", "1", "2", "3"]  # 3 lists the folder


def test_standard_input_is_empty(anyhow) -> None:
    assert anyhow.told("import sys; said = sys.stdin.read()") == ""


def test_an_interpreter_in_a_closed_home_works(somebody) -> None:
    closed = somebody.base / "home"
    inner = closed / "tools"
    inner.mkdir(parents=True)
    program = inner / "hello"
    program.write_text("#!/bin/sh\nls -a $(dirname $0)/..; echo hello\n")
    program.chmod(0o755)
    (closed / "diary").write_text("private")
    closed.chmod(0o700)
    answer = somebody.run(str(program), visible=[str(inner)])
    assert answer["stdout"].split() == [".", "..", "tools", "hello"]


def test_this_interpreter_runs_with_its_prefix_shown(somebody) -> None:
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    answer = somebody.run(
        str(python), "-I", "-c", "import sys; print(sys.version)", visible=[sys.base_prefix]
    )
    assert answer["stdout"].strip() == sys.version.strip()


def test_tmp_is_on_disk_and_private(anyhow) -> None:
    said = anyhow.told(
        "import os\n"
        "open('/tmp/x', 'w').close()\n"
        "said = [[name for name in os.listdir('/tmp') if not os.path.isdir('/tmp/' + name)],\n"
        "        os.stat('/tmp').st_dev == os.stat('/workspace/out').st_dev]"
    )
    assert said == [["x"], True]


def test_shared_memory_is_as_large_as_the_memory_limit(anyhow) -> None:
    said = anyhow.told(
        "import os; shm = os.statvfs('/dev/shm'); said = shm.f_frsize * shm.f_blocks"
    )
    assert said == 256 << 20


def test_processes_are_limited_and_cores_are_not_dumped(anyhow) -> None:
    said = anyhow.told(
        "import os, resource, time\n"
        "number = 0\n"
        "try:\n"
        "    while number < 100:\n"
        "        if os.fork() == 0: time.sleep(100)\n"
        "        number += 1\n"
        "except BlockingIOError: pass\n"
        "said = [number, resource.getrlimit(resource.RLIMIT_CORE)]",
        resources={"pids": 20},
    )
    assert 10 <= said[0] <= 20
    assert said[1] == [0, 0]


def test_loader_variables_act_on_the_program_alone(anyhow) -> None:
    answer = anyhow.python(
        "import os; print(os.environ['LD_PRELOAD'], os.environ['MALLOC_ARENA_MAX'])",
        env={"LD_PRELOAD": "/workspace/nothing.so", "MALLOC_ARENA_MAX": "2"},
    )
    assert answer["stdout"] == "/workspace/nothing.so 2\n"
    # The loader complains once for each program that it was told of: only those that are no longer root.
    assert "setpriv" not in answer["stderr"]


def test_what_is_shown_below_var_tmp_is_found_by_its_name(anyhow) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        Path(folder, "x").write_text("shown")
        said = anyhow.told(f"said = open({folder + '/x'!r}).read()", paths=[folder])
    assert said == "shown"


@pytest.mark.parametrize("path", ["/", "relative", "/workspace", "/workspace/x", "/proc/1", "/etc"])
def test_a_path_that_cannot_be_shown_is_refused(somebody, path) -> None:
    answer = somebody.run("true", paths=[path])
    assert answer["error"][0] == "UsageError"
    assert repr(path) in answer["error"][1]


def test_a_path_that_is_not_there_is_named(somebody) -> None:
    answer = somebody.run("true", paths=["/opt/no-such-solver"])
    assert answer["error"][0] == "Unavailable"
    assert "/opt/no-such-solver" in answer["error"][1]


def test_folders_without_a_bottom_do_no_harm(anyhow) -> None:
    answer = anyhow.python(
        "import os\n"
        "for place in ('/tmp', '/workspace/scratch', '/workspace/out'):\n"
        "    os.chdir(place)\n"
        "    for _ in range(1500):\n"
        "        os.mkdir('deeper'); os.chdir('deeper')\n"
        "    os.chmod('.', 0)\n",
    )
    assert answer["ended"]["exit_code"] == 0
    assert answer["left_beside"] == ["in", "out", "scratch"]
    assert answer["owners_after"]["deeper"] == answer["uid"]
    [workspace] = anyhow.base.glob("run-*/work")
    for place in workspace.iterdir():
        remove(str(place))


def test_two_runs_of_root_at_once_cannot_meddle_with_each_other(somebody) -> None:
    seen: list[int] = []

    def run_another(stream: str, data: bytes) -> None:
        seen.append(int(data))
        if len(seen) == 1:
            seen.append(int(somebody.python("import os; print(os.getuid())")["stdout"]))

    folder = somebody.base / "outer"
    for name in ("", "in", "out", "scratch"):
        (folder / name).mkdir()
    job = Job(
        *("0123456789ab", "p", "f", Workspace(str(folder), None), Resources(1, 64)),
        on_output=run_another,
    )
    payload = Process(("sh", "-c", "id -u; sleep 0.1"))
    assert drive(choose("sandbox").executor.execute(payload, job)).exit_code == 0
    assert len(set(seen)) == len(seen) if somebody.is_root else seen == [1000, 1000]
