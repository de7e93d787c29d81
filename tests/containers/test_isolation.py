"""What code in a container can see and do: no more than in the sandbox, and nothing of the machine's."""

import json
import os
import runpy
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS / "packages" / "hostile-image"
SANDBOX = runpy.run_path(str(TESTS / "executor" / "test_isolation.py"))
OTHERS = {False: 1, True: 3}  # processes: the first one, and warm those that wait for calls
PATIENCE_S = 30.0  # for an engine to remove what was killed
PASSWORD = "not-for-functions"
WRITABLE = ["/dev/mqueue", "/dev/shm", "/tmp"]
OWN = ["/workspace/out", "/workspace/out/artifacts", "/workspace/out/files", "/workspace/scratch"]

# What an image may have in it to get at more.
DOCKERFILE = """\
FROM localhost/kedge-test/debian:bookworm
RUN cp /usr/bin/python3 /opt/root-python && chmod 4755 /opt/root-python
RUN cp /usr/bin/python3 /opt/capable-python && python3 -c "import os, struct; os.setxattr( \\
    '/opt/capable-python', 'security.capability', struct.pack('<IIIII', 0x2000001, 0xffffffff, 0, 0x1ff, 0))"
RUN mkdir /opt/volume && chmod 777 /opt/volume
"""
VOLUME = "VOLUME /opt/volume\n"  # with which there are no warm containers
RUNTIME = "runtime: {kind: dockerfile, dockerfile: Dockerfile"

FILL = """
import time
with open("{place}/filler", "wb") as file:
    file.writelines(b"x" * (1 << 20) for _ in range(400))
time.sleep(20)
"""
CONNECT = """
import json, socket
try:
    socket.create_connection(("127.0.0.1", {port}), 5).close()
    said = True
except OSError:
    said = False
json.dump({{"said": said}}, open("/workspace/out/data.json", "w"))
"""
READ = """
import json
said = {{}}
for path in ("{folder}/open", "{folder}/closed", "/workspace/in/files/letter.txt"):
    try:
        said[path.rpartition("/")[2]] = open(path).read()
    except PermissionError:
        said[path.rpartition("/")[2]] = None
json.dump({{"said": said}}, open("/workspace/out/data.json", "w"))
"""
AS_ROOT = """
import json, os, shutil
done = []
for deed, arguments in ((os.chown, ("/workspace/scratch", 1, 1)), (os.mknod, ("/workspace/scratch/n", 0o20666, 259)),
                        (os.setuid, (1,)), (os.chroot, ("/workspace",)), (os.nice, (-1,))):
    try:
        deed(*arguments)
        done.append(deed.__name__)
    except PermissionError:
        pass
shutil.copy("/usr/bin/true", "/workspace/out/artifacts/program")
os.chmod("/workspace/out/artifacts/program", 0o4755)
status = open("/proc/self/status").read()
said = {"uid": os.getuid(), "capabilities": status.split("CapBnd:")[1].split()[0], "done": done}
json.dump({"said": said}, open("/workspace/out/data.json", "w"))
"""
NEIGHBOURS = """
import json, os, time
open("/workspace/scratch/mine", "w").close()
time.sleep(2)
said = {"uid": os.getuid(), "files": os.listdir("/workspace/scratch"),
        "processes": sum(name.isdigit() for name in os.listdir("/proc"))}
json.dump({"said": said}, open("/workspace/out/data.json", "w"))
"""


def letter(port: int) -> str:
    """What the program that looks around has to know: the probes of the sandbox's tests, and this process."""
    reach = SANDBOX["REACH"].replace("{port}", str(port)).replace("{own}", str(os.getpid()))
    probes = {"reach": reach, "privilege": SANDBOX["PRIVILEGE"], "calls": SANDBOX["CALLS"]}
    return json.dumps({"process": os.getpid(), "probes": probes})


