"""Standard streams that are not what they usually are: narrow, closed, full, or read only in part."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

UNICODE = 'def f(x: str = "Träger 😀") -> str:\n    print("läuft")\n    return x\n'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "unicode.py"
    path.write_text(UNICODE)
    return path


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding(kedge: Any, script: Path, encoding: str) -> None:
    ended = subprocess.run(
        [*kedge.words, "run", str(script), "--json"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=True,
    )
    assert json.loads(ended.stdout.decode(encoding))["result"] == "Träger 😀"


def test_text_that_a_stream_cannot_show_is_escaped(kedge: Any, script: Path) -> None:
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    assert kedge("run", script, env=env).out == "result  Tr\\xe4ger \\U0001f600\n"
    ended = kedge("run", script, "xä=1", env=env, code=2)
    assert "x\\xe4" in ended.err


def test_a_reader_that_leaves_early_is_no_error(kedge: Any, script: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*kedge.words, "schema", "manifest"], stdout=writing, stderr=subprocess.PIPE
        )
    finally:
        os.close(writing)
    assert ended.returncode == 141
    assert ended.stderr == b""


def test_a_run_goes_on_when_nobody_reads_what_it_says(kedge: Any, script: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*kedge.words, "run", str(script), "--json", "-v"],
            stdout=subprocess.PIPE,
            stderr=writing,
        )
    finally:
        os.close(writing)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["result"] == "Träger 😀"


def test_output_that_cannot_be_written_is_an_error_and_no_traceback(kedge: Any) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([*kedge.words, "schema", "run"], stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 3
    assert ended.stderr.startswith(
        b"error[unavailable]: standard output cannot be written: No space left"
    )
    assert b"Traceback" not in ended.stderr
    assert b"Exception ignored" not in ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(kedge: Any, script: Path, closed: str) -> None:
    command = f'exec "$@" {closed}'
    ended = subprocess.run(
        ["/bin/sh", "-c", command, "sh", *kedge.words, "run", str(script)], capture_output=True
    )
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("words", [["runs"], ["schema", "run"], ["build", "unicode.py"]])
def test_a_home_that_cannot_be_made_is_an_error_and_no_traceback(
    kedge: Any, script: Path, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    env = os.environ | {"KEDGE_HOME": str(tmp_path / "file" / "home")}
    code = 0 if words[0] == "schema" else 3
    ended = kedge(*words, env=env, cwd=tmp_path, code=code)
    assert (ended.err.startswith("error[store]: ") and "hint: " in ended.err) or code == 0


def test_a_working_folder_that_was_removed_is_an_error_and_no_traceback(
    kedge: Any, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), *kedge.words, "inspect", "."],
        cwd=gone,
        capture_output=True,
    )
    assert ended.returncode in (2, 3)
    assert b"error[" in ended.stderr
    assert b"Traceback" not in ended.stderr
