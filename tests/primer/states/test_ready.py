"""Ready-made states, with the tools that they are about."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.errors import UsageError
from kedge.primer import ready
from kedge.primer.graph import Graph

node = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here")
debian = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="this is no Debian")

SERVED = """
import sys
from kedge.primer.ready import service
from kedge.primer.graph import Graph

site = service(
    "site",
    [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"],
    answers="http://127.0.0.1:{port}/index.html",
    inputs=["site.conf"],
    folder="public",
)

@state(needs=[site])
def filled(ctx):
    note(ctx, f"filled:{{ctx.value(site)['pid']}}")

@state(always=True)
def stopped(ctx):
    site.stop(ctx)
"""


def test_a_ready_made_state_is_named_by_its_variable_and_described(project: Any) -> None:
    project.states(
        "from kedge.primer.ready import *\n"
        'modules = node_packages("web")\n'
        'front = front_end("web", needs=[modules])\n'
        "hooks = git_hooks()\n"
        'tools = debian_packages("git", "make")\n'
        "engine = container_engine()\n"
    )
    lines = project.boot("-h").out.splitlines()[4:]
    assert [line[2:].split(None, 2) for line in lines] == [
        ["modules", "stale", "The packages of web/package-lock.json are installed."],
        ["front", "stale", "The front-end in web is built."],
        ["hooks", "skipped", "Git runs the hooks in .githooks."],
        ["tools", "stale", "Debian packages are installed: git, make."],
        ["engine", "stale", "A container engine answers: docker or podman."],
    ]


def test_every_ready_made_state_is_there_and_no_other() -> None:
    assert {getattr(ready, name) for name in ready.__all__} >= {ready.service, ready.git_hooks}
    with pytest.raises(AttributeError, match="no_such"):
        ready.no_such  # noqa: B018 - the access is the test


def test_git_runs_the_hooks_of_the_repository(project: Any) -> None:
    def ask(*words: str) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=project.root,
            env=project.variables,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    project.states("from kedge.primer.ready import git_hooks\nhooks = git_hooks()\n")
    project.boot()  # skipped: there is no checkout
    ask("init", "--quiet")
    hook = project.write(".githooks/pre-commit", "#!/bin/sh\necho ran > hooked\nexit 1\n")
    hook.chmod(0o755)
    assert "hooks: reached" in project.boot().err
    assert ask("config", "core.hooksPath") == ".githooks"
    with pytest.raises(subprocess.CalledProcessError):
        ask("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "x")
    assert (project.root / "hooked").read_text() == "ran\n"
    assert project.boot(audit=True).json == []  # git is not asked again
    ask("config", "user.name", "someone")  # its configuration has changed, but not this
    assert project.boot().err == ""
    assert project.boot(audit=True).json == []
    ask("config", "--unset", "core.hooksPath")
    assert project.reasons() == {"hooks": ["its check says no"]}
    project.boot()
    assert ask("config", "core.hooksPath") == ".githooks"


@node
def test_packages_of_node_are_installed_and_a_front_end_is_built(project: Any) -> None:
    project.write("web/own/package.json", '{"name": "own", "version": "1.0.0", "main": "index.js"}')
    project.write("web/own/index.js", "module.exports = 'hello';")
    build = "const fs = require('fs'); fs.mkdirSync('dist', {recursive: true}); " + (
        "fs.writeFileSync('dist/index.html', require('own') + fs.readFileSync('src/app.ts'));"
    )
    project.write("web/build.js", build)
    project.write("web/src/app.ts", " world")
    package = {
        "name": "web",
        "version": "1.0.0",
        "scripts": {"build": "node build.js"},
        "dependencies": {"own": "file:own"},
    }
    project.write("web/package.json", json.dumps(package))
    lock = {
        "name": "web",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "web", "version": "1.0.0", "dependencies": {"own": "file:own"}},
            "node_modules/own": {"resolved": "own", "link": True},
            "own": {"version": "1.0.0"},
        },
    }
    project.write("web/package-lock.json", json.dumps(lock))
    project.states(
        "from kedge.primer.ready import front_end, node_packages\n"
        'modules = node_packages("web")\n'
        'front = front_end("web", needs=[modules])\n'
    )
    ended = project.boot("front")
    assert "modules: reached" in ended.err and "front: reached" in ended.err
    assert (project.root / "web/dist/index.html").read_text() == "hello world"
    assert project.boot(audit=True).json == []
    project.write("web/src/app.ts", " there")
    assert project.reasons() == {"front": ["input `web/src/app.ts` changed"]}
    project.boot()
    assert (project.root / "web/dist/index.html").read_text() == "hello there"
    project.write("web/build.js", "throw new Error('of the project')")
    ended = project.boot(code=1)
    assert "state `front`: `npm run build` ended with exit code 1:" in ended.err
    assert "Error: of the project" in ended.err
    (project.root / "web/package-lock.json").unlink()
    ended = project.boot(code=1)
    assert "state `modules`: `npm ci --no-audit --no-fund` ended with exit code" in ended.err


@debian
def test_packages_that_are_there_are_found_and_asked_for_only_when_something_changes(
    project: Any,
) -> None:
    project.states(
        "from kedge.primer.ready import debian, debian_packages\n"
        "import os, shutil\n"
        'debian.STATUS = "status"\n'
        'tools = debian_packages("dpkg", "base-files")\n'
    )
    status = project.write("status", "1")
    project.boot()
    assert project.boot(audit=True).json == []
    status.write_text("22")
    seen = project.boot(audit=True).json
    assert any("dpkg-query" in event for event in seen)
    assert not any("apt" in event for event in seen)
    assert project.boot(audit=True).json == []


@debian
def test_packages_that_lack_are_installed_by_apt_or_said_with_its_command(
    project: Any, tmp_path: Path
) -> None:
    """With an apt and a dpkg that note what they are asked, since a machine's packages are not a test's."""
    tools = tmp_path / "tools"
    tools.mkdir()

    def tool(name: str, text: str) -> None:
        (tools / name).write_text("#!/bin/sh\n" + text)
        (tools / name).chmod(0o755)

    tool("dpkg-query", f"[ -e {tmp_path}/has ] && echo installed || exit 1")
    tool(
        "apt-get",
        f'echo "$DEBIAN_FRONTEND: $*" >> {tmp_path}/asked\n'
        f"case $* in *update) touch {tmp_path}/lists;; *) [ -e {tmp_path}/lists ] && touch {tmp_path}/has;; esac",
    )
    tool(
        "sudo",
        'shift; [ -e "$(dirname "$0")/may" ] && exec "$@"; echo "a password is required" >&2; exit 1',
    )
    project.variables["PATH"] = f"{tools}:{os.environ['PATH']}"
    project.states(
        "from kedge.primer.ready import debian_packages\n"
        "import os\n"
        "os.geteuid = lambda: 1000\n"
        'tools = debian_packages("hello")\n'
    )
    ended = project.boot(code=3)
    assert "hello cannot be installed: this user is not root" in ended.err
    assert "hint: sudo apt-get install hello\n" in ended.err
    assert not (tmp_path / "asked").exists()
    (tools / "may").touch()
    project.boot()
    install = "-o DPkg::Lock::Timeout=120 --yes --no-install-recommends install hello"
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"noninteractive: {install}",
        "noninteractive: -o DPkg::Lock::Timeout=120 update",
        f"noninteractive: {install}",
    ]


def test_a_machine_without_debians_packages_is_told(project: Any, tmp_path: Path) -> None:
    project.variables["PATH"] = str(tmp_path)
    project.states(
        'from kedge.primer.ready import debian_packages\ntools = debian_packages("git")\n'
    )
    ended = project.boot(code=3)
    assert "this machine has no Debian packages; git cannot be looked for" in ended.err


def an_engine(folder: Path, name: str, answers: str) -> None:
    """A command in place of an engine's, that answers its question while a file is there."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(
        f'#!/bin/sh\n[ -e {answers} ] && exit\necho "cannot connect to {name}" >&2\nexit 1\n'
    )
    (folder / name).chmod(0o755)


