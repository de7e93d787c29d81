"""What a run without a sandbox cannot do where the kernel has Landlock, and what ordinary programs still can.

This machine's kernel has all of it; that there is less, or none, is played by a version that is passed on.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from kedge.errors import StartFailed, UsageError
from kedge.executor import guarded, identity, landlock, marks, processes
from kedge.executor.process import ProcessExecutor
from kedge.executor.reach import reach
from kedge.task import HostRoot, Resources

TRY = """
import errno, os
def attempt(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    except ValueError:  # what `resource` makes of EPERM
        return "EPERM"
    return "done"
"""


def tried(person, code, **request):
    """What each of the attempts in `said` came to; `{base}`, `{pid}` … are filled in."""
    return person.told(TRY + code, kind="process", **request)


# --- files


def test_files_outside_cannot_be_read(person) -> None:
    (person.base / "letter").write_text("dear")
    (person.base / "letter").chmod(0o644)
    (person.base / "open").mkdir(mode=0o777)
    said = tried(
        person,
        "said = [attempt(open, '{base}/letter'), attempt(os.listdir, '{base}'),"
        " attempt(os.listdir, '/'), attempt(os.listdir, '/tmp'), attempt(os.listdir, '/var/log'),"
        " attempt(os.listdir, '/root')]",
    )
    assert said == ["EACCES"] * 6


def test_a_link_does_not_lead_out(person) -> None:
    (person.base / "letter").write_text("dear")
    said = tried(
        person,
        "os.symlink('{base}/letter', 'scratch/letter')\n"
        "said = [attempt(open, 'scratch/letter'), attempt(os.link, '{base}/letter', 'scratch/own')]",
    )
    assert said[0] == "EACCES"
    assert said[1] != "done"


def test_nothing_is_written_outside_of_its_own_folders(person) -> None:
    (person.base / "open").mkdir()
    (person.base / "open").chmod(0o777)
    (person.base / "open" / "mine").write_text("text")
    (person.base / "open" / "mine").chmod(0o666)
    said = tried(
        person,
        "def write(path):\n"
        "    with open(path, 'a') as file: file.write('x')\n"
        "place = '{base}/open'\n"
        "said = {name: attempt(*how) for name, how in {\n"
        "    'append': (write, place + '/mine'),\n"
        "    'make': (write, place + '/new'),\n"
        "    'truncate': (os.truncate, place + '/mine', 0),\n"
        "    'remove': (os.unlink, place + '/mine'),\n"
        "    'rename': (os.rename, place + '/mine', place + '/yours'),\n"
        "    'take': (os.rename, place + '/mine', 'scratch/mine'),\n"
        "    'folder': (os.mkdir, place + '/inner'),\n"
        "    'link': (os.symlink, 'mine', place + '/link'),\n"
        "    'pipe': (os.mkfifo, place + '/pipe'),\n"
        "    'tmp': (write, '/tmp/kedge-of-a-test'),\n"
        "    'input': (write, 'in/data.json'),\n"
        "    'package': (write, 'bolts.py'),\n"
        "    'kernel': (write, '/proc/self/oom_score_adj'),\n"
        "}.items()}",
        package={"bolts.py": "x = 1"},
    )
    assert {name: result for name, result in said.items() if result == "done"} == {}
    assert (person.base / "open" / "mine").read_text() == "text"
    assert os.listdir(person.base / "open") == ["mine"]


def test_paths_of_the_machines_owner_are_readable_and_no_more(person) -> None:
    tools = person.base / "tools"
    tools.mkdir()
    tools.chmod(0o777)
    (tools / "table").write_text("1")
    said = tried(
        person,
        "said = [open('{base}/tools/table').read(), attempt(open, '{base}/tools/table', 'w'),"
        " attempt(open, '{base}/tools/new', 'w')]",
        paths=[str(tools)],
    )
    assert said == ["1", "EACCES", "EACCES"]


@pytest.mark.parametrize("path", ["/", "//", "/usr/..", "relative"])
def test_a_path_that_would_open_everything_is_refused(somebody, path) -> None:
    answer = somebody.run("true", kind="process", paths=[path])
    assert answer["error"][0] == "UsageError"


def test_a_path_that_is_not_there_is_named(somebody) -> None:
    answer = somebody.run("true", kind="process", paths=["/no/such/path"])
    assert answer["error"][0] == "Unavailable"
    assert "'/no/such/path' is not on this machine" in answer["error"][1]


def test_a_program_outside_is_not_found(somebody) -> None:
    (somebody.base / "tool").write_text("#!/bin/sh\n")
    (somebody.base / "tool").chmod(0o755)
    answer = somebody.run(str(somebody.base / "tool"), kind="process")
    assert answer["error"][0] == "StartFailed"
    assert "was not found" in answer["error"][1]


# --- processes


def test_no_process_outside_is_signalled_or_given_limits(person) -> None:
    answer = person.python(
        TRY + "import json, resource, signal\n"
        "others = [os.getppid(), int('{own}'), int('{pid}')]\n"
        "print(json.dumps([attempt(os.kill, one, signal.SIGKILL) for one in others]"
        " + [attempt(os.kill, one, 0) for one in others]"
        " + [attempt(resource.prlimit, one, resource.RLIMIT_CPU, (1, 1)) for one in others]"
        " + [attempt(signal.pidfd_send_signal, os.pidfd_open(one), 9) for one in others]))",
        kind="process",
    )
    assert answer["ended"]["exit_code"] == 0, answer
    assert json.loads(answer["stdout"]) == ["EPERM"] * 12
    assert answer["neighbour_lives"]


def test_other_processes_are_not_looked_into(person) -> None:
    said = tried(
        person,
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "said = [attempt(open, f'/proc/{one}/{what}') for one in (os.getppid(), int('{pid}'))"
        " for what in ('environ', 'mem', 'maps')]\n"
        "said += [attempt(os.listdir, f'/proc/{one}/{what}') for one in (os.getppid(), int('{pid}'))"
        " for what in ('root/tmp', 'cwd')]\n"
        "said += [attempt(os.readlink, f'/proc/{one}/fd/0') for one in (os.getppid(), int('{pid}'))]\n"
        "for request in (16, 0x4206):\n"
        "    assert libc.ptrace(request, int('{pid}'), None, None) == -1\n"
        "    said.append(errno.errorcode[ctypes.get_errno()])",
    )
    assert set(said) <= {"EACCES", "EPERM"}, " ".join(said)


def test_no_namespace_can_be_made(person) -> None:
    said = tried(
        person,
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "said = []\n"
        "for flags in (0x10000000, 0x00020000, 0x40000000):\n"
        "    said.append((libc.unshare(flags), errno.errorcode[ctypes.get_errno()]))",
    )
    assert said == [[-1, "EPERM"]] * 3


# --- network


SOCKETS = (
    "import socket\n"
    "def connect():\n"
    "    with socket.socket() as one: one.connect(('127.0.0.1', int('{port}')))\n"
    "def listen():\n"
    "    with socket.socket() as one: one.bind(('127.0.0.1', 0))\n"
    "def abstract():\n"
    "    with socket.socket(socket.AF_UNIX) as one: one.connect('\\0kedge-test-{own}')\n"
    "def pair():\n"
    "    for one in socket.socketpair(): one.close()\n"
    "def sort(family, kind):\n"
    "    socket.socket(family, kind).close()\n"
)


def test_no_socket_leads_out_of_the_machine(person) -> None:
    said = tried(
        person,
        SOCKETS + "said = [attempt(connect), attempt(listen)]"
        " + [attempt(sort, family, kind) for family, kind in"
        " ((2, 2), (2, 3), (10, 1), (10, 2), (16, 3), (17, 3), (29, 3), (38, 5), (40, 1))]",
    )
    assert set(said) == {"EPERM"}


def test_named_sockets_of_its_own_work_and_abstract_ones_of_others_do_not(person) -> None:
    said = tried(person, SOCKETS + "said = [attempt(abstract), attempt(pair)]")
    assert said == ["EPERM", "done"]


def test_with_network_the_hosts_is_there(person) -> None:
    said = tried(
        person,
        SOCKETS
        + "said = [attempt(connect), attempt(listen), attempt(sort, 2, 2), attempt(abstract)]",
        network=True,
    )
    assert said == ["done", "done", "done", "EPERM"]


def test_landlock_alone_closes_tcp(somebody, monkeypatch) -> None:
    monkeypatch.setattr("kedge.executor.seccomp.supported", lambda: False)
    said = tried(somebody, SOCKETS + "said = [attempt(connect), attempt(listen)]")
    assert said == ["EACCES", "EACCES"]


def test_the_filter_alone_closes_the_network(somebody, monkeypatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    said = tried(somebody, SOCKETS + "said = [attempt(connect), attempt(sort, 2, 2)]")
    assert said == ["EPERM", "EPERM"]


# --- ordinary programs

ORDINARY = {
    "programs and pipes": (
        "import subprocess\n"
        "said = subprocess.run('echo a | tr a b; ls /usr/bin | wc -l > /dev/null', shell=True,"
        " capture_output=True, text=True, check=True).stdout",
        "b\n",
    ),
    "processes that share locks": (
        "import multiprocessing\n"
        "context = multiprocessing.get_context('fork')\n"
        "lock, found = context.Lock(), context.Value('i', 0)\n"
        "def add():\n"
        "    with lock: found.value += 1\n"
        "workers = [context.Process(target=add) for _ in range(4)]\n"
        "[one.start() for one in workers]; [one.join() for one in workers]\n"
        "said = found.value",
        4,
    ),
    "a manager": (
        "import multiprocessing\n"
        "with multiprocessing.get_context('fork').Manager() as manager:\n"
        "    said = list(manager.list([1, 2]))",
        [1, 2],
    ),
    "shared memory": (
        "from multiprocessing import resource_tracker, shared_memory\n"
        "one = shared_memory.SharedMemory(create=True, size=100)\n"
        "two = shared_memory.SharedMemory(one.name)\n"
        "one.buf[0] = 7; said = two.buf[0]; two.close(); one.close(); one.unlink()",
        7,
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool: said = sum(pool.map(abs, range(-5, 0)))",
        15,
    ),
    "temporary files": (
        "import tempfile\n"
        "with tempfile.NamedTemporaryFile('w+') as file, tempfile.TemporaryDirectory(dir='scratch'):\n"
        "    file.write('x'); file.seek(0); said = file.read()",
        "x",
    ),
    "files that move between its folders": (
        "import os, tempfile\n"
        "open('scratch/a', 'w').write('1'); os.rename('scratch/a', 'out/files/b')\n"
        "os.mkdir('scratch/folder'); os.rename('scratch/folder', 'out/folder')\n"
        "place = tempfile.mkdtemp(); open(place + '/c', 'w').close()\n"
        "os.rename(place + '/c', 'out/c'); os.link('out/c', 'scratch/d')\n"
        "os.truncate('out/c', 5); said = sorted(os.listdir('out'))",
        ["artifacts", "c", "files", "folder"],
    ),
    "a program that it made": (
        "import os, subprocess\n"
        "open('scratch/tool', 'w').write('#!/bin/sh\\necho $1\\n'); os.chmod('scratch/tool', 0o755)\n"
        "said = subprocess.run(['scratch/tool', 'x'], capture_output=True, text=True).stdout",
        "x\n",
    ),
    "devices": (
        "import os\n"
        "open('/dev/null', 'w').write('x'); open('/dev/stdout', 'w').close()\n"
        "said = [len(open('/dev/urandom', 'rb', 0).read(4)), os.isatty(os.open('/dev/null', 2))]",
        [4, False],
    ),
    "the machine's facts": (
        "import locale, mimetypes, os, pwd, platform, socket, ssl\n"
        "mimetypes.init(); platform.freedesktop_os_release(); ssl.create_default_context()\n"
        "open('/proc/cpuinfo').read(); open('/proc/self/status').read(); os.sysconf('SC_NPROCESSORS_ONLN')\n"
        "said = [os.cpu_count() > 0, pwd.getpwuid(0).pw_name, socket.gethostbyname('localhost')]",
        [True, "root", "127.0.0.1"],
    ),
    "a queue and an event loop": (
        "import asyncio\n"
        "async def main():\n"
        "    done = await asyncio.create_subprocess_exec('true')\n"
        "    server = await asyncio.start_unix_server(lambda r, w: w.close(), 'scratch/socket')\n"
        "    reader, writer = await asyncio.open_unix_connection('scratch/socket')\n"
        "    await reader.read(); writer.close(); server.close()\n"
        "    return await done.wait()\n"
        "said = asyncio.run(main())",
        0,
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_programs_work(person, name) -> None:
    code, expected = ORDINARY[name]
    assert person.told(code, kind="process") == expected


def test_an_environment_in_a_folder_of_its_own_works(somebody) -> None:
    """An interpreter and its packages outside of /usr, as `uv` lays them out."""
    place = somebody.base / "environment"
    subprocess.run(
        ["/usr/bin/python3", "-m", "venv", "--without-pip", str(place)], check=True, env={}
    )
    answer = somebody.run(
        str(place / "bin" / "python"),
        "-c",
        "import sys, sqlite3, decimal; print(sys.prefix)",
        visible=[str(place)],
        kind="process",
    )
    assert answer["stdout"] == f"{place}\n", answer


# --- root


def test_root_that_stays_root_keeps_its_files_and_no_other_privilege(somebody, monkeypatch) -> None:
    monkeypatch.setattr(identity, "needed", lambda: False)
    said = tried(
        somebody,
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "said = [status['CapEff'].strip(), status['CapPrm'].strip(), attempt(open, '/etc/shadow'),"
        " attempt(open, '/etc/passwd', 'a'), attempt(os.setresuid, 1, 1, 1),"
        " attempt(__import__('socket').sethostname, 'x'), attempt(os.listdir, '/root'), open('in/data.json').read()]",
    )
    if not somebody.is_root:
        assert said[0] == said[1] == "0000000000000000"
        return
    assert said[:2] == ["0000000000000002"] * 2
    assert said[2:] == ["EACCES", "EACCES", "EPERM", "EPERM", "EACCES", "{}"]


def test_terminals_of_others_are_out_of_reach_of_the_same_account(somebody, monkeypatch) -> None:
    monkeypatch.setattr(identity, "needed", lambda: False)
    said = tried(somebody, "said = [attempt(os.listdir, '/dev/pts'), attempt(os.openpty)]")
    assert said == ["EACCES", "EACCES"]


def test_an_account_of_its_own_has_terminals_and_leaves_no_shared_memory(make_person) -> None:
    if os.geteuid() != 0:
        return  # nobody else can give a run an account
    root = make_person("root")
    said = tried(
        root,
        "import sys\n"
        "open('/dev/shm/kedge-' + str(os.getpid()), 'w').write('left')\n"
        "said = [attempt(os.openpty), os.listdir('/dev/shm'), os.getpid()]",
    )
    assert said[0] == "done"
    assert f"kedge-{said[2]}" in said[1]
    assert f"kedge-{said[2]}" not in os.listdir("/dev/shm")


# --- where there is no Landlock


WITHOUT = """
import runpy, sys
from kedge.executor import identity, landlock
landlock.abi = lambda: 0
identity.needed = lambda: False
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without_landlock(person, argv, **request):
    """What comes of executing `argv` as `person`, in a program for which the kernel has no Landlock.

    Root stays root there, so that a guard is of the same account as what it guards.
    """
    place = person.base.parent / "without.py"
    place.write_text(WITHOUT)
    place.chmod(0o644)
    command = person.command()
    done = subprocess.run(
        [*command[:-1], str(place), command[-1]],
        input=json.dumps({"base": str(person.base), "argv": argv, "kind": "process", **request}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


ESCAPE = """
import os, signal, sys, time
reading, writing = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, writing)
            os.chdir("/")
            os.execve("/bin/sleep", ["sleep", "%s"], {})
        os._exit(0)
    os.wait()
os.close(writing)
os.read(reading, 1)  # ends when all of them are a sleep: exec closes the pipe
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(%s)
"""


@pytest.mark.parametrize("last", ["0", "1000"])
def test_who_kills_its_guard_is_found_by_the_one_who_started_it(person, marker, last) -> None:
    seconds, living = marker
    code = ESCAPE % (seconds, last)
    answer = without_landlock(
        person, ["/usr/bin/python3", "-I", "-S", "-c", code], resources={"timeout": 1, "grace": 0.1}
    )
    assert living() == []
    assert answer["ended"]["signal"] == signal.SIGKILL
    assert os.path.isdir(answer["workspace"])


def test_with_landlock_the_guard_is_not_killed(person, marker, monkeypatch) -> None:
    seconds, living = marker
    monkeypatch.setattr(identity, "needed", lambda: False)
    answer = person.python(ESCAPE % (seconds, "0"), kind="process")
    assert "PermissionError" in answer["stderr"]
    assert answer["ended"]["exit_code"] == 1
    assert living() == []


def test_without_landlock_files_are_open_and_that_is_said(person, monkeypatch) -> None:
    (person.base / "letter").write_text("dear")
    answer = without_landlock(person, ["cat", str(person.base / "letter")])
    assert answer["stdout"] == "dear"
    monkeypatch.setattr(landlock, "_asked", lambda: -errno.ENOSYS)
    said = " ".join(ProcessExecutor().missing(Resources(1, 100)))
    assert "files are not isolated" in said
    assert "this kernel has no Landlock (use Linux 5.13 or newer" in said


# --- only what came from this run is killed


def start(argv, **more):
    return guarded.start(
        guarded.Specification(argv, {"PATH": "/usr/bin:/bin"}, "/", {}, None, **more)
    )


def test_only_the_runs_own_are_killed(marker) -> None:
    seconds, living = marker
    own = subprocess.Popen(["sleep", "1000"])
    other = start(("sleep", "1000"), mark=marks.of("other"))
    one = start(
        ("sh", "-c", f"setsid sleep {seconds} & setsid sleep {seconds} & sleep 1000"),
        mark=marks.of("one"),
    )
    try:
        wait_until(lambda: len(living()) == 2)
        os.kill(one._guard, signal.SIGKILL)
        assert processes.wait_readable(one.ended, 10)
        assert one.settle().signal == signal.SIGKILL
        assert living() == []
        assert own.poll() is None
        assert not processes.wait_readable(other.ended, 0)
        assert len(other.processes()) == 1
    finally:
        one.close()
        other.close()
        own.kill()
        own.wait()
    assert marks.kill_all(marks.of("other") or 0, 0) == []


def test_a_listener_that_fails_after_the_guard_was_killed_leaves_nothing(marker) -> None:
    seconds, living = marker
    one = start(("sh", "-c", f"setsid sleep {seconds} & sleep 1000"), mark=marks.of("one"))
    wait_until(lambda: len(living()) == 1)
    os.kill(one._guard, signal.SIGKILL)
    one.close()
    assert living() == []


def test_a_mark_cannot_be_taken_off(person) -> None:
    said = tried(
        person,
        "import ctypes, resource\n"
        "held = resource.getrlimit(10)\n"
        "said = [held[0] == held[1] > 0, attempt(resource.setrlimit, 10, (0, 0)),"
        " attempt(resource.prlimit, 0, 10, (0, 0)), resource.prlimit(0, 10) == held,"
        " attempt(resource.setrlimit, resource.RLIMIT_CORE, (0, 0))]",
    )
    assert said == [True, "EPERM", "EPERM", True, "done"]


def test_marks_differ_and_a_run_in_a_run_has_none(person) -> None:
    assert marks.of("a") != marks.of("b")
    shutil.copy(marks.__file__, person.base / "marks.py")
    said = person.told(
        "import runpy; said = runpy.run_path('{base}/marks.py')['of']('a')",
        kind="process",
        paths=[str(person.base / "marks.py")],
    )
    assert said is None


# --- what a guard takes on besides


def test_the_programs_of_a_run_are_told(marker) -> None:
    seconds, living = marker
    one = start(("sh", "-c", f"setsid sleep {seconds} & setsid sleep {seconds} & wait"))
    try:
        wait_until(lambda: len(living()) == 2)
        assert set(living()) < set(one.processes())
        assert one._guard not in one.processes()
        assert len(one.processes()) == 3
    finally:
        one.close()
    assert one.processes() == []


def test_a_program_comes_in_by_the_entrances_of_its_groups(tmp_path) -> None:
    doors = [tmp_path / "memory", tmp_path / "cpu"]
    for door in doors:
        door.touch()
    start(("true",), entrances=tuple(map(str, doors))).close()
    assert [door.read_text() for door in doors] == ["0", "0"]


def test_an_entrance_that_is_closed_is_said(tmp_path) -> None:
    with pytest.raises(StartFailed, match=os.strerror(errno.ENOENT)):
        start(("true",), entrances=(str(tmp_path / "no" / "entrance"),))


def test_a_program_is_kept_to_its_processors() -> None:
    last = max(os.sched_getaffinity(0))
    one = start(("grep", "Cpus_allowed_list", "/proc/self/status"), processors=(last,))
    try:
        assert os.read(one.stdout, 1000).split() == [b"Cpus_allowed_list:", str(last).encode()]
    finally:
        one.close()


# --- as data


def test_a_ruleset_asks_for_what_the_version_knows() -> None:
    def rules(version: int, *, network: bool = False) -> landlock.Ruleset:
        return landlock.ruleset(
            version, readable=["/usr"], writable=["/w"], devices=["/dev/null"], network=network
        )

    assert rules(1).files == 0x1FFF
    assert rules(2).files == 0x3FFF
    assert rules(3).files == 0x7FFF
    assert rules(5).files == 0xFFFF
    assert [rules(version).network for version in (3, 4)] == [0, 3]
    assert rules(7, network=True).network == 0
    assert [rules(version).scopes for version in (5, 6)] == [0, 3]
    for version in range(1, 8):
        found = rules(version)
        assert all(access & ~found.files == 0 for _, access in found.paths)


@pytest.mark.parametrize("version", range(1, 8))
def test_every_version_starts_programs(somebody, monkeypatch, version) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: version)
    (somebody.base / "letter").write_text("dear")
    said = tried(somebody, "open('out/a', 'w').write('a')\nsaid = [attempt(open, '{base}/letter')]")
    assert said == ["EACCES"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (-errno.ENOSYS, "this kernel has no Landlock"),
        (-errno.EOPNOTSUPP, "Landlock is switched off"),
        (-errno.EPERM, "Landlock's system calls are refused here"),
        (-errno.EIO, "Landlock does not answer: Input/output error"),
    ],
)
def test_a_kernel_without_it_is_explained(monkeypatch, asked, reason) -> None:
    monkeypatch.setattr(landlock, "_asked", lambda: asked)
    found = landlock.state()
    assert (found.abi, found.confines, found.reason) == (0, (), reason)
    assert found.hint
    assert landlock.abi() == 0


def test_an_old_version_is_told_with_what_it_lacks(monkeypatch) -> None:
    monkeypatch.setattr(landlock, "_asked", lambda: 2)
    found = landlock.state()
    assert found.confines == ("files", "renames between folders")
    assert found.lacks == ("truncation", "TCP", "device control", "signals and abstract sockets")
    assert found.hint == "use Linux 6.12 or newer"
    said = " ".join(ProcessExecutor().missing(Resources(1, 100)))
    assert "can empty any file" in said


def test_what_is_reached_is_listed_without_links(tmp_path) -> None:
    from kedge.contract.workspace import Workspace

    for name in ("out", "scratch", "tmp"):
        (tmp_path / name).mkdir()
    found = reach(
        HostRoot(), Workspace(str(tmp_path), None), str(tmp_path / "tmp"), own_account=False
    )
    assert found.locate("/bin/sh") == "/bin/sh"
    assert found.locate(str(tmp_path / "in")) is not None
    assert found.locate("/usrlocal") is None
    assert found.locate(str(tmp_path.parent)) is None
    for path in (*found.readable, *found.writable, *found.devices):
        assert os.path.realpath(path) == path
    with pytest.raises(UsageError):
        reach(HostRoot(), Workspace(str(tmp_path), None), "/t", paths=("/",), own_account=False)


def wait_until(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


if sys.platform != "linux":
    pytest.skip("these are Linux's", allow_module_level=True)
