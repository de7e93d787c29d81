"""The way of Windows, where there is no exec, no flock and no link, forced here."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# What goes before the proto file here: msvcrt's locks are flock's, and what Windows lacks is gone.
BEFORE = """
import errno, fcntl, os, subprocess, sys, types

def locking(lock, how, size):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
os.execv = os.symlink = None
"""


@pytest.fixture
def forced(checkout: Any) -> list[str]:
    """The command that starts the checkout in the way of Windows, from outside its environment."""
    proto = checkout.root / "primer/proto.py"
    text = proto.read_text()
    assert text.count('WINDOWS = os.name == "nt"') == 1
    proto.write_text(BEFORE + text.replace('WINDOWS = os.name == "nt"', "WINDOWS = True"))
    return [sys.executable, "-I", str(proto), "start", "demo:main", "app", "app"]


def test_a_child_runs_main_and_its_exit_code_is_passed_on(checkout: Any, forced: list[str]) -> None:
    for _ in ("first", "second"):
        ended = subprocess.run(
            [*forced, "exit", "7"], env=checkout.variables, capture_output=True, text=True
        )
        assert ended.returncode == 7, ended.stderr
    ended = subprocess.run(
        [*forced, "a b", ""], env=checkout.variables, capture_output=True, text=True
    )
    report = json.loads(ended.stdout)
    assert report["argv"] == ["app", "a b", ""]
    folder = (checkout.root / ".primer/app.path").read_text()
    assert report["prefix"] == folder
    assert not os.path.lexists(checkout.root / ".primer/app")


def test_stdin_is_the_childs(checkout: Any, forced: list[str]) -> None:
    ended = subprocess.run(
        [*forced, "echo"], env=checkout.variables, input="whole", capture_output=True, text=True
    )
    assert ended.stdout == "whole"


def test_an_interrupt_is_the_childs_to_answer(checkout: Any, forced: list[str]) -> None:
    process = subprocess.Popen(
        [*forced, "interrupted"],
        env=checkout.variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    os.killpg(process.pid, signal.SIGINT)  # As a terminal's Ctrl-C: to both.
    assert process.communicate()[0] == "answered\n"
    assert process.returncode == 9


def test_a_stale_environment_is_replaced_and_the_one_before_kept(
    checkout: Any, forced: list[str], wheels: dict[str, Path]
) -> None:
    seen = []
    for version in ("1.0", "2.0", "1.0"):
        checkout.lock(wheels[version])
        ended = subprocess.run(forced, env=checkout.variables, capture_output=True, text=True)
        report = json.loads(ended.stdout)
        assert report["tiny"] == version
        seen.append(os.path.basename(report["prefix"]))
    assert checkout.made() == sorted(seen[1:])


def test_of_three_first_starts_one_builds(checkout: Any, forced: list[str]) -> None:
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(forced, env=checkout.variables, **options) for _ in range(3)]
    ended = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum("installing" in stderr for _, stderr in ended) == 1