def test_an_engine_is_looked_for_and_started(project: Any, tmp_path: Path) -> None:
    an_engine(tmp_path / "bin", "first", f"{tmp_path}/first-is-up")
    an_engine(tmp_path / "bin", "second", f"{tmp_path}/second-is-up")
    project.variables["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
    text = "from kedge.primer.ready import container_engine\n"
    used = "@state(needs=[engine])\ndef used(ctx):\n    note(ctx, ctx.value(engine))\n"
    project.states(text + 'engine = container_engine("first", "second")\n' + used)
    ended = project.boot(code=3)
    assert (
        "no container engine answers: first: cannot connect to first; second: cannot connect to second"
        in ended.err
    )
    (tmp_path / "second-is-up").touch()
    project.boot()
    assert project.reached() == ["second"]
    assert project.boot().err == ""
    (tmp_path / "second-is-up").unlink()
    (tmp_path / "first-is-up").touch()
    assert project.reasons() == {"engine": ["its check says no"]}
    (tmp_path / "first-is-up").unlink()
    start = 'engine = container_engine("first", start=lambda ctx: ctx.run("touch", START))\n'
    project.states(text + f'START = "{tmp_path}/first-is-up"\n' + start + used)
    project.boot()
    assert project.reached() == ["first"]


@pytest.mark.skipif(shutil.which("podman") is None, reason="Podman is not here")
def test_podman_is_an_engine_and_a_boot_with_nothing_to_do_does_not_run_it(project: Any) -> None:
    project.states(
        'from kedge.primer.ready import container_engine\nengine = container_engine("podman")\n'
    )
    project.boot()
    assert project.boot(audit=True).json == []


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker is not here")
def test_docker_is_an_engine_where_its_service_answers(project: Any) -> None:
    project.states(
        'from kedge.primer.ready import container_engine\nengine = container_engine("docker")\n'
    )
    is_up = subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    ended = project.boot(code=0 if is_up else 3)
    if is_up:
        seen = project.boot(audit=True).json
        assert not any("subprocess" in event for event in seen)
    else:
        assert "no container engine answers: docker: " in ended.err


@pytest.fixture
def served(project: Any) -> Any:
    """A project with a service at a port that nobody else is given; it is ended with the test."""
    with (
        socket.socket() as held
    ):  # bound and not listening: the service may bind it too, and no other does
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        project.write("public/index.html", "hello")
        project.states(SERVED.format(port=held.getsockname()[1]))
        yield project
        project.boot("stopped")


def pid(project: Any) -> int:
    """The service's process."""
    [noted] = (project.home / "site/folder").glob("pid-*")
    return int(noted.read_bytes().split()[0])


def test_a_service_is_started_once_and_found_answering(served: Any) -> None:
    ended = served.boot("filled")
    assert "primer: site: reached in " in ended.err
    first = pid(served)
    assert served.reached() == [f"filled:{first}"]
    events = served.boot("filled", audit=True).json
    assert all(event.startswith("socket.") for event in events)
    assert served.reached() == []
    assert pid(served) == first
    assert "GET /index.html" in (served.home / "site/folder/log").read_text()


def test_a_service_that_was_killed_is_started_again(served: Any) -> None:
    served.boot("filled")
    first = pid(served)
    watched = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    assert served.all_end([watched])
    assert served.reasons()["site"] == ["its check says no"]
    served.boot("filled")
    assert pid(served) != first
    assert served.reached() == [f"filled:{first}"]  # nothing else is reached for that


def test_a_service_is_started_anew_when_what_it_reads_changes(served: Any) -> None:
    served.boot("filled")
    first = pid(served)
    watched = os.pidfd_open(first)
    served.write("site.conf", "new")
    served.boot("filled")
    assert served.all_end([watched])
    assert served.reached() == [f"filled:{first}", f"filled:{pid(served)}"]


def test_a_service_is_stopped_and_begun_again_later(served: Any) -> None:
    served.boot("site")
    watched = os.pidfd_open(pid(served))
    served.boot("stopped")
    assert served.all_end([watched])
    assert served.reasons()["site"] == ["its check says no"]
    served.boot("stopped")  # again: it does not run
    served.boot("site")


def test_a_copied_checkout_takes_the_service_of_the_other_for_none_of_its_own(served: Any) -> None:
    served.boot("site")
    copy = type(served)(served.root.with_name("copy"), served.variables)
    shutil.copytree(served.root, copy.root)
    assert copy.reasons()["site"] == ["its check says no"]
    copy.boot("stopped")
    assert served.boot("site").err == ""  # It runs, and answers.
    assert "something else answers" in copy.boot("site", code=3).err


def test_a_service_that_was_started_by_a_boot_that_was_killed_is_found_and_ended(
    served: Any,
) -> None:
    text = (served.root / "src/pkg/things.py").read_text()
    served.states(text.replace('.html",\n', '.html" if 0 else never,\n'), header="")
    never = 'def never(ctx):\n    (ctx.root / "asked").write_text("x")\n    return False\n'
    served.states(never + (served.root / "src/pkg/things.py").read_text(), header="")
    asked = served.pipe("asked")
    boot = served.begin("site")
    asked.text()
    folder = served.home / "site/folder"
    while not any(noted.read_bytes().endswith(b"\n") for noted in folder.glob("pid-*")):
        assert boot.poll() is None
    watched = os.pidfd_open(pid(served))
    boot.kill()
    boot.communicate()
    asked.close()
    served.states(text, header="")
    served.boot("site")
    assert served.all_end([watched])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('["sh", "-c", "echo no config; exit 3"]', "it ended with exit code 3:\n  no config\n"),
        ('["sh", "-c", "echo slow; exec sleep 300"]', "it does not answer after 0.5 s:\n  slow\n"),
        ('["no-such-service"]', "it ended with exit code 127:"),
    ],
    ids=["ends", "never answers", "missing"],
)
def test_a_service_that_does_not_come_up_is_an_error_with_its_last_lines(
    project: Any, command: str, words: str
) -> None:
    project.states(
        "from kedge.primer.ready import service\n"
        f'site = service("site", {command}, answers=lambda ctx: False, seconds=0.5)\n'
    )
    ended = project.boot(code=1)
    assert f"primer: error: state `site`: {words}" in ended.err
    stat = Path(f"/proc/{pid(project)}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_something_else_at_the_address_of_a_service_is_an_error(project: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        project.states(
            "from kedge.primer.ready import service\n"
            f'site = service("site", ["sleep", "300"], answers="{address}")\n'
        )
        assert f"something else answers at {address} already" in project.boot(code=3).err


def test_an_address_without_a_port_is_refused() -> None:
    for address in ("http://localhost/", "localhost", "http://localhost:x"):
        with pytest.raises(UsageError, match="has no port"):
            ready.service("site", ["true"], answers=address)
    assert list(Graph([ready.service("site", ["true"], answers="unix:/tmp/s")]).states) == ["site"]
