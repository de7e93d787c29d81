"""Programs of images as an ordinary account has them: on Docker through its group, on rootless Podman.

Root plays one, with a number that nobody else has, in a mount namespace where the system's tables know it;
whoever else runs the tests is one.
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kedge as kedge_package
from kedge.executor import processes

SUPPORT = Path(__file__).parents[1] / "support"
IS_ROOT = os.geteuid() == 0
NUMBER = 70_100_000 + os.getpid() if IS_ROOT else os.geteuid()
NAME = f"kedge{NUMBER}"
SOCKET = Path("/var/run/docker.sock")
TABLES = ("passwd", "group", "subuid", "subgid")
USER = 12345
LIMIT_S = 60.0

MANIFEST = """\
name: ordinary
runtime: {{kind: image, image: "{image}"{more}}}
resources: {{memory_mb: 64, cpu: 1, grace: 2}}
functions:
  writes:
    entrypoint: [sh, -c, "{writes}"]
    inputs: {{given: File}}
    outputs: {{uid: Integer, word: File}}
  waits:
    entrypoint: [sh, -c, "{waits}"]
    inputs: {{}}
    outputs: {{}}
  deaf:
    entrypoint: [sh, -c, "trap '' TERM; {closes} echo ready >&2; sleep 61.3 & wait; wait"]
    inputs: {{}}
    outputs: {{}}
  eats:
    entrypoint: [tail, /dev/zero]
    inputs: {{}}
    outputs: {{}}
  forks:
    entrypoint: [sh, -c, "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait"]
    inputs: {{}}
    outputs: {{}}
    resources: {{pids: 8}}
  processors:
    entrypoint: [sh, -c, "{processors}"]
    inputs: {{}}
    outputs: {{allowed: String}}
