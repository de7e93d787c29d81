"""Starting: which Python begins, what main sees, and what a second start costs."""

import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = """
import os, sys
events = []
def hook(event, arguments):
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & writes:
        events.append("open " + str(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.fork", "os.exec"):
        events.append(event)
    elif event.startswith(("subprocess.", "socket.", "os.posix_spawn")):
        events.append(event)
sys.addaudithook(hook)
import atexit
atexit.register(lambda: os.write(2, "\\n".join(["PYTHON", *events, ""]).encode()))
"""


def first_on_path(checkout: Any, tmp_path: Path, python: str) -> None:
    """Let `python3` be this program."""
    folder = tmp_path / "first"
    folder.mkdir(exist_ok=True)
    (folder / "python3").unlink(missing_ok=True)
    (folder / "python3").symlink_to(python)
    checkout.variables["PATH"] = f"{folder}:{checkout.variables['PATH']}"


def test_any_python_from_3_8_on_may_start_it(
    checkout: Any, tmp_path: Path, pythons: dict[str, str]
) -> None:
    able = {minor: path for minor, path in pythons.items() if int(minor.split(".")[1]) >= 8}
    assert able
    for minor, path in able.items():
        first_on_path(checkout, tmp_path, path)
        report = checkout.report(env=checkout.variables | {"PRIMER_REBUILD": "1"})
        assert report["tiny"] == "1.0", minor
        assert tuple(map(int, report["version"].split("."))) >= (3, 12), minor


def test_older_pythons_say_one_line(pythons: dict[str, str], proto: Any) -> None:
    for minor, path in pythons.items():
        if minor in ("3.6", "3.7"):
            ended = subprocess.run([path, proto.__file__], capture_output=True, text=True)
            assert ended.returncode == 1
            assert ended.stderr.count("\n") == 1
            assert f"3.8 or newer is needed, and this is {minor}" in ended.stderr


def test_a_failing_shim_first_on_path_is_passed_over(checkout: Any, tmp_path: Path) -> None:
    shim = tmp_path / "shim"
    shim.write_text("#!/bin/sh\necho 'pyenv: version not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    first_on_path(checkout, tmp_path, str(shim))
    report = checkout.report()
    assert report["tiny"] == "1.0"
    assert "pyenv" not in report["said"]


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("", "home/.pyenv/versions"),
        ("PYENV_ROOT", "set/versions"),
        ("", "home/.local/share/uv/python"),
        ("XDG_DATA_HOME", "set/uv/python"),
        ("UV_PYTHON_INSTALL_DIR", "set"),
    ],
)
def test_versions_of_pyenv_and_uv_are_found_when_no_python_is_on_path(
    checkout: Any, tmp_path: Path, tools: Path, variable: str, folder: str
) -> None:
    version = tmp_path / folder / "3/bin"
    version.mkdir(parents=True)
    (version / "python3").symlink_to(os.path.realpath(sys.executable))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/uv").symlink_to(os.path.realpath(tools / "uv"))
    checkout.configure(python=f"==3.{sys.version_info.minor}.*", download=False)
    checkout.variables |= {"PATH": str(tmp_path / "bare"), variable or "_": str(tmp_path / "set")}
    assert checkout.report()["tiny"] == "1.0"


def test_versions_behind_a_folder_of_failing_shims_are_found(
    checkout: Any, tmp_path: Path, tools: Path, pythons: dict[str, str]
) -> None:
    name = f"python3.{sys.version_info.minor}"
    version = tmp_path / "pyenv/versions/3/bin"
    version.mkdir(parents=True)
    (version / "python3").symlink_to(os.path.realpath(sys.executable))
    (tmp_path / "pyenv/shims").mkdir()
    (tools / name).unlink()
    (tmp_path / "pyenv/shims" / name).write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "pyenv/shims" / name).chmod(0o755)
    checkout.configure(python=f"==3.{sys.version_info.minor}.*", download=False)
    first_on_path(checkout, tmp_path, next(iter(pythons.values())))
    checkout.variables["PATH"] = f"{tmp_path}/pyenv/shims:{checkout.variables['PATH']}"
    assert checkout.report()["version"] == f"3.{sys.version_info.minor}"


