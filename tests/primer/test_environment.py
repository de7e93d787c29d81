"""The environment: when it is made anew, and that nothing leaves it broken."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FINISHED_SECONDS = 120  # A start that takes longer hangs.


def test_an_edited_lock_makes_it_anew(checkout: Any, wheels: dict[str, Path]) -> None:
    assert checkout.report()["tiny"] == "1.0"
    checkout.lock(wheels["2.0"])
    assert checkout.report()["tiny"] == "2.0"
    assert checkout.report()["said"] == ""


def test_all_but_the_environment_before_is_removed(checkout: Any) -> None:
    process = checkout.begin("wait")
    process.stdout.readline()
    older = checkout.made()
    checkout.report(env=checkout.variables | {"PRIMER_REBUILD": "1"})
    kept = checkout.made()
    assert set(kept) > set(older)  # Somebody runs in it.
    process.kill()
    process.communicate()
    checkout.report(env=checkout.variables | {"PRIMER_REBUILD": "1"})
    assert len(checkout.made()) == 2
    assert not set(older) & set(checkout.made())


def test_it_is_made_anew_on_request_where_it_is_active(checkout: Any) -> None:
    checkout.report()
    older = checkout.made()
    checkout.variables["PATH"] = f"{checkout.root}/.primer/app/bin:{checkout.variables['PATH']}"
    checkout.report(env=checkout.variables | {"PRIMER_REBUILD": "1"})
    assert len(checkout.made()) == len(older) + 1


def test_what_the_lock_no_longer_names_is_gone(checkout: Any) -> None:
    packages = Path(checkout.report()["packages"])
    assert (packages / "tiny.py").exists()
    (checkout.root / "requirements/app.txt").write_text("# nothing\n")
    ended = checkout.start()
    assert "No module named 'tiny'" in ended.stderr


def test_a_wrong_hash_leaves_the_old_environment(checkout: Any, wheels: dict[str, Path]) -> None:
    checkout.report()
    lock = checkout.root / "requirements/app.txt"
    good = lock.read_text()
    lock.write_text(good[:-8] + "0000000\n")
    ended = checkout.start()
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "`requirements/app.txt` cannot be installed by " in ended.stderr
    assert "ash mismatch" in ended.stderr
    assert "Traceback" not in ended.stderr
    lock.write_text(good)
    assert checkout.report()["said"] == ""


def test_a_lock_without_a_hash_is_refused(checkout: Any) -> None:
    lock = checkout.root / "requirements/app.txt"
    lock.write_text(lock.read_text().partition("\\")[0])
    ended = checkout.start()
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "must have a hash" in " ".join(ended.stderr.split())


def test_a_moved_checkout_runs_its_own_code(checkout: Any, tmp_path: Path) -> None:
    checkout.report()
    checkout.root = checkout.root.rename(tmp_path / "moved")
    report = checkout.report()
    assert report["file"] == str(tmp_path / "moved/src/demo.py")
    assert str(tmp_path / "checkout") not in json.dumps(report["path"])
    assert checkout.report()["said"] == ""


@pytest.mark.parametrize("followed", [False, True], ids=["links kept", "links followed"])
def test_a_copied_checkout_runs_its_own_code(checkout: Any, tmp_path: Path, followed: bool) -> None:
    checkout.report()
    copy = type(checkout)(tmp_path / "copy", checkout.variables)
    shutil.copytree(checkout.root, copy.root, symlinks=True)
    if followed:
        link = copy.root / ".primer/app"
        link.unlink()
        shutil.copytree(checkout.root / ".primer/app", link, symlinks=True)
    source = copy.root / "src/demo.py"
    source.write_text(source.read_text().replace('"first"', '"copy"'))
    report = copy.report()
    assert (report["whose"], report["file"]) == ("copy", str(source))
    assert str(checkout.root) not in json.dumps(report["path"])
    assert checkout.report()["whose"] == "first"
    assert checkout.report()["said"] == copy.report()["said"] == ""


def test_a_read_only_checkout_has_its_environment_in_the_cache(
    checkout: Any, tmp_path: Path
) -> None:
    root = str(checkout.root)
    command = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", root, root, root + "/app"]
    for said in (True, False):
        ended = subprocess.run(command, capture_output=True, text=True, env=checkout.variables)
        assert ended.returncode == 0, ended.stderr
        assert bool(ended.stderr) is said
        prefix = json.loads(ended.stdout)["prefix"]
        assert prefix == f"{tmp_path}/home/.cache/primer{root}/.primer/app"
    assert not (checkout.root / ".primer").exists()


def test_a_newer_proto_makes_it_anew(checkout: Any) -> None:
    checkout.report()
    proto = checkout.root / "primer/proto.py"
    text = proto.read_text()
    proto.write_text(re.sub("LAYOUT = .*", "LAYOUT = 99", text))
    assert "changed: layout\n" in checkout.report()["said"]
    assert checkout.report()["said"] == ""


def test_another_python_that_is_asked_for_makes_it_anew(
    checkout: Any, pythons: dict[str, str]
) -> None:
    assert checkout.report()["version"] == f"3.{sys.version_info.minor}"
    other = next(minor for minor in pythons if minor in ("3.9", "3.10", "3.11", "3.13"))
    checkout.variables["PATH"] += f":{os.path.dirname(pythons[other])}"
    checkout.configure(python=f"=={other}.*")
    report = checkout.report()
    assert report["version"] == other
    assert "changed: primer.json\n" in report["said"]
    assert checkout.report()["said"] == ""


def test_links_to_nowhere_are_no_hindrance(checkout: Any, tmp_path: Path) -> None:
    checkout.report()
    made = checkout.root / ".primer/made/app"
    shutil.rmtree(made)  # The link to it is left.
    assert checkout.report()["tiny"] == "1.0"
    (tmp_path / "tools/python3").symlink_to(tmp_path / "nowhere")
    (checkout.root / "src/nowhere").symlink_to(tmp_path / "nowhere")
    shutil.rmtree(checkout.root / ".primer")
    (checkout.root / ".primer").symlink_to(tmp_path / "nowhere")
    report = checkout.report()
    assert report["prefix"].startswith(str(tmp_path / "home/.cache/primer"))
    assert checkout.report()["said"] == ""


def test_without_the_index_what_is_fresh_runs_and_what_is_stale_says_what_changed(
    checkout: Any,
) -> None:
    nobody = "http://127.0.0.1:9/simple"  # The port "discard", where nobody listens.
    gone = {"UV_DEFAULT_INDEX": nobody, "PIP_INDEX_URL": nobody, "UV_HTTP_RETRIES": "0"}
    checkout.report()
    checkout.variables |= gone
    assert checkout.report()["said"] == ""
    lock = checkout.root / "requirements/app.txt"
    good = lock.read_text()
    lock.write_text(good + f"kedge-nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    ended = checkout.start()
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "primer: changed: requirements/app.txt\n" in ended.stderr
    assert "`requirements/app.txt` cannot be installed" in ended.stderr
    assert "kedge-nowhere" in ended.stderr
    lock.write_text(good)
    assert checkout.report()["said"] == ""


def test_a_lock_that_changes_while_it_is_installed_is_an_error(checkout: Any, tools: Path) -> None:
    uv = os.path.realpath(tools / "uv")
    (tools / "uv").unlink()
    lock = checkout.root / "requirements/app.txt"
    script = f"""#!/bin/sh
