"""Tasks whose runtime is a Python file."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kedge
from kedge import File, Json, Number, PythonScriptRuntime, String, Task
from kedge.client.definition import dump, load, load_file
from kedge.errors import TaskError
from kedge.middleware import drive

ARGUMENTS = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))\n"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
BEFORE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0{}$"))
KEYS = st.sampled_from(["{text}", "{cases}", "{task.name}", "{{text}}"])
OTHER = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))
    return shared_home


@pytest.fixture(params=["sandbox", "process"])
def executor(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


def log_of(ended: Any) -> str:
    from kedge.run.log import read_log

    return b"".join(data for _, _, data in read_log(f"{ended.run.folder}/log")).decode()


def written(folder: Path, text: str, name: str = "script.py") -> Path:
    script = folder / name
    script.write_text(text)
    return script


def test_a_script_gets_its_arguments_and_gives_files_and_values(
    folder: Path, executor: str
) -> None:
    (folder / "mesh.med").write_text("m")
    script = written(
        folder,
        "import json, os, sys\n"
        "open(sys.argv[2], 'w').write(open(sys.argv[1]).read() + repr(sys.argv[3:]))\n"
        "open('by its own name', 'w').close()\n"
        "os.chdir(os.environ['KEDGE_WORKSPACE'])\n"
        "json.dump({'count': 3}, open('out/data.json', 'w'))\n"
        "open('out/progress.jsonl', 'a').write('{\"step\": 1, \"total\": 2}\\n')\n",
    )
    args = ("{mesh}", "{out}", "{text}", "{mesh.stem}", "{task.name}", "{{text}}", "--n={n}")
    task = Task(
        name="mesh it",
        runtime=PythonScriptRuntime(script, args),
        inputs=[File("mesh", folder / "mesh.med"), String("text", "a;$(b) 'c'"), Number("n", 2)],
        outputs=[File("out", folder / "result.txt"), Number("count")],
        executor=executor,
    )
    ended = task.run_sync()
    assert ended.outputs["count"] == 3 and ended.run.runtime == "python_script"
    assert list(ended.run.artifacts) == ["by its own name"]
    expected = ["a;$(b) 'c'", "mesh", "mesh it", "{text}", "--n=2"]
    assert (folder / "result.txt").read_text() == "m" + repr(expected)


@pytest.mark.parametrize("name", ["a b.py", "-c.py", "λ 'x'.py", "no_extension"])
def test_a_script_imports_what_is_beside_it_and_leaves_nothing_there(
    folder: Path, executor: str, name: str
) -> None:
    written(folder, "SIZE = 4\n", "beside.py")
    (folder / "within").mkdir()
    written(folder / "within", "SIZE = 5\n", "__init__.py")
    script = written(folder, "import beside, within; print(beside.SIZE, within.SIZE)", name)
    before = sorted(folder.rglob("*"))
    ended = Task(runtime=PythonScriptRuntime(script), executor=executor).run_sync()
    assert ended.failure is None and log_of(ended) == "4 5\n"
    assert sorted(folder.rglob("*")) == before


def test_a_script_behind_a_link_imports_what_is_beside_the_script(
    folder: Path, executor: str
) -> None:
    for name in ("real", "links"):
        (folder / name).mkdir()
    written(folder / "real", "SIZE = 4\n", "beside.py")
    link = folder / "links" / "link.py"
    link.symlink_to(written(folder / "real", "import beside; print(beside.SIZE)"))
    ended = Task(runtime=PythonScriptRuntime(link), executor=executor).run_sync()
    assert ended.failure is None and log_of(ended) == "4\n"


def test_a_script_runs_on_the_python_that_is_asked_for(folder: Path, executor: str) -> None:
    script = written(folder, "import sys; print(sys.prefix, sys.version_info[:2])")
    other = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    for python, prefix in (
        (None, sys.prefix),
        (sys.executable, sys.prefix),
        (other / "bin" / "python", other),
        (OTHER, ""),
        (f"=={OTHER}.*", ""),
    ):
        runtime = PythonScriptRuntime(script, python=python)
        ended = Task(runtime=runtime, executor=executor).run_sync()
        assert ended.failure is None and log_of(ended).startswith(str(prefix))
        assert log_of(ended).endswith(f"({OTHER.replace('.', ', ')})\n")


def test_what_a_script_prints_is_in_the_log_when_it_is_killed(folder: Path) -> None:
    script = written(folder, "import time; print('begun'); time.sleep(60)")
    runtime = PythonScriptRuntime(script)
    ended = Task(runtime=runtime, resources={"timeout": 0.5, "grace": 0}).run_sync()
    assert ended.failure is not None and ended.failure.kind == "timeout"
    assert log_of(ended).startswith("begun\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="for others their own files are open")
def test_a_folder_that_is_closed_to_the_runs_account_is_said(folder: Path) -> None:
    script = written(folder, "print('ran')")
    runtime = PythonScriptRuntime(script)
    for closed, hint in ((folder, "a+rx"), (script, "a+r ")):
        before = closed.stat().st_mode
        closed.chmod(before & 0o700)
        failure = Task(runtime=runtime, executor="sandbox").run_sync().failure
        assert failure is not None and failure.kind == "start_failed"
        assert str(closed) in str(failure) and hint in str(failure.hint)
        assert Task(runtime=runtime, executor="process").run_sync().failure is None
        closed.chmod(before)


def test_a_script_that_cannot_be_run_is_refused_with_a_hint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    written(folder, "pass")
    (folder / "link.py").symlink_to("nothing")
    for runtime, said in (
        (PythonScriptRuntime("none.py"), "No such file"),
        (PythonScriptRuntime("link.py"), "No such file"),
        (PythonScriptRuntime(folder), "is no file"),
        (PythonScriptRuntime("/dev/null"), "is no file"),
        (PythonScriptRuntime("script.py/x"), "Not a directory"),
        (PythonScriptRuntime("a\0b"), "NUL"),
        (PythonScriptRuntime(5), "no text"),  # type: ignore[arg-type]
        (PythonScriptRuntime("script.py", "abc"), "no list of texts"),  # type: ignore[arg-type]
        (PythonScriptRuntime("script.py", ("a", 5, "b\0")), "args"),  # type: ignore[arg-type]
        (PythonScriptRuntime("script.py", ("{mesh}",)), r"`\{mesh\}` is not declared"),
        (PythonScriptRuntime("script.py", python="python3"), "neither a version"),
        (PythonScriptRuntime("script.py", python=3.12), "no text"),  # type: ignore[arg-type]
        (PythonScriptRuntime("script.py", python="./script.py"), "is no Python"),
    ):
        with pytest.raises(TaskError, match=said) as raised:
            Task(runtime=runtime).run_sync()
        assert all(problem.hint for problem in raised.value.problems)


def test_a_script_is_not_run_where_other_things_than_its_own_would_be_open_to_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = PythonScriptRuntime(written(folder, "pass"))
    for variable in ("HOME", "KEDGE_HOME"):
        for inner in (folder, folder / "inner"):
            with monkeypatch.context() as patched:
                patched.setenv(variable, str(inner))
                with pytest.raises(TaskError, match="would be open to it"):
                    Task(runtime=runtime).run_sync()


def test_a_script_that_needs_packages_is_refused_and_its_python_is_held_to(folder: Path) -> None:
    def of(*lines: str) -> Path:
        block = "".join(f"# {line}\n" for line in lines)
        return written(folder, f"# /// script\n{block}# ///\nprint('ran')\n")

    with pytest.raises(TaskError, match="needs packages") as raised:
        Task(runtime=PythonScriptRuntime(of('dependencies = ["numpy"]'))).run_sync()
    assert "kedge run" in str(raised.value.hint)
    with pytest.raises(TaskError, match=r"requires Python <3\.9"):
        Task(runtime=PythonScriptRuntime(of('requires-python = "<3.9"'))).run_sync()
    with pytest.raises(kedge.KedgeError, match="script"):
        Task(runtime=PythonScriptRuntime(of("dependencies = ["))).run_sync()
    script = of("dependencies = []", 'requires-python = ">=3.8"')
    assert Task(runtime=PythonScriptRuntime(script)).run_sync().failure is None


def test_paths_of_a_script_are_relative_to_the_file_of_its_task(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    written(folder, ARGUMENTS)
    for python, found in (("./python", f"{folder}/./python"), ("3.12", "3.12")):
        (folder / "task.yml").write_text(
            "runtime: {kind: python_script, script: script.py, args: ['{out}', b],"
            f" python: '{python}'}}\noutputs: [{{id: out, kind: file, path: out.txt}}]\n"
        )
        task = load_file(folder / "task.yml")
        assert task.runtime == PythonScriptRuntime(str(folder / "script.py"), ("{out}", "b"), found)
        assert load(dump(task)) == task


@given(TEXTS, st.lists(st.tuples(BEFORE, KEYS)))
def test_every_value_is_a_part_of_the_one_argument_that_asks_for_it(
    text: str, pieces: list[tuple[str, str]]
) -> None:
    filled = {"{text}": text, "{cases}": "[1]", "{task.name}": "n", "{{text}}": "{text}"}
    task = Task(
        name="n",
        runtime=PythonScriptRuntime(__file__, tuple(before + key for before, key in pieces)),
        inputs=[String("text", text), Json("cases", [1])],
    )
    argv = drive(task.runtime.setup_runtime(task)).argv
    assert list(argv[4:]) == [before + filled[key] for before, key in pieces]


@pytest.mark.parametrize("python", ["bin/python", "folder/bin/python"])
def test_an_environment_is_not_opened_to_a_script_with_what_is_not_its(
    folder: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / python
    place.parent.mkdir(parents=True)
    place.symlink_to(os.path.realpath(sys.executable))
    (place.parents[1] / "pyvenv.cfg").write_text(
        f"home = {os.path.dirname(os.path.realpath(sys.executable))}"
    )
    monkeypatch.setenv("HOME", str(place.parents[1] / "home"))
    script = folder / "scripts" / "script.py"
    script.parent.mkdir()
    script.write_text("")
    with pytest.raises(TaskError, match=r"environment .* would be open to the run, and that has"):
        Task(runtime=PythonScriptRuntime(script, python=place)).run_sync()


@pytest.mark.parametrize("place", ["/etc", "/run", "/proc/self"])
def test_a_script_among_the_machines_own_files_is_refused(place: str) -> None:
    found = next(one for one in Path(place).iterdir() if one.is_file() and os.access(one, os.R_OK))
    with pytest.raises(TaskError, match="would be open to it, and that"):
        Task(runtime=PythonScriptRuntime(found)).run_sync()
