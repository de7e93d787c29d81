"""What is particular to runs without a sandbox: a real folder, copies, and who they run as."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kedge.executor import identity, staging


def test_the_workspace_is_a_real_folder_with_the_package_linked_into_it(person) -> None:
    answer = person.python(
        "import os; print(os.getcwd() == os.environ['KEDGE_WORKSPACE'], sorted(os.listdir()),"
        " open('bolts.py').read(), os.environ['HOME'], os.environ['TMPDIR'])",
        kind="process",
        package={"bolts.py": "x = 1", "tmp": ""},
    )
    assert answer["ended"]["exit_code"] == 0, answer
    folder = answer["workspace"]
    assert answer["stdout"] == (
        "True ['.kedge-tmp', 'bolts.py', 'in', 'out', 'scratch', 'tmp'] x = 1"
        f" {folder}/scratch {folder}/.kedge-tmp\n"
    )
    assert answer["left_beside"] == ["in", "out", "scratch"]


def test_nothing_of_the_hosts_environment_leaks_in(person) -> None:
    answer = person.python("import os; print('HOST_SECRET' in os.environ)", kind="process")
    assert answer["stdout"] == "False\n"


def test_inputs_are_read_only_likenesses(person) -> None:
    source = person.base / "mesh.med"
    source.write_text("mesh")
    answer = person.python(
        "import os\n"
        "place = os.environ['KEDGE_WORKSPACE'] + '/in/files/mesh.med'\n"
        "print(open(place).read(), oct(os.stat(place).st_mode), os.stat(place).st_ino)",
        kind="process",
        files=[[str(source), "in/files/mesh.med"]],
    )
    text, mode, inode = answer["stdout"].split()
    assert (text, mode) == ("mesh", "0o100444")
    assert int(inode) != source.stat().st_ino


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on a file system of its own, from which nothing can be had without copying."""
    folder = tempfile.mkdtemp(prefix="kedge-test-", dir="/dev/shm")
    yield Path(folder)
    shutil.rmtree(folder)


def test_a_copy_that_takes_time_is_said(
    somebody, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert staging.NOTEWORTHY_BYTES == 10**9
    monkeypatch.setattr(staging, "NOTEWORTHY_BYTES", 3 << 20)
    for name in ("one", "two"):
        (elsewhere / name).write_bytes(b"x" * (2 << 20))
        (elsewhere / name).chmod(0o644)
    files = [[str(elsewhere / name), f"in/files/{name}"] for name in ("one", "two")]

    def copies(kind: str, number: int) -> list[str]:
        answer = somebody.run("true", kind=kind, files=files[:number])
        assert answer["ended"]["exit_code"] == 0
        return [text for text in answer["notices"] if "copied" in text]

    assert copies("process", 1) == []
    said = ["4 MB of input files were copied; the sandbox would not have to"]
    assert copies("process", 2) == said
    elsewhere.chmod(0o755)
    monkeypatch.setattr(staging, "NOTEWORTHY_BYTES", 1)
    assert copies("sandbox", 2) == []


def test_a_copy_that_only_the_owners_mode_asks_for_is_said(
    somebody, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "NOTEWORTHY_BYTES", 1 << 20)
    closed = elsewhere / "closed"
    closed.write_bytes(b"x" * (2 << 20))
    closed.chmod(0o600)
    answer = somebody.run("true", kind="sandbox", files=[[str(closed), "in/files/closed"]])
    assert answer["ended"]["exit_code"] == 0
    copied = [f"{closed} was copied (2 MB), since only its owner may read it"]
    assert answer["notices"] == (copied if somebody.is_root else [])


def test_a_run_of_roots_is_somebody_else_when_that_can_work(person) -> None:
    answer = person.python("import os; print(os.getuid())", kind="process")
    uid = int(answer["stdout"])
    if person.is_root:
        assert uid >= 1_900_000_000
    else:
        assert uid == answer["uid"] != 0
    assert answer["notices"] == []


CLOSED = """
import errno, os
said = {"uid": os.getuid(), "wrote": open("out/x", "w").write("1")}
for name, deed in {
    "mode": lambda: os.chmod("{base}/secret", 0o666),
    "read": lambda: open("{base}/secret").read(),
    "own": lambda: os.chown("out/x", 0, 0),
}.items():
    try:
        said[name] = deed()
    except OSError as error:
        said[name] = error.errno
"""


def test_where_everything_is_closed_to_others_root_still_becomes_somebody_else(somebody) -> None:
    (somebody.base / "secret").write_text("x")
    (somebody.base / "secret").chmod(0o600)
    somebody.base.chmod(0o700)
    said = somebody.told(CLOSED, kind="process")
    if somebody.is_root:
        assert said["uid"] >= 1_900_000_000
    refused = (errno.EACCES, errno.EPERM)
    assert said["wrote"] == 1
    assert said["read"] in refused
    assert said["own"] in refused or not somebody.is_root
    assert said["mode"] in refused or not somebody.is_root
    assert (somebody.base / "secret").stat().st_mode & 0o777 == 0o600 or not somebody.is_root


def test_root_that_has_no_numbers_to_give_says_so(somebody, monkeypatch) -> None:
    monkeypatch.setattr(identity, "needed", lambda: False)
    answer = somebody.python("import os; print(os.getuid())", kind="process")
    assert int(answer["stdout"]) == answer["uid"]
    if somebody.is_root:
        [notice] = answer["notices"]
        assert notice.startswith("the code runs as root, kept to its own files and processes by")


def test_what_would_outlive_it_in_the_kernel_is_refused(person) -> None:
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "said = [libc.shmget(0, 4096, 0o1600), ctypes.get_errno()]"
    )
    assert person.told(code, kind="process") == [-1, errno.EPERM]


def test_shared_memory_of_a_killed_run_is_not_the_next_ones(somebody) -> None:
    if not somebody.is_root:
        return  # it is the account's own, and stays so
    first = somebody.told("import os; said = os.getuid()", kind="process")
    left = Path("/dev/shm") / f"kedge-test-{os.getpid()}"
    left.write_text("secret")
    os.chown(left, first, first)
    somebody.python("pass", kind="process")
    assert not left.exists()


def test_no_privilege_can_be_gained(person) -> None:
    answer = person.python(
        "print([line.split()[1] for line in open('/proc/self/status') if 'NoNewPrivs' in line])",
        kind="process",
    )
    assert answer["stdout"] == "['1']\n"


def test_it_leads_a_session_of_its_own_and_has_no_descriptors_of_its_guard(person) -> None:
    answer = person.python(
        "import os; print(os.getsid(0) == os.getpid(), len(os.listdir('/proc/self/fd')))",
        kind="process",
    )
    assert answer["stdout"] == "True 4\n"


@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_code_that_attacks_its_guard_still_ends(person, number, marker) -> None:
    seconds, living = marker
    answer = person.run(
        *("sh", "-c", f"kill -{number} $PPID; exec sleep {seconds}"),
        kind="process",
        resources={"timeout": 0.5, "grace": 0.1},
    )
    assert living() == []
    assert os.path.isdir(answer["workspace"])