"""
CLOSES = "umask 077; mkdir -p /workspace/scratch/closed; : > /workspace/scratch/closed/x;"
WRITES = (
    f"set -e; {CLOSES} cd /workspace; cat in/files/given* > out/files/word;"
    r" echo '{\"uid\": '$(id -u)'}' > out/data.json"
)
WAITS = (
    r"trap 'echo {\\\"error\\\": \\\"heard\\\", \\\"type\\\": \\\"Stopped\\\"} >"
    " /workspace/out/_error.json; exit 143' TERM; echo ready >&2; sleep 61.3 & wait"
)
PROCESSORS = (
    "while read name value; do [ $name != Cpus_allowed_list: ] || allowed=$value;"
    r" done < /proc/self/status; echo '{\"allowed\": \"'$allowed'\"}' > /workspace/out/data.json"
)


class Account:
    """Who calls `kedge`, with an engine that it may use."""

    def __init__(self, kind: str, base: Path) -> None:
        self.kind = kind
        self.base = base
        self.home = base / "kedge-home"
        self.words = (*becoming(kind, base), sys.executable, "-m", "kedge")
        self.images: list[str] = []

    def engine(self, *words: object) -> str:
        """What the engine's program says, called by this account."""
        command = [*becoming(self.kind, self.base), self.kind, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_images(self) -> None:
        """Two of them: without a user, and with one."""
        tar = self.base / "root.tar"
        runpy.run_path(str(SUPPORT / "small_image.py"))["write"](tar)
        tar.chmod(0o644)
        for user in ("", f"{USER}:{USER}"):
            name = f"localhost/kedge-test/ordinary:{NUMBER}-{len(self.images)}"
            change = ("--change", f"USER {user}") if user else ()
            self.engine("import", *change, tar, name)
            self.images.append(name)

    def package(self, *, as_image_user: bool = False) -> Path:
        """A package of this account's own."""
        folder = self.base / os.urandom(4).hex()
        folder.mkdir()
        text = MANIFEST.format(
            image=self.images[as_image_user],
            more=", user: image" if as_image_user else "",
            writes=WRITES,
            waits=WAITS,
            closes=CLOSES,
            processors=PROCESSORS,
        )
        (folder / "kedge.yml").write_text(text)
        given = folder / "given.txt"
        given.write_text("word")
        given.chmod(0o600)
        if IS_ROOT:
            for path in (folder, *folder.iterdir()):
                os.chown(path, NUMBER, NUMBER)
        return folder

    def containers(self) -> list[str]:
        return self.engine(
            "ps", "--all", "--quiet", "--filter", f"label=kedge.home={self.home}"
        ).split()

    def leave(self) -> None:
        """Remove the images, and end what an engine of one's own keeps running."""
        if self.images:
            self.engine("rmi", "--force", *self.images)
        if self.kind == "podman" and IS_ROOT:
            self.engine("unshare", "rm", "-rf", self.base / ".local")
            for name in filter(str.isdigit, os.listdir("/proc")):
                if runs_as_account(name):
                    processes.send(int(name), signal.SIGKILL)


def runs_as_account(process: str) -> bool:
    try:
        return f"\nUid:\t{NUMBER}\t" in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def becoming(kind: str, base: Path) -> list[str]:
    """What turns a command into one of the account, in an environment made from nothing."""
    source = str(Path(kedge_package.__file__).parents[1])
    variables = {
        "HOME": str(base),
        "KEDGE_HOME": str(base / "kedge-home"),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": source,
        "XDG_RUNTIME_DIR": str(base / "run") if IS_ROOT else os.environ.get("XDG_RUNTIME_DIR", ""),
    }
    bare = ["env", "-i", "-C", str(base), *(f"{name}={text}" for name, text in variables.items())]
    if not IS_ROOT:
        return bare
    lines = runpy.run_path(str(SUPPORT / "opening.py"))["lines"](
        source, sys.prefix, sys.base_prefix
    )
    lines += [f"mount --bind '{base}/tables/{name}' /etc/{name}" for name in TABLES]
    lines.append("mount --make-rshared /")  # as it is where systemd runs
    groups = [f"--groups={SOCKET.stat().st_gid}"] if kind == "docker" else ["--clear-groups"]
    return [
        *("unshare", "--mount", "sh", "-c", " && ".join([*lines, 'exec "$@"'])),
        *("sh", "setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", *groups, "--", *bare),
    ]


def write_tables(base: Path) -> None:
    """The system's tables with this account, and numbers that rootless Podman may give to others."""
    added = {
        "passwd": f"{NAME}:x:{NUMBER}:{NUMBER}::{base}:/bin/sh",
        "group": f"{NAME}:x:{NUMBER}:",
        "subuid": f"{NAME}:{NUMBER + 100_000_000}:65536",
        "subgid": f"{NAME}:{NUMBER + 100_000_000}:65536",
    }
    (base / "tables").mkdir()
    for name, line in added.items():
        system = Path("/etc", name)
        system.touch()  # a bind needs a file to cover
        (base / "tables" / name).write_text(f"{system.read_text()}{line}\n")


@pytest.fixture(scope="module", params=["docker", "podman"])
def place(request: pytest.FixtureRequest) -> Iterator[Account]:
    """The account, with its images."""
    above = Path(tempfile.mkdtemp(prefix="kedge-test-", dir="/tmp"))
    above.chmod(0o755)  # pytest's own folders are closed to others
    base = above / "base"
    base.mkdir()
    (base / "run").mkdir(mode=0o700)
    if IS_ROOT:
        write_tables(base)
        for path in (base, base / "run"):
            os.chown(path, NUMBER, NUMBER)
    account = Account(request.param, base)
    if reason := lacking(account):
        shutil.rmtree(above)
        pytest.skip(reason)
    account.make_images()
    yield account
    account.leave()
    shutil.rmtree(above)


def lacking(account: Account) -> str:
    """Why the account cannot use its engine; empty if it can."""
    if account.kind == "docker" and not SOCKET.exists():
        return "Docker's socket is not there"
    if account.kind == "podman" and shutil.which("newuidmap") is None:
        return "newuidmap (package uidmap) is not installed"
    try:
        account.engine("info")
    except (AssertionError, OSError) as error:
        return f"{account.kind} does not work for an ordinary account: {error}"
    return ""


@pytest.fixture
def account(place: Account, kedge_alone: Any) -> Iterator[Account]:
    """Afterwards there is no container, no workspace, and nothing that belongs to somebody else."""
    kedge_alone.words = place.words
    yield place
    until = time.monotonic() + LIMIT_S
    while place.containers():  # an engine removes in its own time
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not list(place.home.glob("runs/*/workspace"))
    kept = (path for path in place.home.rglob("*"))
    assert {path.lstat().st_uid for path in kept} == {NUMBER}


@pytest.fixture
def kedge(account: Account, kedge_alone: Any) -> Callable[..., Any]:
    """The command line as the account has it, on its engine."""

    def call(*words: object, **options: Any) -> Any:
        return kedge_alone(*words, "--executor", account.kind, "--json", **options)

    return call


@pytest.mark.parametrize("as_image_user", [False, True])
def test_what_a_program_writes_is_the_callers(
    account: Account, kedge: Any, kedge_alone: Any, as_image_user: bool
) -> None:
    package = account.package(as_image_user=as_image_user)
    out = package / "results"
    answer = kedge("run", package, "writes", f"given={package}/given.txt", "--out", out).json
    assert answer["uid"] == (USER if as_image_user else NUMBER)
    assert (out / "word").read_text() == "word"
    assert {path.stat().st_uid for path in (out, *out.rglob("*"))} == {NUMBER}
    record = kedge_alone("show", answer["_run"]["id"], "--json").json
    assert (record["status"], record["executor"]) == ("succeeded", account.kind)


# Leaves a mark in every folder that is given back, wherever it is root.
HOSTILE = """\
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void) {
    char path[32];
    for (int number = 0; getuid() == 0 && number < 4; number++) {
        snprintf(path, sizeof path, "/kedge/%d/mark", number);
        close(open(path, O_CREAT | O_WRONLY, 0666));
    }
}
"""


@pytest.fixture
def hostile_image(account: Account, tmp_path: Path) -> str:
    """An image whose every program is to load a library of its own."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path / "evil.so"
    words = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(words, input=HOSTILE, text=True, check=True)
    preload = tmp_path / "preload"
    preload.write_text("/evil.so\n")
    tar = account.base / "hostile.tar"
    shutil.copy(account.base / "root.tar", tar)
    with tarfile.open(tar, "a") as image:
        image.add(library, "evil.so")
        image.add(preload, "etc/ld.so.preload")
    name = f"localhost/kedge-test/hostile:{NUMBER}"
    changes = [f"USER {USER}:{USER}", "ENV LD_PRELOAD=/evil.so"]
    if account.kind == "docker":  # Podman's `import` knows no such change
        changes.append("HEALTHCHECK CMD /usr/bin/id")
    account.engine("import", *(word for one in changes for word in ("--change", one)), tar, name)
    account.images.append(name)
    return name


def test_an_images_own_code_does_not_run_where_files_are_given_back(
    account: Account, kedge: Any, hostile_image: str
) -> None:
    package = account.package(as_image_user=True)
    manifest = package / "kedge.yml"
    manifest.write_text(manifest.read_text().replace(account.images[True], hostile_image))
    answer = kedge("run", package, "writes", f"given={package}/given.txt", "--keep").json
    place = account.home / "runs" / answer["_run"]["id"]
    assert (place / "workspace" / "scratch" / "closed" / "x").exists()
    assert not list(place.rglob("mark"))
    assert {path.lstat().st_uid for path in (place, *place.rglob("*"))} == {NUMBER}
    shutil.rmtree(place / "workspace")
    assert not account.engine("images", "--quiet", "--filter", f"label=kedge.home={account.home}")


def begun(kedge_alone: Any, account: Account, package: Path, function: str) -> tuple[Any, str]:
    """A run that says it is ready, and its id."""
    run = ""
    process = kedge_alone.start("run", package, function, "-v", "--executor", account.kind)
    for raw in process.stderr:
        line = raw.decode(errors="replace")
        if line.startswith("running "):
            run = line.partition("(run ")[2].partition(",")[0]
        if line.startswith("ready"):
            return process, run
    raise AssertionError("it ended before it was ready")


@pytest.mark.parametrize("as_image_user", [False, True])
def test_a_cancel_reaches_the_program(
    account: Account, kedge_alone: Any, as_image_user: bool
) -> None:
    package = account.package(as_image_user=as_image_user)
    process, run = begun(kedge_alone, account, package, "waits")
    kedge_alone("cancel", run)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    record = kedge_alone("show", run, "--json").json
    assert (record["status"], record["failure"]["type"]) == ("cancelled", "Stopped")


@pytest.mark.parametrize("as_image_user", [False, True])
def test_a_deaf_program_is_killed_at_its_timeout(
    account: Account, kedge: Any, as_image_user: bool
) -> None:
    package = account.package(as_image_user=as_image_user)
    error = kedge("run", package, "deaf", "--timeout", "1", code=124).json["error"]
    assert error["kind"] == "timeout"


@pytest.mark.parametrize("as_image_user", [False, True])
def test_what_a_killed_kedge_left_is_removed_by_the_next(
    account: Account, kedge_alone: Any, as_image_user: bool
) -> None:
    killing = runpy.run_path(str(SUPPORT / "killing.py"))["kill"]
    package = account.package(as_image_user=as_image_user)
    process, run = begun(kedge_alone, account, package, "deaf")
    killing(process, supervisor=True)
    kedge_alone("runs")
    record = kedge_alone("show", run, "--json").json
    assert (record["status"], record["failure_kind"]) == ("failed", "lost")


def test_more_memory_than_its_limit_is_out_of_memory(account: Account, kedge: Any) -> None:
    error = kedge("run", account.package(), "eats", code=1).json["error"]
    assert error["kind"] == "out_of_memory"


def test_it_starts_no_more_processes_than_it_may(account: Account, kedge: Any) -> None:
    error = kedge("run", account.package(), "forks", code=1).json["error"]
    assert "fork" in str(error)


def test_without_control_groups_it_keeps_to_its_processors_and_this_is_said(
    account: Account, kedge: Any
) -> None:
    ended = kedge("run", account.package(), "processors", "--verbose")
    if (
        account.kind == "podman"
        and not account.engine(
            "info", "--format", "{{range .Host.CgroupControllers}}{{.}} {{end}}"
        ).split()
    ):
        assert ended.json["allowed"].isdigit() or os.cpu_count() == 1
        assert "memory is looked at from outside" in ended.err
    else:
        assert "looked at from outside" not in ended.err
