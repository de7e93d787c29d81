"""`copy`: files and folders that a decorated function takes with it."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.client.decorated.written import written as package_of
from kedge.errors import UsageError

type Decorate = Callable[..., Any]
type Script = Callable[..., list[str]]

PROJECT = {
    "utils.py": "def helper():\n    return 'I am a helper'\n",
    "package/__init__.py": "",
    "package/module.py": "from . import inner\n\ndef value():\n    return inner.VALUE\n",
    "package/inner.py": "VALUE = 7\n",
    "data/points.csv": "1,2\n",
    "data/deep/more.txt": "more",
}


def listed(folder: str = ".") -> dict[str, str]:
    """The files below a folder but Kedge's own; of a symbolic link, where it leads."""
    found = {}
    for at, folders, files in os.walk(folder):
        for name in [*files, *(one for one in folders if os.path.islink(os.path.join(at, one)))]:
            path = os.path.join(at, name)
            inside = os.path.relpath(path, folder)
            if not inside.startswith(("_kedge", "in/", "out/", "kedge.yml", ".kedge")):
                found[inside] = os.readlink(path) if os.path.islink(path) else "file"
    return {name: kind for name, kind in found.items() if "__pycache__" not in name}


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


@pytest.fixture
def project(written: Callable[..., Path]) -> Path:
    return written(PROJECT)


def shipped(project: Path, name: str = ".", **also: Any) -> dict[str, str]:
    """What of a project is there inside."""
    copy = {str(project / name): name} | also
    found: dict[str, str] = kedge.function(listed, name="tested", copy=copy).run()
    return found


def package(copy: Any, **options: Any) -> str:
    """The folder of the package that is written for a function with these options."""
    made = kedge.function(listed, name="tested", copy=copy, **options)
    return os.path.basename(package_of(made._declaration, (), items=False, before=None).folder)


def test_files_and_folders_are_copied_relative_to_the_functions_file(script: Script) -> None:
    text = (
        "import kedge, os\n"
        "os.chdir('/')\n"
        "@kedge.function(name='tested', copy=['./utils.py', './package/', 'data'])\n"
        "def uses():\n"
        "    from utils import helper\n"
        "    from package import module\n"
        "    with open('data/points.csv') as points, open('data/deep/more.txt') as more:\n"
        "        return helper(), module.value(), points.read(), more.read()\n"
        "print(uses.run())\n"
    )
    assert script(text, PROJECT) == ["('I am a helper', 7, '1,2\\n', 'more')"]


def test_a_mapping_says_where_things_stand_inside(decorated: Decorate, project: Path) -> None:
    copy = {
        project / "utils.py": "lib/tools.py",
        str(project / "data"): "inputs",
        project / "package" / "inner.py": "lib/",
    }
    assert decorated(listed, copy=copy).run() == {
        "lib/tools.py": "file",
        "lib/inner.py": "file",
        "inputs/points.csv": "file",
        "inputs/deep/more.txt": "file",
    }
    assert set(decorated(listed, copy={project / "package": "."}).run()) == {
        "__init__.py",
        "module.py",
        "inner.py",
    }


@pytest.mark.parametrize("source", ["/etc/hosts", f"../{Path(__file__).parent.name}", "~"])
def test_what_lies_elsewhere_needs_the_mapping(source: str) -> None:
    with pytest.raises(UsageError, match="where that stands inside is not plain") as raised:
        kedge.function(listed, copy=[source])
    assert str(raised.value.hint).startswith(f"say where: copy={{{source!r}: ")


def test_the_mapping_takes_absolute_paths_and_those_above(script: Script) -> None:
    files = {"below/run.py": "", "beside.txt": "beside"}
    text = (
        "import kedge, os, runpy\n"
        "here = os.path.dirname(os.path.abspath(__file__))\n"
        "text = '''\n"
        "import kedge\n"
        "def both():\n"
        "    with open('one.txt') as one, open('other.txt') as other:\n"
        "        return one.read(), other.read()\n"
        "try: kedge.function(both, copy=['../beside.txt'])\n"
        "except kedge.KedgeError as error: print(error.hint)\n"
        "copy = {'../beside.txt': 'one.txt', HERE + '/beside.txt': 'other.txt'}\n"
        "print(kedge.function(both, name='tested', copy=copy).run())\n"
        "'''\n"
        "with open(os.path.join(here, 'below', 'run.py'), 'w') as file:\n"
        "    file.write(text.replace('HERE', repr(here)))\n"
        "runpy.run_path(os.path.join(here, 'below', 'run.py'), run_name='__main__')\n"
    )
    assert script(text, files) == [
        "say where: copy={'../beside.txt': \"beside.txt\"}",
        "('beside', 'beside')",
    ]


def test_what_version_control_ignores_is_copied_all_the_same(project: Path) -> None:
    for name in (".gitignore", ".kedgeignore"):
        (project / "data" / name).write_text("*\n")
    (project / "data" / ".hidden").write_text("")
    assert shipped(project, "data").keys() == {
        "data/points.csv",
        "data/deep/more.txt",
        "data/.gitignore",
        "data/.kedgeignore",
        "data/.hidden",
    }


def test_version_control_caches_and_environments_are_left_out(project: Path) -> None:
    for name in (".git", "__pycache__", ".venv", "node_modules"):
        (project / "data" / name).mkdir()
        (project / "data" / name / "file").write_text("")
    assert shipped(project, "data").keys() == {"data/points.csv", "data/deep/more.txt"}
    with pytest.raises(UsageError, match="folder of tools"):
        kedge.function(listed, copy={project / "data" / ".venv": "data/.venv"})