def test_without_any_python_one_line_lists_what_was_tried(checkout: Any, tmp_path: Path) -> None:
    # Those that the entry script looks for outside PATH are taken away in a namespace.
    usual = [
        path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.exists(path)
    ]
    hidden = [part for path in usual for part in ("--ro-bind", "/dev/null", os.path.realpath(path))]
    (tmp_path / "empty").mkdir()
    bwrap = str(shutil.which("bwrap"))
    ended = subprocess.run(
        [bwrap, "--dev-bind", "/", "/", *hidden, str(checkout.root / "app")],
        env=checkout.variables | {"PATH": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1
    assert "no Python 3.8 or newer starts here; tried: python3 python3.14" in ended.stderr


def test_nothing_that_fits_is_one_error_with_every_candidate(checkout: Any) -> None:
    checkout.configure(python=">=3.99")
    ended = checkout.start()
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "no Python here is >=3.99; install one. Tried:" in ended.stderr
    assert f"/python3.{sys.version_info.minor}: {sys.version.split()[0]}\n" in ended.stderr
    assert "uv python install >=3.99: exit code" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_python_that_uv_has_downloaded_is_used(
    checkout: Any, tmp_path: Path, tools: Path
) -> None:
    uv = os.path.realpath(tools / "uv")
    (tools / "uv").unlink()
    (tools / f"python3.{sys.version_info.minor}").unlink()
    place = tmp_path / "by uv/3/bin"  # A download, without what it is downloaded from.
    (tools / "uv").write_text(f"""#!/bin/sh
[ "$1" = python ] || exec "{uv}" "$@"
mkdir -p "{place}" && ln -s "{os.path.realpath(sys.executable)}" "{place}/python3"
""")
    (tools / "uv").chmod(0o755)
    checkout.configure(python=f"==3.{sys.version_info.minor}.*")
    checkout.variables["UV_PYTHON_INSTALL_DIR"] = str(tmp_path / "by uv")
    report = checkout.report()
    assert report["version"] == f"3.{sys.version_info.minor}"
    assert f"downloading Python ==3.{sys.version_info.minor}.*\n" in report["said"]


def test_download_may_be_forbidden(checkout: Any) -> None:
    checkout.configure(python=">=3.99", download=False)
    ended = checkout.start()
    assert ended.returncode == 3
    assert "uv python install" not in ended.stderr


def test_main_sees_its_arguments_folder_and_stdin_as_called(checkout: Any, tmp_path: Path) -> None:
    report = checkout.report("-h", "--", "a b", "", "\u00e9", cwd=tmp_path)
    assert report["argv"][1:] == ["-h", "--", "a b", "", "\u00e9"]
    assert report["argv"][0] == str(checkout.root / "app")
    assert report["cwd"] == str(tmp_path)


def test_stdin_of_the_first_start_reaches_main_whole(checkout: Any) -> None:
    ended = checkout.start("echo", input="one\ntwo\n")
    assert (ended.returncode, ended.stdout) == (0, "one\ntwo\n")


def test_exit_codes_and_signals_are_those_of_main(checkout: Any) -> None:
    assert checkout.start("exit", "7").returncode == 7
    assert checkout.start("exit", "0").stderr == ""
    process = checkout.begin("wait")
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == -signal.SIGTERM


def test_a_traceback_of_the_project_is_its_own(checkout: Any) -> None:
    for _ in ("first", "second"):
        ended = checkout.start("raise")
        assert ended.returncode == 1
        assert "LookupError: of the project" in ended.stderr
        assert "primer: error" not in ended.stderr
    (checkout.root / "src/demo.py").write_text("import nowhere\n")
    ended = checkout.start()
    assert ended.returncode == 1
    assert "ModuleNotFoundError: No module named 'nowhere'" in ended.stderr
    assert "primer:" not in ended.stderr


def test_no_variable_of_the_primer_is_visible_in_main(checkout: Any) -> None:
    asked = {"PRIMER_REBUILD": "1", "PRIMER_VERBOSE": "1"}
    seen = checkout.report(env=checkout.variables | asked)["environ"]
    # PWD and _ come from the shell, LC_CTYPE from Python (PEP 538).
    assert set(seen) - set(checkout.variables) <= {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    same = set(checkout.variables) - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert {name: seen[name] for name in same} == {name: checkout.variables[name] for name in same}


def test_the_callers_python_variables_do_not_reach_in(checkout: Any, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for module in ("tiny", "json", "subprocess", "demo"):
        (foreign / f"{module}.py").write_text("raise SystemExit('foreign code ran')\n")
    checkout.variables |= {
        "PYTHONPATH": str(foreign),
        "PYTHONHOME": str(foreign),
        "VIRTUAL_ENV": str(foreign),
        "PIP_TARGET": str(foreign),
        "UV_PYTHON": "2.7",
        "UV_WORKING_DIR": str(foreign),
        "UV_CONSTRAINT": str(foreign / "nowhere.txt"),
    }
    for _ in ("first", "second"):
        report = checkout.report(cwd=foreign)
        assert report["tiny"] == "1.0"
        assert str(foreign) not in report["path"]


def test_an_active_environment_of_another_project_does_not_reach_in(
    checkout: Any, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(foreign)], check=True)
    site = subprocess.check_output(
        [foreign / "bin/python", "-c", "import sysconfig as s; print(s.get_path('purelib'))"],
        text=True,
    ).strip()
    Path(site, "tiny.py").write_text("raise SystemExit('foreign code ran')\n")
    checkout.variables["VIRTUAL_ENV"] = str(foreign)
    checkout.variables["PATH"] = f"{foreign}/bin:{checkout.variables['PATH']}"
    for _ in ("first", "second"):
        report = checkout.report()
        assert report["tiny"] == "1.0"
        assert str(foreign) not in " ".join([report["base"], *report["path"]])


def test_a_second_start_starts_writes_and_fetches_nothing(checkout: Any) -> None:
    packages = Path(checkout.report()["packages"])
    (packages / "sitecustomize.py").write_text(AUDIT)
    checkout.start("exit", "0")  # Writes sitecustomize's bytecode.
    before = tree(checkout.root)
    ended = checkout.start("exit", "0")
    assert ended.stderr == "PYTHON\n"
    assert tree(checkout.root) == before


@pytest.mark.parametrize("foreign", ["", "PYTHONPATH", "VIRTUAL_ENV"])
def test_a_second_start_is_one_exec_and_nothing_else(
    checkout: Any, tmp_path: Path, foreign: str
) -> None:
    checkout.variables |= {foreign: str(tmp_path)} if foreign else {}
    checkout.start("exit", "0")
    log = tmp_path / "calls"
    calls = "trace=%process,%network,openat,open,creat,mkdir,rename,unlink,symlink,link,truncate"
    strace = ["strace", "-f", "-qq", "-o", str(log), "-e", calls]
    ended = subprocess.run(
        [*strace, str(checkout.root / "app"), "exit", "0"], env=checkout.variables, check=False
    )
    assert ended.returncode == 0
    lines = [line.partition(" ")[2].strip() for line in log.read_text().splitlines()]
    programs = [line for line in lines if line.startswith("execve(") and line.endswith("= 0")]
    assert len(programs) == 2  # The shell, and what replaces it.
    reading = ("O_WRONLY", "O_RDWR", "O_CREAT")
    opened = [line for line in lines if line.startswith("open")]
    assert opened
    assert [line for line in opened if any(flag in line for flag in reading)] == []
    usual = ("execve(", "open", "exit", "+++", "arch_prctl", "wait4")
    assert [line for line in lines if not line.startswith(usual)] == []


def tree(root: Path) -> dict[str, int]:
    """Every path below `root` with its time of change."""
    return {str(path): path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}


def test_through_symlinks_and_path_it_is_the_same(checkout: Any, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links/app").symlink_to("../checkout/app")
    (tmp_path / "bin/tool").symlink_to("../links/app")
    expected = checkout.report()
    checkout.variables["PATH"] = f"{tmp_path}/bin:{checkout.variables['PATH']}"
    named = subprocess.run(
        ["/bin/sh", "-c", "tool"], cwd="/", env=checkout.variables, capture_output=True, text=True
    )
    assert f'"file": "{expected["file"]}"' in named.stdout
    assert checkout.report(entry=tmp_path / "bin/tool", cwd="/")["file"] == expected["file"]
    assert checkout.report(entry="bin/tool", cwd=tmp_path)["file"] == expected["file"]
    assert checkout.report(entry="./app")["file"] == expected["file"]


def test_without_a_home_it_works(checkout: Any) -> None:
    del checkout.variables["HOME"]
    assert checkout.report()["tiny"] == "1.0"
    assert checkout.report()["said"] == ""


def test_on_a_terminal_the_slow_path_is_shown(checkout: Any) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(checkout.root / "app"), "exit", "5"], env=checkout.variables, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # EIO: the other side is closed.
        pass
    os.close(ours)
    assert process.wait() == 5
    assert b"primer: installing requirements/app.txt" in shown


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_path_with_spaces_and_unicode_works(checkout: Any, tmp_path: Path, locale: str) -> None:
    odd = tmp_path / "a b's\n \u00e9\u6f22 $x"
    checkout.root = checkout.root.rename(odd)
    checkout.variables["LC_ALL"] = locale
    assert os.fsencode(checkout.report()["file"]) == os.fsencode(odd / "src/demo.py")
    for other in ("C", "C.UTF-8"):
        checkout.variables["LC_ALL"] = other
        assert checkout.report()["said"] == ""
