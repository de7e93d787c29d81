"""Entry scripts: what the template gives, in every POSIX shell that is here, and without a process too many."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kedge.primer.repository.entry import Entry, batch_file, entries, parsed, shell_script
from kedge.primer.repository.seal import opened, sealed, writer

REPOSITORY = Path(__file__).resolve().parents[2]
SHELLS = {
    words[0]: words
    for words in (
        ["sh"],
        ["dash"],
        ["bash", "--posix"],
        ["busybox", "sh"],
        ["mksh"],
        ["posh"],
        ["zsh", "--emulate", "sh"],
        ["yash"],
        ["ksh93"],
    )
    if shutil.which(words[0])
}


def test_kedges_own_entry_scripts_are_what_the_template_gives() -> None:
    own = entries(str(REPOSITORY))
    assert own["kedge"] == Entry("start", "kedge.cli:main", "kedge")
    assert own["test"] == Entry("start", "run_tests:main", "dev")
    for name, entry in own.items():
        remedy = "`./kedge primer update . --force` writes it anew"
        assert (REPOSITORY / name).read_text() == shell_script(entry), remedy
        assert os.access(REPOSITORY / name, os.X_OK)


@pytest.mark.parametrize("helper", ["start", "boot"])
def test_an_entry_script_says_what_it_does(helper: Any) -> None:
    entry = Entry(helper, "pkg.module:main" if helper == "start" else "pkg.states", "app")
    assert parsed(shell_script(entry)) == parsed(batch_file(entry)) == entry
    assert parsed("#!/bin/sh\nexec true\n") is None


def test_an_edit_by_hand_is_known_and_other_line_ends_are_none() -> None:
    text = sealed("one\ntwo\n", "#", "kedge 1.2")
    assert writer(text) == writer(text.replace("\n", "\r\n")) == "kedge 1.2"
    assert opened(text) == opened(text.replace("\n", "\r\n")) == "one\ntwo\n"
    for edited in (text.replace("two", "three"), text + "\n", "\n" + text, "one\ntwo\n", ""):
        assert writer(edited) is None


def test_the_batch_file_is_plain() -> None:
    text = batch_file(Entry("boot", "pkg.states", "app"))
    assert text.isascii()
    assert re.search(r"[^\r]\n", text) is None
    assert (
        '"%primer_home%\\Scripts\\python.exe" -I "%~dp0primer\\proto.py" boot pkg.states app'
        in text
    )
    # Each Python is the last thing before its exit code is passed on, with the arguments as they came.
    assert len(re.findall(r' app "%~f0" %\*\r\nexit /b %errorlevel%\r\n', text)) == 3
    # A label that is jumped to is there, and none is not.
    assert set(re.findall(r"goto (\w+)", text)) == set(
        re.findall(r"^:(\w+)\r$", text, re.MULTILINE)
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_it_runs_in_every_posix_shell(checkout: Any, tmp_path: Path, shell: str) -> None:
    root = checkout.root.rename(tmp_path / "a b's é漢 $x;* \\")
    (tmp_path / "decoy" / root.name).mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (tmp_path / "links/-one two").symlink_to(root / "app")
    (tmp_path / "links/three").symlink_to("-one two")
    called = {f"./{root.name}/app": tmp_path, "app": root, "./three": tmp_path / "links"}
    checkout.variables |= {"CDPATH": str(tmp_path / "decoy"), "IFS": "/a", "ENV": "/nowhere"}
    del checkout.variables["HOME"]
    for options in ([], ["-e", "-u", "-C", "-f"]):  # also: errexit, nounset, noclobber, noglob
        for entry, folder in called.items():
            words = [*SHELLS[shell], *options, entry, "a b", "", "*", "$x"]
            ended = subprocess.run(
                words, cwd=folder, env=checkout.variables, capture_output=True, text=True
            )
            assert ended.returncode == 0, ended.stderr
            report = json.loads(ended.stdout)
            assert report["argv"] == [entry, "a b", "", "*", "$x"]
            assert (report["file"], report["cwd"]) == (str(root / "src/demo.py"), str(folder))
        checkout.variables["PRIMER_REBUILD"] = "1"  # so that the second turn looks for a Python


def test_a_second_start_is_two_programs_and_no_other_process(checkout: Any, tmp_path: Path) -> None:
    checkout.start("exit", "0")
    log = tmp_path / "log"
    watched = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=process"]
    ended = subprocess.run(
        [*watched, str(checkout.root / "app"), "exit", "7"], env=checkout.variables
    )
    assert ended.returncode == 7
    calls = re.findall(r"^\d+ +(execve|fork|vfork|clone3?)\(", log.read_text(), re.MULTILINE)
    assert calls == ["execve", "execve"]
    assert f'"{checkout.root}/.primer/app/bin/python"' in log.read_text()
