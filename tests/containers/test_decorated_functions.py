"""Decorated functions that need a container: Debian packages, commands, base images, ports, images that stand alone."""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kedge.engine.look import Engine

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}

SERVING = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "support" / "serving.py"))
)

HEAD = """
import os, sys
import kedge
engine = sys.argv[1]
"""

type Script = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def home(home_of_all: Callable[[str], Path]) -> Path:
    """One home for all tests, so that an image is built once."""
    return home_of_all("decorated")


@pytest.fixture
def base(engine: Engine, base_image: Callable[[Engine, str], str]) -> str:
    """A base image with the Python that runs the tests."""
    if VERSION not in SUITES:
        pytest.skip(f"no base image has Python {VERSION}")
    return base_image(engine, SUITES[VERSION])


@pytest.fixture
def script(engine: Engine, base: str, home: Path, tmp_path: Path) -> Iterator[Script]:
    """Runs a script that decorates functions; its output, error output and exit code."""
    env = os.environ | {"KEDGE_HOME": str(home), "KEDGE_IMAGES_BASE": base}

    def runs(text: str, code: int = 0, **variables: str) -> SimpleNamespace:
        path = tmp_path / "script.py"
        path.write_text(HEAD + text)
        command = [sys.executable, str(path), engine.kind]
        done = subprocess.run(
            command, env=env | variables, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == code, done.stderr
        return SimpleNamespace(out=done.stdout, err=done.stderr)

    yield runs


def test_debian_packages_and_commands_are_there(script: Script) -> None:
    done = script("""
@kedge.function(apt=["bc"], run_commands=["echo 'made at build' > /opt/made"], executor=engine)
def answer():
    import subprocess
    done = subprocess.run(["bc"], input="6 * 7\\n", capture_output=True, text=True)
    return int(done.stdout), open("/opt/made").read()
print(answer.run())
print(answer.run())
""")
    assert done.out == "(42, 'made at build\\n')\n" * 2


def test_a_container_is_found_where_one_is_needed(script: Script) -> None:
    done = script("""
@kedge.function(apt=["bc"])
def where():
    import shutil
    return shutil.which("bc")
print(where.run())
""")
    assert done.out == "/usr/bin/bc\n"


def test_a_command_that_fails_is_named_and_so_is_a_package_that_is_none(script: Script) -> None:
    done = script("""
def never(): pass
for wrong in ({"run_commands": ["echo about to fail; exit 7"]}, {"apt": ["no-such-package-at-all"]}):
    try:
        kedge.function(never, executor=engine, **wrong).run()
    except kedge.EnvironmentFailed as error:
        print(error, "|", error.hint)
""")
    assert "script.py:6 (run_commands[0]): the command `echo about to fail; exit 7`" in done.out
    assert "script.py:6 (apt): there is no Debian package `no-such-package-at-all`" in done.out
    assert "runtime." not in done.out


def test_a_base_image_of_ones_own_is_built_on(script: Script, base: str) -> None:
    done = script(f"""
@kedge.function(base_image={base!r}, pip=["tabulate"], executor=engine)
def table():
    import tabulate
    return tabulate.__file__.startswith("/opt/kedge/environment")
print(table.run())
""")
    assert done.out == "True\n"


def test_a_function_that_is_declared_in_two_ways_keeps_both_images(script: Script) -> None:
    def printed(*words: str) -> list[str]:
        done = script(f"""
def made():
    return open("/opt/made").read()
for word in {words}:
    command = f"echo {{word}} $(cat /proc/sys/kernel/random/uuid) > /opt/made"
    print(kedge.function(made, run_commands=[command], executor=engine).run(), end="")
""")
        lines: list[str] = done.out.splitlines()
        return lines

    one, two = printed("one", "two")
    assert printed("one", "two") == [one, two]
    # And one that needs something else now leaves nothing of what it needed before.
    assert printed("one", "other")[0] == one
    again = printed("one", "two")
    assert again[0] == one and again[1] != two


SERVICE = """
import http.server, os
def server(port, text="served"):
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())
        def log_message(self, *_): pass
    with http.server.HTTPServer(("0.0.0.0", port), Answers) as serving:
        serving.serve_forever()
"""


def test_a_service_is_reached_at_its_port_and_gone_after_ctrl_c(
    engine: Engine, base: str, home: Path, tmp_path: Path
) -> None:
    port = SERVING.free_port()
    path = tmp_path / "service.py"
    path.write_text(
        f"{HEAD}{SERVICE}\nkedge.function(server, executor=engine, timeout=300).serve(port={port})\n"
    )
    env = os.environ | {"KEDGE_HOME": str(home), "KEDGE_IMAGES_BASE": base}
    with subprocess.Popen(
        [sys.executable, str(path), engine.kind], env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "serving at" in line:
                break
        assert said and "serving at" in said[-1], said
        assert SERVING.fetched(port) == b"served"
        process.send_signal(signal.SIGINT)
        assert SERVING.freed(port) < 5
        assert process.wait(30) == 0


def test_an_image_that_was_built_runs_alone(script: Script, engine: Engine) -> None:
    done = script("""
factor = 10
(open("helper.py", "w")).write("def added(x): return x + 1\\n")
@kedge.function(pip=["tabulate"], copy=["./helper.py"], executor=engine, name="scaled")
def scale(x, fails=False):
    import tabulate
    from helper import added
    if fails:
        raise ValueError("no scale")
    print("on its way", file=sys.stderr)
    return {"scaled": added(x) * factor}
print(scale.build(4))
print(scale.build(4))
print(scale.build(4, fails=True))
""")
    tag, again, failing = done.out.split()
    assert tag == again != failing
    assert tag.startswith("kedge/scaled:deploy-") and len(tag.rpartition("-")[2]) == 16
    try:
        alone = subprocess.run([engine.path, "run", "--rm", tag], capture_output=True, text=True)
        assert (alone.returncode, json.loads(alone.stdout)) == (0, {"scaled": 50}), alone.stderr
        assert "on its way" in alone.stderr
        alone = subprocess.run(
            [engine.path, "run", "--rm", failing], capture_output=True, text=True
        )
        assert alone.returncode == 1
        assert "ValueError: no scale" in alone.stderr
    finally:
        subprocess.run([engine.path, "rmi", "--force", tag, failing], capture_output=True)


LASTING = """
from typing import Generic, TypeVar
T = TypeVar("T")
class Node(Generic[T]):
    kinds = {"beam", "plate", "shell"}
    def __init__(self, name, all_of_them): self.name, self.all = name, all_of_them
    def __repr__(self): return self.name
class Unfit(Exception): pass
marks = {"u", "v", "w"}
nodes = set()
nodes |= {Node(name, nodes) for name in ("a", "b", "c")}
def nothing(): return 0
def imports(): import no_such_module_anywhere
helper = nothing
@kedge.function(executor=engine, name="lasting")
def told(given, node, fails=False, more=marks):
    if given in ({"p", "q"}, {"p", "r"}) or fails in {"yes", "always", "now"}: raise Unfit(helper())
    marks.add("x")
    return {
        "given": sorted(given), "kinds": sorted(node.kinds), "more": sorted(more),
        "nodes": sorted(map(repr, nodes)), "all": all(one.all is nodes for one in nodes),
        "known": isinstance(node, Node),
    }
if os.environ["PYTHONHASHSEED"] == "3":
    helper = imports
    told.run({"k"}, Node("n", None))
    helper = nothing
print(told.build({"k", "l", "m"}, Node("n", None)))
print(told.build({"k", "l", "m"}, Node("n", None), "always"))
"""


def test_what_is_built_has_one_tag_in_every_process(script: Script, engine: Engine) -> None:
    tags = set()
    try:
        for seed in ("1", "2", "3"):
            # The text of the file is no part of the call: its comments travel nowhere.
            text = f"{LASTING}# written for seed {seed}\n"
            tags.add(tuple(script(text, PYTHONHASHSEED=seed).out.split()))
        assert len(tags) == 1
        ((tag, failing),) = tags
        alone = subprocess.run([engine.path, "run", "--rm", tag], capture_output=True, text=True)
        assert alone.returncode == 0, alone.stderr
        assert json.loads(alone.stdout) == {
            "given": ["k", "l", "m"],
            "kinds": ["beam", "plate", "shell"],
            "more": ["u", "v", "w", "x"],
            "nodes": ["a", "b", "c"],
            "all": True,
            "known": True,
        }
        alone = subprocess.run(
            [engine.path, "run", "--rm", failing], capture_output=True, text=True
        )
        assert alone.returncode == 1 and "Unfit: 0" in alone.stderr
        shown = ("--entrypoint", "cat", tag, "/workspace/_kedge_call.frames")
        call = subprocess.run([engine.path, "run", "--rm", *shown], capture_output=True, check=True)
        assert b"told" in call.stdout and b"written for seed" not in call.stdout
    finally:
        names = [name for one in tags for name in one]
        subprocess.run([engine.path, "rmi", "--force", *names], capture_output=True)


def test_a_service_that_was_built_serves_alone(script: Script, engine: Engine) -> None:
    port = SERVING.free_port()
    done = script(
        f"{SERVICE}\nprint(kedge.function(server, executor=engine).build({port}, text='alone'))"
    )
    tag = done.out.strip()
    name = f"kedge-test-alone-{os.getpid()}"
    published = ("--publish", f"127.0.0.1:{port}:{port}")
    command = [engine.path, "run", "--detach", "--rm", "--name", name, *published, tag]
    try:
        subprocess.run(command, capture_output=True, check=True)
        assert SERVING.answer_of(port) == b"alone"
        subprocess.run([engine.path, "stop", "--time", "60", name], capture_output=True, check=True)
    finally:
        subprocess.run([engine.path, "rm", "--force", name], capture_output=True)
        subprocess.run([engine.path, "rmi", "--force", tag], capture_output=True)