case $1 in pip) echo '# changed' >>"{lock}" ;; esac
exec "{uv}" "$@"
"""
    (tools / "uv").write_text(script)
    (tools / "uv").chmod(0o755)
    ended = checkout.start()
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "files of `app` changed while it was made; start again" in ended.stderr
    (tools / "uv").unlink()
    (tools / "uv").symlink_to(uv)
    assert checkout.report()["tiny"] == "1.0"


def test_a_lock_that_includes_others_is_refused(checkout: Any) -> None:
    lock = checkout.root / "requirements/app.txt"
    lock.write_text(lock.read_text() + "-r more.txt\n")
    ended = checkout.start()
    assert ended.returncode == 3
    assert "other files are included in the lock file `requirements/app.txt`" in ended.stderr


def test_a_deleted_base_interpreter_is_noticed(checkout: Any, tmp_path: Path, tools: Path) -> None:
    # A Python that can go away: its program copied, its library a link.
    base = tmp_path / "base"
    program = Path(os.path.realpath(sys.executable))
    (base / "bin").mkdir(parents=True)
    shutil.copy(program, base / "bin/python3")
    (base / "lib").symlink_to(program.parents[1] / "lib")
    checkout.variables["PATH"] = f"{base}/bin:{checkout.variables['PATH']}"
    assert checkout.report()["base"] == str(base)
    (base / "lib").unlink()  # Its library first: the program still starts, and fails.
    assert checkout.report()["base"] != str(base)
    (base / "lib").symlink_to(program.parents[1] / "lib")
    assert checkout.report(env=checkout.variables | {"PRIMER_REBUILD": "1"})["base"] == str(base)
    shutil.copy(program, base / "bin/python3")  # Another one, which may be of another version.
    assert "primer: changed: python\n" in checkout.report()["said"]
    shutil.rmtree(base)
    assert checkout.report()["base"] != str(base)
    assert checkout.report()["said"] == ""


def test_of_ten_first_starts_one_builds(checkout: Any) -> None:
    processes = [checkout.begin() for _ in range(10)]
    ended = [process.communicate(timeout=FINISHED_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10
    assert sum("installing" in stderr for _, stderr in ended) == 1
    assert len({json.loads(stdout)["prefix"] for stdout, _ in ended}) == 1
    assert len(checkout.made()) == 1


def test_a_start_that_waits_says_so(checkout: Any) -> None:
    import fcntl

    (checkout.root / ".primer").mkdir()
    with (checkout.root / ".primer/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = checkout.begin("exit", "0")
        assert process.stderr is not None
        assert "waiting for another start" in process.stderr.readline()
    process.communicate(timeout=FINISHED_SECONDS)
    assert process.returncode == 0


def test_what_is_configured_while_a_start_waits_counts(checkout: Any) -> None:
    import fcntl

    (checkout.root / ".primer").mkdir()
    (checkout.root / "more").mkdir()
    with (checkout.root / ".primer/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = checkout.begin()
        process.stderr.readline()  # It waits.
        own = {"lock": "requirements/app.txt", "paths": ["src", "more"]}
        checkout.configure(environments={"app": own})
    stdout, stderr = process.communicate(timeout=FINISHED_SECONDS)
    assert process.returncode == 0, stderr
    assert str(checkout.root / "more") in json.loads(stdout)["path"]


def test_a_primer_folder_of_somebody_elses_is_no_hindrance(checkout: Any, tmp_path: Path) -> None:
    checkout.report()
    lock = str(checkout.root / ".primer/lock")  # As sudo leaves it: this user cannot write to it.
    (checkout.root / "primer.local.json").write_text('{"download": false}')
    command = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", lock, lock]
    command.append(str(checkout.root / "app"))
    ended = subprocess.run(command, capture_output=True, text=True, env=checkout.variables)
    assert ended.returncode == 0, ended.stderr
    prefix = json.loads(ended.stdout)["prefix"]
    assert prefix == f"{tmp_path}/home/.cache/primer{checkout.root}/.primer/app"


def test_where_nothing_can_be_written_the_error_says_what_to_do(checkout: Any) -> None:
    places = [str(checkout.root), checkout.variables["HOME"]]
    bound = [word for place in places for word in ("--ro-bind", place, place)]
    command = ["bwrap", "--dev-bind", "/", "/", *bound, str(checkout.root / "app")]
    ended = subprocess.run(command, capture_output=True, text=True, env=checkout.variables)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "Read-only file system" in ended.stderr
    assert "set XDG_CACHE_HOME" in ended.stderr


def test_a_full_disk_is_one_error_and_leaves_nothing_half_made(checkout: Any) -> None:
    checkout.report()
    small = str(checkout.root / "small")
    os.mkdir(small)
    checkout.configure("primer.local.json", folder=small)
    command = ["bwrap", "--dev-bind", "/", "/", "--size", "40960", "--tmpfs", small]
    command.append(str(checkout.root / "app"))
    ended = subprocess.run(command, capture_output=True, text=True, env=checkout.variables)
    assert ended.returncode == 3
    assert "o space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    (checkout.root / "primer.local.json").unlink()
    assert checkout.report()["said"] == ""


def test_pip_is_the_fallback(checkout: Any, tools: Path, pythons: dict[str, str]) -> None:
    shutil.rmtree(tools)
    tools.mkdir()
    # Debian's Pythons have no ensurepip unless a package of its own is installed.
    able = [
        (version, path)
        for version, path in pythons.items()
        if subprocess.call([path, "-I", "-c", "import ensurepip"], stderr=subprocess.DEVNULL) == 0
    ]
    version, path = max(able, key=lambda one: int(one[0].partition(".")[2]))
    (tools / f"python{version}").symlink_to(path)
    checkout.configure(python=f">={version}")
    report = checkout.report()
    assert report["tiny"] == "1.0"
    assert (Path(report["prefix"]) / "bin/pip").exists()


def test_uv_is_fetched_into_a_folder_of_its_own(checkout: Any, tools: Path) -> None:
    (tools / "uv").unlink()
    lock = Path(__file__).resolve().parents[2] / "requirements/uv.txt"
    shutil.copy(lock, checkout.root / "requirements")
    checkout.configure(uv="requirements/uv.txt")
    report = checkout.report()
    assert "fetching uv" in report["said"]
    assert not (Path(report["prefix"]) / "bin/pip").exists()
    assert (checkout.root / ".primer/uv/bin/uv").exists()


def test_that_uv_cannot_be_fetched_is_said(checkout: Any, tools: Path) -> None:
    (tools / "uv").unlink()
    (checkout.root / "requirements/uv.txt").write_text("uv==0.0.0\n")  # It has no hash.
    (checkout.root / "uv.lock").write_text("")
    checkout.configure(
        uv="requirements/uv.txt", environments={"app": {"lock": "uv.lock", "paths": ["src"]}}
    )
    ended = checkout.start()
    assert ended.returncode == 3
    assert "`uv.lock` cannot be installed by pip, and there is no uv" in ended.stderr
    assert "must have their versions pinned" in ended.stderr or "hash" in ended.stderr


def test_paths_may_lead_out_of_the_checkout(checkout: Any, tmp_path: Path) -> None:
    own = {"lock": "requirements/app.txt", "paths": ["src", "../beside"]}
    checkout.configure(environments={"app": own})
    assert str(tmp_path / "beside") in checkout.report()["path"]


def test_what_tools_say_goes_nowhere_where_standard_error_is_closed(checkout: Any) -> None:
    command = ["sh", "-c", '"$0" <&- >&- 2>&-', str(checkout.root / "app")]
    environment = checkout.variables | {"PRIMER_VERBOSE": "1"}
    subprocess.run(command, env=environment, check=True, timeout=FINISHED_SECONDS)
    assert (checkout.root / ".primer/lock").read_bytes() == b""
    assert checkout.report()["said"] == ""


def test_a_local_file_overrides_the_configuration(checkout: Any, tmp_path: Path) -> None:
    checkout.configure("primer.local.json", folder=str(tmp_path / "elsewhere"))
    prefix = Path(checkout.report()["prefix"])
    assert prefix == checkout.root / ".primer/app"
    assert prefix.resolve().is_relative_to(tmp_path / "elsewhere")
    assert checkout.report()["said"] == ""


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("primer.json", '{"pyton": ">=3.12"}', "no option `pyton`, but `python`"),
        ("primer.local.json", '{"downlod": false}', "no option `downlod`, but `download`"),
        ("primer.json", "{", "primer.json is not JSON"),
        ("primer.json", "[]", "[] is not an object"),
        ("primer.json", '{"python": 3.12}', "`python` is 3.12, and not like '>=3.8'"),
        ("primer.json", '{"environments": {"app": {"loc": ""}}}', "no option `loc`, but `lock`"),
        ("primer.json", '{"environments": {"app": {"lock": "x"}}}', "there is no lock file `x`"),
        ("primer.json", '{"environments": {"app": []}}', "[] is not an object"),
        ("primer.json", "{}", "primer.json has no environment `app`"),
        ("primer.json", "[" * 100_000, "primer.json is not JSON"),
        ("primer.json", '{"environments": {"app": {}}}', "there is no lock file ``"),
        ("primer.json", '{"folder": "a\\u0000b"}', r"`folder` is 'a\x00b', and not like ''"),
        ("primer.json", '{"environments": {"app": {"paths": ["\\ud800"]}}}', r"is ['\ud800'], and"),
    ],
)
def test_a_wrong_configuration_is_one_line(
    checkout: Any, file: str, text: str, message: str
) -> None:
    (checkout.root / file).write_text(text)
    ended = checkout.start()
    assert ended.returncode == 3
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_explain_names_what_differs_and_makes_nothing(
    checkout: Any, wheels: dict[str, Path]
) -> None:
    checkout.report()
    checkout.lock(wheels["2.0"])
    before = checkout.made()
    ended = checkout.start("exit", "9", env=checkout.variables | {"PRIMER_EXPLAIN": "1"})
    assert ended.returncode == 0
    document = json.loads(ended.stdout)
    assert document["fresh"] is False
    assert document["changed"] == ["requirements/app.txt"]
    assert set(document["key"]) > {"primer.json", "requirements/app.txt", "python"}
    assert document["environment"] == str(checkout.root / ".primer/app")
    assert sys.version.split()[0] in document["interpreters"]["here"].values()
    assert checkout.made() == before


def test_git_sees_nothing_of_it(checkout: Any) -> None:
    (checkout.root / ".gitignore").write_text("__pycache__/\n")
    git = ["git", "-C", str(checkout.root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    checkout.report()
    status = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True)
    assert status.stdout == ""
