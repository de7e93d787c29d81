"""Byte-compiling: once for each wheel and interpreter, never taken from what is not its source."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kedge.environment import bytecode, compiler, python, runner
from kedge.environment.interpreters import Interpreter
from kedge.environment.lock import ensure_lock
from kedge.environment.python import PythonEnvironment
from kedge.environment.requirements import Requirements

MakeWheel = Callable[..., Path]


def _environment(one: Interpreter, *strings: str, wait: bool = True) -> PythonEnvironment:
    lock = ensure_lock(Requirements(strings, one.minor))
    return python.ensure(one, lock, compile="wait" if wait else "background")


def _compiled(found: PythonEnvironment) -> list[Path]:
    return sorted(Path(found.folder).rglob("*.pyc"))


def _says(found: PythonEnvironment, program: str) -> str:
    command = [found.python, "-I", "-B", "-c", program]
    return subprocess.check_output(command, text=True, env={}).strip()


def test_a_second_environment_links_what_the_first_compiled(
    index: MakeWheel, python312: Interpreter
) -> None:
    index("bolts")
    index("nuts")
    one = _environment(python312, "bolts")
    other = _environment(python312, "bolts", "nuts")
    (first,) = _compiled(one)
    same, new = _compiled(other)
    assert os.path.samefile(first, same)
    assert "nuts" in new.name
    program = "import bolts; print(bolts.__cached__, bolts.__file__)"
    assert _says(other, program) == f"{same} {same.parent.parent / 'bolts.py'}"


def test_everything_known_needs_no_compiling_at_all(
    index: MakeWheel, python312: Interpreter
) -> None:
    index("bolts")
    index("nuts", files={"nuts.txt": "no sources"})
    _environment(python312, "bolts")
    found = _environment(python312, "bolts", "nuts", wait=False)
    assert found.compiled
    assert len(_compiled(found)) == 1


def test_the_first_run_does_not_wait(index: MakeWheel, python312: Interpreter) -> None:
    index("bolts", files={f"bolts/m{number}.py": "x = [1]\n" * 2000 for number in range(40)})
    found = _environment(python312, "bolts", wait=False)
    assert found.created
    # Whoever wants it finished waits for the process in the background, or finishes what it left.
    bytecode.finish(python312, found.folder, "wait")
    assert bytecode.is_finished(found.folder)
    assert len(_compiled(found)) == 40
    assert not list(Path(os.environ["KEDGE_HOME"], "bytecode").glob("tmp-*"))


def test_times_do_not_matter(index: MakeWheel, python312: Interpreter) -> None:
    index("bolts")
    found = _environment(python312, "bolts")
    source = Path(found.folder, python312.purelib, "bolts.py")
    os.utime(source, (1, 1))
    (pyc,) = _compiled(found)
    before = pyc.read_bytes()
    assert int.from_bytes(before[4:8], "little") == 1  # PEP 552: by hash, source not looked at
    assert _says(found, "import bolts; print(bolts.VERSION)") == "1.0"


def test_a_wheel_that_lies_about_its_sources_poisons_nothing(
    index: MakeWheel, python312: Interpreter
) -> None:
    honest = "VALUE = 'true'\n"  # as long as the other, so that the RECORDs are the same
    # The same name and the same claimed hash, another content.
    index("bolts", "1.0", files={"bolts.py": "VALUE = 'evil'\n"}, record={"bolts.py": honest})
    index("bolts", "2.0", files={"bolts.py": honest})
    _environment(python312, "bolts==1.0")
    found = _environment(python312, "bolts==2.0")
    assert _says(found, "import bolts; print(bolts.VALUE)") == "true"
    (compiled,) = _compiled(found)  # the store of that content was not taken for whole
    assert b"true" in compiled.read_bytes() and b"evil" not in compiled.read_bytes()


def test_sources_that_cannot_be_compiled_are_left(index: MakeWheel, python312: Interpreter) -> None:
    deep = "x = " + "-" * 100_000 + "1\n"
    files = {"bolts.py": "", "old.py": "print 'python 2'\n", "deep.py": deep, "zero.py": "a\0b"}
    index("bolts", files=files)
    found = _environment(python312, "bolts")
    assert found.compiled
    assert [path.name for path in _compiled(found)] == [f"bolts.{python312.cache_tag}.pyc"]


def test_paths_in_a_record_do_not_lead_elsewhere(tmp_path: Path) -> None:
    record = tmp_path / "RECORD"
    value = "sha256=" + "A" * 43
    rows = ["../x.py", "/etc/x.py", "a/../b.py", "a//b.py", "good.py", '"with,comma.py"']
    rows = [f"{path},{value},1" for path in rows]
    record.write_text("\n".join([*rows, "no", "", "bad.py,sha256=*,1", "md5.py,md5=aa,1"]))
    assert [path for path, _ in bytecode._sources(bytecode._rows(str(record)))] == [
        "good.py",
        "with,comma.py",
    ]


def test_a_folder_is_compiled_beside_its_sources(
    tmp_path: Path, pythons: dict[str, Interpreter]
) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "main.py").write_text("x = 1\n")
    (tmp_path / "package" / "inner" / "part.py").write_text("y = 2\n")
    (tmp_path / "package" / "broken.py").write_text("def\n")
    (tmp_path / "outside.py").write_text("z = 3\n")
    (tmp_path / "package" / "link.py").symlink_to(tmp_path / "outside.py")
    for one in pythons.values():
        bytecode.compile_folder(one, str(tmp_path / "package"))
    names = {path.name for path in tmp_path.rglob("*.pyc")}
    assert names == {
        f"{name}.{one.cache_tag}.pyc" for name in ("main", "part") for one in pythons.values()
    }


def test_ctrl_c_is_what_is_raised_when_compiling_has_ended_since(
    tmp_path: Path, python312: Interpreter
) -> None:
    (tmp_path / "main.py").write_text("x = 1\n")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # Python waits for it, for a quarter of a second
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            bytecode.compile_folder(python312, str(tmp_path))
            pytest.fail("it had ended before")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_empty_folder_needs_no_process(tmp_path: Path, python312: Interpreter) -> None:
    (tmp_path / "package").mkdir()
    bytecode.compile_folder(python312, str(tmp_path / "package"))
    assert not list((tmp_path / "package").iterdir())


def test_the_runner_is_compiled_for_every_interpreter_and_found_again(
    pythons: dict[str, Interpreter], kedge_home: Path
) -> None:
    for one in pythons.values():
        path = bytecode.runner_for(one)
        ended = subprocess.run(
            [one.path, "-I", "-B", path], capture_output=True, text=True, env={}, check=False
        )
        assert "bad magic" not in ended.stderr.lower()
        assert "Traceback" not in ended.stderr
        before = os.stat(path).st_mtime_ns
        assert bytecode.runner_for(one) == path
        assert os.stat(path).st_mtime_ns == before
    assert len(list((kedge_home / "runners").iterdir())) == len(pythons)


def test_the_compiler_runs_on_every_python_there_is(pythons: dict[str, Interpreter]) -> None:
    source = Path(compiler.__file__).read_bytes()
    for one in pythons.values():
        assert runner._compiled(one, source)[:4].hex() == one.magic


@pytest.mark.parametrize("name", ["a.py", "pkg/a.py", "pkg/sub/a.b.py"])
def test_the_place_of_a_compiled_file(name: str) -> None:
    import importlib.util
    import sys

    tag = sys.implementation.cache_tag
    assert tag is not None
    assert compiler.target(name, tag) == importlib.util.cache_from_source(name)
