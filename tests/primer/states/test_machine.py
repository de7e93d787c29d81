"""scripts/machine: what `./prime` reaches, which .ci/run does for real."""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.boot import load

REPOSITORY = Path(__file__).resolve().parents[3]

STATES = """
import pathlib, sys
sys.path += [{scripts!r}, {tests!r}]
import machine.registries
from machine.engines import engine_packages

registries = sys.modules["machine.registries"]  # `machine.registries` is its state
registries.FOLDER = pathlib.Path({folder!r})
registries.STORED = pathlib.Path({folder!r}, "stored")
registries.ADDRESSES = {{"open": {address!r}}}
open_registry = registries.registry("open")

@state(replaces=engine_packages, check=lambda _: True)
def packages(ctx):
    pass

@state(always=True)
def stopped(ctx):
    open_registry.stop(ctx)
    registries.remove(ctx)
"""

# In place of Debian's: it answers at the address of its configuration.
REGISTRY = """#!{python}
import json, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
host, port = json.load(open(sys.argv[2]))["http"]["addr"].split(":")
HTTPServer((host, int(port)), SimpleHTTPRequestHandler).serve_forever()
"""


def test_prime_wants_all_that_some_test_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("scripts", "tests"):
        monkeypatch.syspath_prepend(str(REPOSITORY / folder))
    monkeypatch.setenv("PATH", os.environ["PATH"])  # which the states add to
    graph = load("machine")
    assert [state.name for state in graph.goals()] == ["machine"]
    wanted = {state.name for state in graph.order(graph.goals())}
    assert wanted == set(graph.states) - {"stopped"}


def test_a_registry_of_another_checkout_is_used_and_left_running(
    project: Any, tmp_path: Path
) -> None:
    program = tmp_path / "bin/docker-registry"
    program.parent.mkdir()
    program.write_text(REGISTRY.format(python=sys.executable))
    program.chmod(0o755)
    project.variables["PATH"] = f"{program.parent}{os.pathsep}{project.variables['PATH']}"
    with socket.socket() as held:  # bound and not listening: the registry may bind it too
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        text = STATES.format(
            scripts=str(REPOSITORY / "scripts"),
            tests=str(REPOSITORY / "tests"),
            folder=str(tmp_path / "registries"),
            address=f"127.0.0.1:{held.getsockname()[1]}",
        )
        project.states(text)
        other = type(project)(tmp_path / "other", project.variables)
        shutil.copytree(project.root, other.root)
        try:
            project.boot("open_registry")
            assert "skipped: another" in other.boot("open_registry", verbose=True).err
            other.boot("stopped")
            assert project.boot("open_registry").err == ""  # It runs, and its files are there.
        finally:
            project.boot("stopped")
    assert not (tmp_path / "registries").exists()