@pytest.fixture
def package(tmp_path: Path, engine: Engine, kedge_home: Path) -> Iterator[Path]:
    """The package on an image of its own, which is removed again."""
    folder = tmp_path / "tempting"
    folder.mkdir()
    manifest = (PACKAGE / "kedge.yml").read_text()
    lines = [line for line in manifest.splitlines() if not line.startswith("runtime:")]
    (folder / "kedge.yml").write_text("\n".join([f"{RUNTIME}}}", *lines]))
    (folder / "Dockerfile").write_text(DOCKERFILE + VOLUME)
    yield folder
    own = ("--quiet", "--filter", f"label=kedge.home={kedge_home}")
    found = subprocess.run([engine.path, "images", *own], capture_output=True, text=True)
    subprocess.run([engine.path, "rmi", "--force", *found.stdout.split()], capture_output=True)


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
def is_warm(request: pytest.FixtureRequest) -> bool:
    """Whether runs are in containers that were used before."""
    if request.param and os.geteuid() != 0:
        pytest.skip("only root can clean a container")
    return request.param


@pytest.fixture
def anyhow(
    is_warm: bool, kedge_alone: Any, containers: Any, kedge_home: Path, agent_of: Any
) -> Iterator[Any]:
    """A command line with an agent, or without. Afterwards no container of it is there."""
    if is_warm:
        with agent_of(kedge_home):
            yield kedge_alone
            assert containers() != []
        until = time.monotonic() + PATIENCE_S
        while containers() and time.monotonic() < until:
            time.sleep(0.05)
    else:
        yield kedge_alone
    assert containers() == []


@pytest.fixture
def told(anyhow: Any, is_warm: bool, engine: Engine, tmp_path: Path) -> Any:
    """Runs a program on the engine: its answer. Warm, it is the second one in its container."""

    def runs(code: str, *words: str, function: str = "look", package: Path = PACKAGE) -> Any:
        place = tmp_path / "code.py"
        place.write_text(code)
        named = (f"code={place}", *words, "--executor", engine.kind, "--json")
        said = [
            anyhow("run", package, function, *named).json["said"]
            for _ in range(2 if is_warm else 1)
        ]
        return said[-1]

    return runs


def volumes(engine: Engine) -> set[str]:
    """The volumes that the engine has."""
    done = subprocess.run([engine.path, "volume", "ls", "-q"], capture_output=True, text=True)
    return set(done.stdout.split())