def test_a_link_in_a_folder_is_kept_and_one_that_is_named_is_followed(project: Path) -> None:
    (project / "data" / "link.csv").symlink_to("points.csv")
    (project / "data" / "inner").symlink_to("deep")
    (project / "named.csv").symlink_to("data/points.csv")
    (project / "linked").symlink_to("data/deep")
    assert shipped(project, "data") == {
        "data/points.csv": "file",
        "data/deep/more.txt": "file",
        "data/link.csv": "points.csv",
        "data/inner": "deep",
    }
    assert shipped(project, "named.csv") == {"named.csv": "file"}
    assert shipped(project, "linked") == {"linked/more.txt": "file"}


@pytest.mark.parametrize("target", ["/etc/hosts", "../../elsewhere"])
def test_a_link_that_leads_out_is_refused_with_file_and_line(project: Path, target: str) -> None:
    (project / "data" / "out").symlink_to(target)
    function = kedge.function(listed, copy={project / "data": "data"})
    with pytest.raises(UsageError, match="leads out of what is shipped") as raised:
        function.run()
    where = raised.value.where
    assert where is not None
    assert (where.file, where.line, where.path) == (
        __file__,
        listed.__code__.co_firstlineno,
        "copy",
    )


def test_a_file_may_be_named_twice_and_two_files_not_by_one_name(project: Path) -> None:
    both = {project / "package": "package", project / "package" / "inner.py": "package/inner.py"}
    assert len(kedge.function(listed, name="tested", copy=both).run()) == 3
    with pytest.raises(UsageError, match="would both be `x`"):
        kedge.function(listed, copy={project / "utils.py": "x", project / "data": "x"})
    for other in ("package/inner.py", "package/inner.py/deep"):
        clash = {project / "package": "package", project / "utils.py": other}
        with pytest.raises(UsageError, match=r"would both be `package/inner\.py` inside"):
            kedge.function(listed, copy=clash).run()


@pytest.mark.parametrize(
    "name", ["in", "out/x", "scratch", "kedge.yml", "kedge.lock", ".kedgeignore", "_kedge_call.py"]
)
def test_names_that_kedge_needs_itself_are_refused(project: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a name that Kedge needs itself"):
        kedge.function(listed, copy={project / "utils.py": name})
    (project / "all").mkdir()
    (project / "all" / name.partition("/")[0]).write_text("")
    with pytest.raises(UsageError, match="a name that Kedge needs itself"):
        kedge.function(listed, copy={project / "all": "."}).run()


@pytest.mark.parametrize("name", ["..", "../x", "/x", "a/../../x"])
def test_destinations_outside_are_refused(project: Path, name: str) -> None:
    with pytest.raises(UsageError, match="lies outside the working directory"):
        kedge.function(listed, copy={project / "utils.py": name})


def test_what_is_neither_file_nor_folder_is_refused(project: Path) -> None:
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(project / "data" / "socket"))
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            kedge.function(listed, copy={project / "data": "data"}).run()


def test_what_is_gone_by_the_time_of_the_run_is_an_error(project: Path) -> None:
    function = kedge.function(read, name="tested", copy={project / "utils.py": "utils.py"})
    (project / "utils.py").unlink()
    with pytest.raises(UsageError, match=r"utils\.py"):
        function.run("utils.py")


def test_a_changed_file_is_what_the_next_call_sees(decorated: Decorate, project: Path) -> None:
    function = decorated(read, copy={project / "utils.py": "utils.py"})
    for text in ("one", "two", "six"):
        (project / "utils.py").write_text(text)
        assert function.run("utils.py") == text


def test_a_changed_byte_mode_or_link_in_a_copied_folder_is_another_package(project: Path) -> None:
    copy = {project / "data": "data"}
    (project / "data" / "link").symlink_to("points.csv")
    seen = [package(copy)]
    assert package(copy) == seen[0]

    def changed() -> bool:
        seen.append(package(copy))
        return seen[-1] not in seen[:-1]

    (project / "data" / "points.csv").write_text("1,3\n")
    assert changed()
    (project / "data" / "points.csv").chmod(0o755)
    assert changed()
    (project / "data" / "link").unlink()
    (project / "data" / "link").symlink_to("deep/more.txt")
    assert changed()
    (project / "data" / "deep" / "more.txt").rename(project / "data" / "deep" / "other.txt")
    assert changed()
    (project / "data" / "new").write_text("")
    assert changed()
    (project / "data" / "new").unlink()
    assert package(copy) == seen[-2]


def test_only_what_is_copied_counts_not_when_or_from_where(project: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(project, tmp_path / "elsewhere")
    os.utime(elsewhere / "data" / "points.csv", (0, 0))
    assert package({elsewhere / "data": "data"}) == package({project / "data": "data"})
    pairs = [(project / "utils.py", "a"), (project / "data", "b")]
    assert package(dict(pairs)) == package(dict(reversed(pairs)))
    assert package({project / "utils.py": "a"}) != package({project / "utils.py": "b"})


def test_modes_inside_say_what_may_be_executed(project: Path) -> None:
    tool = project / "data" / "tool.sh"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)

    def runs() -> str:
        import subprocess

        return subprocess.run(["data/tool.sh"], capture_output=True, text=True).stdout

    copied = kedge.function(runs, name="tested", copy={project / "data": "data"})
    assert copied.run() == "ran\n"
