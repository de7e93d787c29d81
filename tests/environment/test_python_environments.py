"""Python environments: built once, found again, healed, readable by everybody, explained when impossible."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.environment import bytecode, folders, python
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import Lock, ensure_lock
from kedge.environment.python import PythonEnvironment
from kedge.environment.requirements import Requirements
from kedge.errors import EnvironmentFailed, LockError, StoreError

MakeWheel = Callable[..., Path]
ENSURE = """
import json, sys
from kedge.environment import interpreters, python
from kedge.environment.lock import ensure_lock
from kedge.environment.requirements import Requirements
one = interpreters.find(sys.argv[1])
lock = ensure_lock(Requirements(tuple(sys.argv[2:]), one.minor))
said = []
found = python.ensure(one, lock, lambda text: (said.append(text), print(text, file=sys.stderr, flush=True)))
print(json.dumps({"created": found.created, "folder": found.folder, "said": said}))
"""


def _lock(one: Interpreter, *strings: str) -> Lock:
    return ensure_lock(Requirements(strings, one.minor))


def _run(found: PythonEnvironment, program: str) -> str:
    ended = subprocess.run(
        [found.python, "-I", "-B", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    return ended.stdout.strip()


def _wait_compiled(found: PythonEnvironment) -> None:
    """Wait for the process in the background, by the lock that it holds."""
    bytecode.finish(_interpreter_of(found), found.folder, "wait")


def _interpreter_of(found: PythonEnvironment) -> Interpreter:
    from kedge.environment import interpreters

    about = json.loads(Path(found.folder, "kedge.json").read_text())
    one = interpreters.known(about["interpreter"])
    assert one is not None
    return one


def test_the_same_environment_on_every_python_there_is(pythons: dict[str, Interpreter]) -> None:
    for one in pythons.values():
        lock = _lock(one, "six", "idna", "packaging")
        assert python.find(one, lock) is None
        found = python.ensure(one, lock)
        assert found.created
        assert _run(found, "import sys; print(sys.version.split()[0])") == one.version
        said = _run(found, "import six, idna, packaging; print(six.__file__)")
        assert said.startswith(found.folder)
        _wait_compiled(found)
        again = python.ensure(one, lock)
        assert again == python.find(one, lock)
        assert (again.folder, again.created, again.compiled) == (found.folder, False, True)


def test_numpy_computes_and_is_shared_by_packages_with_the_same_lock(
    python312: Interpreter, kedge_home: Path
) -> None:
    found = python.ensure(python312, _lock(python312, "numpy"))
    assert _run(found, "import numpy; print(int(numpy.arange(5).sum()))") == "10"
    assert os.stat(Path(found.folder, python312.purelib, "numpy", "__init__.py")).st_nlink > 1
    other = python.ensure(python312, _lock(python312, "numpy>=1"))
    assert other.folder == found.folder
    assert not other.created
    # Compiling it takes longer than this test may: the process that does it is ended through its lock.
    _end_background(kedge_home)


def _end_background(home: Path) -> None:
    for entry in Path("/proc").iterdir():
        try:
            opened = [os.readlink(link) for link in (entry / "fd").iterdir()]
        except (NotADirectoryError, FileNotFoundError, PermissionError):
            continue
        if any(path.startswith(f"{home}/environments/.held") for path in opened):
            os.kill(int(entry.name), signal.SIGKILL)


def test_nothing_needed_is_an_environment_too(python312: Interpreter) -> None:
    found = python.ensure(python312, _lock(python312))
    assert found.compiled
    program = "import sys; print([path for path in sys.path if 'site-packages' in path])"
    assert _run(found, program) == str([os.path.join(found.folder, python312.purelib)])


def test_the_digest_knows_lock_and_interpreter(pythons: dict[str, Interpreter]) -> None:
    digests = {
        python.environment_digest(one, Lock(text, digest, None))
        for one in pythons.values()
        for text, digest in (("a", "1"), ("b", "2"))
    }
    assert len(digests) == 2 * len(pythons)


def test_scripts_of_packages_use_the_environment(index: MakeWheel, python312: Interpreter) -> None:
    index(
        "bolts",
        files={"bolts.py": "import sys\ndef main(): print(sys.prefix)\n"},
        scripts={"bolts": "bolts:main", "python3": "bolts:main"},
    )
    found = python.ensure(python312, _lock(python312, "bolts"))
    script = os.path.join(found.folder, "bin", "bolts")
    assert subprocess.check_output([script], text=True).strip() == found.folder
    assert os.readlink(os.path.join(found.folder, "bin", "python3")) == "python"


def test_a_wheel_does_not_decide_what_the_interpreter_is(
    index: MakeWheel, python312: Interpreter
) -> None:
    index(
        "bolts",
        files={
            "bolts.py": "",
            "bolts-1.0.data/data/pyvenv.cfg": "home = /elsewhere\n",
            "bolts-1.0.data/data/kedge.json": "{}",
            "bolts-1.0.data/data/.compiled": "",
        },
    )
    found = python.ensure(python312, _lock(python312, "bolts"))
    assert "elsewhere" not in Path(found.folder, "pyvenv.cfg").read_text()
    assert _run(found, "print('fine')") == "fine"
    assert json.loads(Path(found.folder, "kedge.json").read_text())["python"] == python312.version


def test_everybody_may_read_it_whatever_the_umask_is(
    index: MakeWheel, python312: Interpreter, kedge_home: Path
) -> None:
    index("bolts", files={"bolts/__init__.py": "", "bolts/data.bin": "x"})
    lock = _lock(python312, "bolts")
    before = os.umask(0o077)
    try:
        found = python.ensure(python312, lock, compile="wait")
        runner = bytecode.runner_for(python312)
    finally:
        os.umask(before)
    paths = [Path(found.folder), *Path(found.folder).rglob("*"), Path(runner), Path(runner).parent]
    assert any(path.suffix == ".pyc" and "bolts" in str(path) for path in paths)
    for path in paths:
        if not path.is_symlink():
            wanted = 0o755 if path.is_dir() else 0o644
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert stat.S_IMODE((kedge_home / "environments").stat().st_mode) == 0o700


def test_processes_that_ask_at_once_build_once(index: MakeWheel, python312: Interpreter) -> None:
    index("bolts")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, python312.minor, "bolts"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = [json.loads(process.communicate()[0]) for process in running]
    assert sorted(answer["created"] for answer in answers) == [False, False, False, True]
    assert len({answer["folder"] for answer in answers}) == 1


def test_who_waits_for_another_process_is_told(index: MakeWheel, python312: Interpreter) -> None:
    index("bolts")
    lock = _lock(python312, "bolts")
    name = python.environment_digest(python312, lock)
    guard = os.path.join(os.environ["KEDGE_HOME"], "environments", ".held", name)
    said: list[str] = []
    with (
        folders.held(guard, 1) as owned,
        pytest.raises(EnvironmentFailed, match="Another process has been building"),
    ):
        assert owned
        python.ensure(python312, lock, said.append, timeout=0.05)
    assert said == ["waiting for another process that builds this environment"]
    assert python.ensure(python312, lock).created


def test_a_build_that_was_killed_is_swept_and_done_again(
    index: MakeWheel, python312: Interpreter, kedge_home: Path, tmp_path: Path
) -> None:
    index("bolts")
    lock = _lock(python312, "bolts")
    # A uv that tells that it runs and then hangs, found first: the build is killed in the middle of it.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fake = tmp_path / "fake" / "uv.py"
    fake.parent.mkdir()
    (tmp_path / "hang").write_text(f"#!/bin/sh\necho started > {fifo}\nexec sleep 600\n")
    (tmp_path / "hang").chmod(0o755)
    fake.write_text(f"def find_uv_bin(): return {str(tmp_path / 'hang')!r}\n")
    process = subprocess.Popen(
        [sys.executable, "-c", ENSURE, python312.minor, "bolts"],
        env={**os.environ, "PYTHONPATH": f"{fake.parent}:{os.pathsep.join(sys.path)}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert fifo.read_text() == "started\n"
    process.kill()
    process.wait()
    left = list((kedge_home / "environments").glob("tmp-*"))
    assert len(left) == 1
    assert python.find(python312, lock) is None
    assert python.ensure(python312, lock, compile="wait").created
    assert not list((kedge_home / "environments").glob("tmp-*"))


def test_an_environment_whose_interpreter_is_gone_is_made_again(
    index: MakeWheel, python312: Interpreter
) -> None:
    index("bolts")
    lock = _lock(python312, "bolts")
    found = python.ensure(python312, lock, compile="wait")
    os.unlink(os.path.join(found.folder, "bin", "python"))
    os.symlink("/nowhere/python", os.path.join(found.folder, "bin", "python"))
    assert python.find(python312, lock) is None
    assert python.ensure(python312, lock).created
    assert python.find(python312, lock) is not None


def test_an_install_that_is_impossible_here_is_explained(
    index: MakeWheel, python312: Interpreter
) -> None:
    wheel = index("bolts")
    lock = _lock(python312, "bolts")
    wheel.rename(wheel.with_name("bolts-1.0-cp38-cp38-win32.whl"))
    with pytest.raises(EnvironmentFailed) as caught:
        python.ensure(python312, lock)
    assert caught.value.hint
    assert caught.value.evidence["reason"] == "no-wheel"
    assert not list(Path(os.environ["KEDGE_HOME"], "environments").glob("tmp-*"))


def test_a_file_that_is_not_what_the_lock_says_is_refused(
    index: MakeWheel, python312: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index("bolts")
    lock = _lock(python312, "bolts")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))  # else the right one is still there
    index("bolts", files={"bolts.py": "EVIL = True\n"})
    with pytest.raises(EnvironmentFailed) as caught:
        python.ensure(python312, lock)
    assert caught.value.evidence["reason"] == "hash-mismatch"


def test_a_package_without_a_wheel_is_not_built_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python312: Interpreter
) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        _lock(python312, "docopt==0.6.2")
    assert "`docopt` has no wheel" in caught.value.message
    assert "environment.allow_builds" in (caught.value.hint or "")


def test_a_damaged_lock_installs_nothing(python312: Interpreter) -> None:
    lock = Lock("bolts\n", "0" * 64, "/somewhere/kedge.lock")
    with pytest.raises(LockError) as caught:
        python.ensure(python312, lock)
    assert str(caught.value.where) == "/somewhere/kedge.lock:1"


def test_a_home_that_cannot_be_written_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python312: Interpreter
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KEDGE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StoreError) as caught:
        python.ensure(python312, Lock("", "0" * 64, None))
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_a_typed_error(
    index: MakeWheel, python312: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        index("bolts", files={"bolts.py": "", "large.txt": "x" * (1 << 20)})
        lock = _lock(python312, "bolts")
        monkeypatch.setenv("KEDGE_HOME", str(small))
        with pytest.raises((EnvironmentFailed, StoreError)) as caught:
            python.ensure(python312, lock)
        assert "disk is full" in caught.value.message
    finally:
        subprocess.run(["umount", str(small)], check=True)