def test_it_sees_and_can_do_nothing_of_the_machines(
    package: Path, told: Any, is_warm: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if is_warm:
        (package / "Dockerfile").write_text(DOCKERFILE)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HOST_SECRET"):
        monkeypatch.setenv(name, f"http://somebody:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(f"\0kedge-test-{os.getpid()}")
        unix.listen()
        path = tmp_path / "letter.txt"
        path.write_text(letter(server.getsockname()[1]))
        probe = (PACKAGE / "probe.py").read_text()
        said = told(probe, f"letter={path}", package=package)
    assert said["uid"] >= 1_900_000_000
    assert said["gid"] == said["uid"]
    assert said["groups"] in ([], [said["gid"]])
    # Its variables are the image's and the contract's, whatever the caller and the engine have.
    assert PASSWORD not in json.dumps(said["variables"])
    assert not {"HOST_SECRET", "NO_PROXY", "KEDGE_HOME"} & set(said["variables"])
    assert said["hostname"] != socket.gethostname()
    # Nothing of the machine's is there to be asked, killed or written to.
    assert said["reach"] == {"tcp": False, "unix": False, "interfaces": ["lo"]}
    assert len(said["processes"]) == OTHERS[is_warm] + 1 and said["killed"] == []
    assert said["sockets"] == said["disks"] == said["shadow"] == []
    # The first process is the run's own account's too.
    assert set(said["kernel"]) <= {"/proc/1/mem", "/proc/1/oom_score_adj"}
    assert said["descriptors"] == ["0", "1", "2", "3"] and said["stdin"] == ""  # 3 lists the folder
    assert said["writable"] == sorted([*WRITABLE, *OWN, *([] if is_warm else ["/opt/volume"])])
    assert said["core"] == [0, 0] and said["files"][0] >= 1024
    assert said["shared memory"] == 128 << 20 and said["tmp on disk"]
    # No privilege, and no way to any, by what is in the image either.
    privilege = said["privilege"]
    assert (privilege.pop("NoNewPrivs"), privilege.pop("Seccomp")) == (1, 2)
    assert set(privilege.values()) == {0}
    assert {"/usr/bin/su", "/opt/root-python"} <= set(said["setuid"])
    assert said["su"] != 0
    assert said["others"]["/opt/root-python"] == [str(said["uid"]), "0" * 16]
    assert said["others"]["/opt/capable-python"] == ["Operation not permitted"]
    calls = said["calls"]
    assert calls.pop("clone3") == "ENOSYS"
    assert set(calls.values()) == {"EPERM"}, calls


def test_the_network_is_the_hosts_when_asked_for(told: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = CONNECT.format(port=server.getsockname()[1])
        assert told(code, function="connected") is True
        assert told(code) is False


def test_what_only_its_owner_may_read_is_read_where_it_is_given(
    told: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A path that is shown has its own permissions; an input is the run's to read."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's run is still that user")
    folder = Path(tempfile.mkdtemp(prefix="kedge-test-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        (folder / "open").write_text("all may read this")
        closed = folder / "closed"
        closed.write_text("secret")
        closed.chmod(0o600)
        letter = tmp_path / "letter.txt"
        letter.write_text("mine")
        letter.chmod(0o600)
        monkeypatch.setenv("KEDGE_SANDBOX_PATHS", str(folder))
        said = told(READ.format(folder=folder), f"letter={letter}")
    finally:
        shutil.rmtree(folder)
    assert said == {"open": "all may read this", "closed": None, "letter.txt": "mine"}
    assert letter.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("runtime", "place"), [("", "/opt/volume"), (", writable: true", "/var/tmp")]
)
def test_whatever_it_can_write_to_is_its_disk(
    kedge_alone: Any,
    containers: Any,
    engine: Engine,
    package: Path,
    tmp_path: Path,
    runtime: str,
    place: str,
) -> None:
    manifest = package / "kedge.yml"
    manifest.write_text(manifest.read_text().replace(f"{RUNTIME}}}", f"{RUNTIME}{runtime}}}"))
    code = tmp_path / "code.py"
    code.write_text(FILL.format(place=place))
    before = volumes(engine)
    words = (f"code={code}", "--executor", engine.kind, "--json")
    error = kedge_alone("run", package, "look", *words, code=1).json["error"]
    assert error["kind"] == "out_of_disk" and "200 MB" in error["message"]
    assert containers() == []
    assert volumes(engine) <= before


def test_the_images_own_root_has_no_privilege_either(
    kedge_alone: Any, engine: Engine, tmp_path: Path
) -> None:
    manifest = (PACKAGE / "kedge.yml").read_text().replace('bookworm"}', 'bookworm", user: image}')
    folder = tmp_path / "as-root"
    folder.mkdir()
    (folder / "kedge.yml").write_text(manifest)
    code = tmp_path / "code.py"
    code.write_text(AS_ROOT)
    words = (f"code={code}", "--executor", engine.kind, "--json")
    ended = kedge_alone("run", folder, "look", *words).json
    assert ended["said"] == {"uid": 0, "capabilities": "0" * 16, "done": []}
    kept = Path(ended["_artifacts"]["program"]["uri"].removeprefix("file://"))
    assert kept.stat().st_uid == os.geteuid()
    assert not kept.stat().st_mode & stat.S_ISUID


def test_two_runs_at_once_are_two_accounts_that_do_not_see_each_other(
    anyhow: Any, is_warm: bool, engine: Engine, tmp_path: Path
) -> None:
    code = tmp_path / "code.py"
    code.write_text(NEIGHBOURS)
    words = ("run", PACKAGE, "look", f"code={code}", "--executor", engine.kind, "--json")
    both = [anyhow.start(*words) for _ in range(2)]
    said = [json.loads(process.communicate(timeout=120)[0])["said"] for process in both]
    if os.geteuid() == 0:
        assert said[0]["uid"] != said[1]["uid"]
    for one in said:
        assert one["files"] == ["mine"] and one["processes"] == OTHERS[is_warm] + 1
