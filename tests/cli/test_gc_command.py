"""`kedge gc`: what goes, what stays, and that it harms nobody who works at the same time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kedge.environment import interpreters, lock, python
from kedge.package import holding
from kedge.package.snapshot import HELD_BY, snapshot
from kedge.run import garbage, record
from kedge.store import connection

DAY = 86_400.0
OLD = time.time() - 100 * DAY
EMPTY = lock.Lock("", "0" * 64, None)


def in_a_process(code: str, *words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def package(folder: Path, text: str = "x = 1\n") -> Path:
    folder.mkdir()
    (folder / "main.py").write_text(text)
    return folder


@pytest.fixture(autouse=True)
def held_no_longer() -> Any:
    """What a test finds is held by the test's own process, which lives on."""
    yield
    let_go()


def let_go() -> None:
    for descriptor in holding._held.values():
        os.close(descriptor)
    holding._held.clear()


def age(path: str | Path) -> None:
    os.utime(path, (OLD, OLD))


def environment(name: str, used: float | None = OLD) -> Path:
    """An environment that was made long ago; `used` by a run then, or never when None."""
    path = Path(os.environ["KEDGE_HOME"], "environments", name * 64)
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(sys.executable)
    (path / "data").write_bytes(b"d" * 10_000)
    age(path)
    if used is not None:
        run(used, environment=name * 64)
    return path


def run(ended: float, **facts: Any) -> str:
    """The id of a run that succeeded at that moment."""
    made = record.finish(record.create(**facts))
    Path(made.folder, "log").write_text("it ran\n")
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(ended))
    connection().write(
        "UPDATE runs SET created = ?, ended = ? WHERE id = ?", (moment, moment, made.id)
    )
    return made.id


def names(done: garbage.Clean) -> set[tuple[str, str]]:
    return {(one.kept.kind, one.kept.name) for one in done.removed}


def test_nothing_kept_is_nothing_to_do(call: Callable[..., Any], kedge_home: Path) -> None:
    said = call("gc", "--json")
    assert json.loads(said.out)["removed"] == []
    assert not kedge_home.exists()


def test_only_what_no_run_of_a_month_used_goes(kedge_home: Path) -> None:
    unused, never = environment("a"), environment("b", None)
    recent = environment("c", time.time() - DAY)
    done = garbage.clean()
    assert names(done) == {("environment", "a" * 64), ("environment", "b" * 64)}
    assert not unused.exists()
    assert not never.exists()
    assert recent.exists()
    assert len(record.list_runs()) == 2  # runs stay unless they are asked for
    assert names(garbage.clean()) == set()


def test_a_dry_run_says_the_same_and_removes_nothing(
    call: Callable[..., Any], kedge_home: Path
) -> None:
    kept = environment("a")
    dry = json.loads(call("gc", "--dry-run", "--max-age", "30d", "--json").out)
    assert kept.exists()
    text = call("gc", "--dry-run", "--max-age", "30d")
    assert "environment" in text.out
    assert "would be removed" in text.err
    wet = json.loads(call("gc", "--max-age", "30d", "--json").out)
    assert dry["removed"] == wet["removed"]
    assert (dry["size"], dry["before"], dry["after"]) == (wet["size"], wet["before"], wet["after"])
    assert {one["kind"] for one in wet["removed"]} == {"environment", "run"}
    assert not kept.exists()


def test_runs_go_by_age_with_their_folders_and_events(kedge_home: Path) -> None:
    old, new = run(OLD), run(time.time())
    connection().write("INSERT INTO events VALUES (?, 1, 'now', 'ended', '{}')", (old,))
    assert ("run", old) in names(garbage.clean(max_age=30 * DAY))
    assert [one.id for one in record.list_runs()] == [new]
    assert os.listdir(kedge_home / "runs") == [new]
    assert connection().rows("SELECT count(*) FROM events") == [(0,)]


def test_the_oldest_goes_first_until_there_is_room(kedge_home: Path) -> None:
    oldest, middle, newest = (
        environment(name, time.time() - days * DAY)
        for name, days in (("a", 20), ("b", 10), ("c", 5))
    )
    let_go()
    before = garbage.clean(dry_run=True).before
    done = garbage.clean(max_size=before - 15_000)
    assert not oldest.exists()
    assert newest.exists()
    assert done.after <= before - 15_000
    assert middle.exists() or sum(one.size for one in done.removed[:-1]) < 15_000
    measured = garbage.clean(dry_run=True).before
    assert abs(measured - done.after) < 200_000  # the database's own files grow and shrink


def test_a_file_with_several_names_is_counted_once(kedge_home: Path) -> None:
    one, other = environment("a"), environment("b")
    before = garbage.clean(dry_run=True).before
    (one / "large").write_bytes(b"x" * 1_000_000)
    os.link(one / "large", other / "large")
    age(one)
    age(other)
    found = garbage.clean(dry_run=True)
    assert 1_000_000 <= found.before - before < 1_100_000
    sizes = sorted(item.size for item in found.removed if item.kept.kind == "environment")
    assert sizes[0] < 100_000  # the first gives nothing of it back, the last all of it
    assert sizes[1] >= 1_000_000


def test_byte_code_stays_as_long_as_an_environment_has_links_to_it(kedge_home: Path) -> None:
    store = kedge_home / "bytecode" / ("d" * 64)
    store.mkdir(parents=True)
    (store / "m.pyc").write_bytes(b"c" * 5000)
    used = environment("a", time.time() - DAY)
    os.link(store / "m.pyc", used / "m.pyc")
    age(used)
    age(store)
    assert names(garbage.clean()) == set()
    connection().write("UPDATE runs SET created = '2020-01-01T00:00:00.000Z', ended = created")
    connection().write("UPDATE runs SET ended = created")
    assert names(garbage.clean()) == {("environment", "a" * 64), ("byte code", "d" * 64)}


def test_what_a_run_that_goes_on_uses_stays(kedge_home: Path, tmp_path: Path) -> None:
    used = environment("a", None)
    earlier = run(OLD)
    file = str(kedge_home / "runs" / earlier / "files" / "mesh.med")
    alive = record.create(environment="a" * 64, input_files=({"port": "mesh", "path": file},))
    connection().write(
        "UPDATE runs SET created = '2020-01-01T00:00:00.000Z' WHERE id = ?", (alive.id,)
    )
    garbage.clean(max_age=0.0, max_size=0)
    assert used.exists()
    assert Path(alive.folder).exists()
    assert record.get(earlier).id == earlier
    record.finish(alive)
    garbage.clean(max_age=0.0)
    assert not used.exists()
    assert record.list_runs() == []


HOLDING = """
import sys
from kedge.package.snapshot import snapshot
print(snapshot(sys.argv[1]).folder, flush=True)
sys.stdin.read()
"""


def test_what_was_just_found_stays_until_its_process_ends(kedge_home: Path, tmp_path: Path) -> None:
    source = package(tmp_path / "p")
    finder = in_a_process(HOLDING, str(source))
    assert finder.stdout is not None
    folder = finder.stdout.readline().decode().strip()
    age(folder)
    garbage.clean(max_age=0.0)
    assert os.path.isdir(folder)
    finder.kill()
    finder.communicate()
    garbage.clean(max_age=0.0)
    assert not os.path.isdir(folder)
    assert snapshot(str(source)).folder == folder  # and is made again


def test_left_overs_of_killed_processes_go_and_unfinished_work_stays(kedge_home: Path) -> None:
    from kedge.environment import folders

    known = run(time.time())
    orphan = kedge_home / "runs" / "0123456789ab"
    orphan.mkdir()
    (orphan / "log").write_text("lost")
    for parent, name in (
        ("environments", "tmp-1"),
        ("snapshots", ".new-1"),
        ("resolving", "tmp-2"),
    ):
        (kedge_home / parent / name / "in").mkdir(parents=True)
    (kedge_home / "descriptions").mkdir()
    draft = kedge_home / "descriptions" / "tmpabc"
    draft.write_text("{")
    with folders.temporary(str(kedge_home / "environments")) as working:
        done = garbage.clean()
        assert {one.kept.name for one in done.removed} == {
            "0123456789ab",
            "tmp-1",
            ".new-1",
            "tmp-2",
        }
        assert os.path.isdir(working)
    assert draft.exists()  # it may be being written
    age(draft)
    assert {one.kept.name for one in garbage.clean().removed} == {"tmpabc"}
    assert os.listdir(kedge_home / "runs") == [known]


def test_who_used_which_image_is_kept_as_long_as_that_image_would_be(kedge_home: Path) -> None:
    folder = kedge_home / "image-uses"
    folder.mkdir(parents=True)
    old, new = folder / "a.json", folder / "b.json"
    for note in (old, new):
        note.write_text("{}")
    age(old)
    assert names(garbage.clean()) == {("use of an image", "a.json")}
    assert new.exists()


def test_an_environment_without_its_python_goes_at_once(kedge_home: Path) -> None:
    broken = environment("a", time.time())
    (broken / "bin" / "python").unlink()
    assert [one.why for one in garbage.clean().removed] == ["its Python is gone"]


KILLED = """
import os, signal, sys
import kedge.contract.ownership as ownership
from kedge.run import garbage
def killed(*_): os.kill(os.getpid(), signal.SIGKILL)
ownership.remove = garbage.remove = killed
garbage.clean(max_age=0.0)
"""


@pytest.mark.parametrize("what", ["environment", "run"])
def test_a_clean_up_that_is_killed_leaves_nothing_half(kedge_home: Path, what: str) -> None:
    if what == "environment":
        path = environment("a", None)
    else:
        path = kedge_home / "runs" / run(OLD)
    killed = in_a_process(KILLED)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert record.list_runs() == []
    if what == "environment":
        assert not path.exists()  # no longer found, though not yet removed
    assert len([name for name in os.listdir(path.parent) if name != ".held"]) == 1
    assert {one.kept.kind for one in garbage.clean().removed} == {"left-over"}
    assert [name for name in os.listdir(path.parent) if name != ".held"] == []


USING = """
import os, subprocess, sys, traceback
from kedge.environment import interpreters, lock, python, runner
from kedge.package.snapshot import snapshot
interpreter = interpreters.find("3.12")
empty = lock.Lock("", "0" * 64, None)
for _ in range(int(sys.argv[2])):
    child = os.fork()  # each with locks of its own
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit("something went away")
        continue
    code = 1
    try:
        taken = snapshot(sys.argv[1]).folder
        made = python.ensure(interpreter, empty)
        found = runner.runner_for(interpreter)
        program = f"import main; open({found!r}).close; open({made.folder + '/pyvenv.cfg'!r}); print(main.x)"
        done = subprocess.run([made.python, "-B", "-c", program], cwd=taken, capture_output=True)
        assert done.stdout == b"1\\n", done.stderr
        assert os.path.samefile(os.path.join(taken, "main.py"), os.path.join(taken, "main.py"))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
"""
CLEANING = """
import sys
from kedge.run import garbage
number = 0
print("begins", flush=True)
while not select.select([0], [], [], 0)[0]:
    number += len(garbage.clean(max_age=0.0).removed)
print(number)
"""


def test_clean_ups_at_once_never_take_what_others_use(kedge_home: Path, tmp_path: Path) -> None:
    source = package(tmp_path / "p")
    connection()
    cleaners = [in_a_process("import select\n" + CLEANING) for _ in range(2)]
    for cleaner in cleaners:
        assert cleaner.stdout is not None
        assert cleaner.stdout.readline() == b"begins\n"
    users = [in_a_process(USING, str(source), "5") for _ in range(3)]
    for user in users:
        user.communicate()
    removed = [int(cleaner.communicate(b"stop\n")[0]) for cleaner in cleaners]
    assert [one.returncode for one in (*users, *cleaners)] == [0] * 5
    assert sum(removed)  # else nothing was tried


def test_a_process_that_finds_more_than_it_can_hold_lets_the_oldest_go(
    kedge_home: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / f"f{number}" for number in range(holding._MOST + 1)]
    for folder in folders:
        folder.mkdir()
        assert holding.hold(str(folder))
    assert not holding.is_held(str(folders[0]))
    assert holding.is_held(str(folders[1]))
    assert not holding.hold(str(tmp_path / "absent"))
    assert garbage.take_away(str(folders[0]), "tmp-")
    assert not holding.hold(str(folders[0]))
    assert not garbage.take_away(str(folders[0]), "tmp-")


def test_a_compiler_at_work_keeps_its_environment(kedge_home: Path) -> None:
    from kedge.environment import folders

    path = environment("a", None)
    with folders.held(str(path.parent / ".held" / f"{path.name}.compile"), 0.0):
        garbage.clean(max_age=0.0)
        assert path.exists()
    garbage.clean(max_age=0.0)
    assert not path.exists()


def test_an_environment_that_was_cleaned_up_is_built_again(kedge_home: Path) -> None:
    interpreter = interpreters.find("3.12")
    made = python.ensure(interpreter, EMPTY)
    let_go()
    garbage.clean(max_age=0.0)
    assert not os.path.exists(made.folder)
    again = python.ensure(interpreter, EMPTY)
    assert again.created
    assert again.digest == made.digest
    assert holding.is_held(again.folder)


def test_a_real_run_works_after_everything_was_removed(kedge_alone: Any) -> None:
    words = ("run", Path(__file__).parents[1] / "packages/seed-short", "sizing", "diameter_mm=12", "load_n=1")  # fmt: skip
    kedge_alone(*words)
    document = kedge_alone("gc", "--max-age", "0d", "--json").json
    assert {one["kind"] for one in document["removed"]} >= {"environment", "snapshot", "run"}
    assert kedge_alone("runs", "--json").json == []
    kedge_alone(*words)


@pytest.mark.parametrize(
    "words",
    [("--max-size", "much"), ("--max-size", "-1G"), ("--max-size", "5iB"), ("--max-age", "30"), ("--max-age", "nan d")],
)  # fmt: skip
def test_limits_that_are_none_are_refused(call: Callable[..., Any], words: tuple[str, str]) -> None:
    said = call("gc", *words)
    assert said.code == 2
    assert "hint: write" in said.err


@pytest.mark.parametrize(
    ("text", "size"), [("20G", 20 * 10**9), ("1.5GiB", 3 << 29), ("500MB", 5 * 10**8), ("7", 7)]
)
def test_sizes_are_read_as_they_are_shown(text: str, size: int) -> None:
    from kedge.cli.commands.gc import size_of

    assert size_of(text) == size


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    call: Callable[..., Any], kedge_home: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root can make a file that nobody may remove")
    stays, goes = environment("a", None), environment("b", None)
    flag = subprocess.run(["chattr", "+i", stays / "data"], capture_output=True)
    if flag.returncode:
        pytest.skip("this file system has no immutable files")
    try:
        said = call("gc")
        assert said.code == 3
        assert "could not be removed" in said.err
        assert not goes.exists()
    finally:
        for left in stays.parent.rglob("data"):
            subprocess.run(["chattr", "-i", left], check=True)


def test_snapshots_are_held_by_their_mount_point_so_that_they_can_be_compiled(
    kedge_home: Path, tmp_path: Path
) -> None:
    from kedge.package.snapshot import writable

    taken = snapshot(str(package(tmp_path / "p")))
    assert holding.is_held(taken.folder, HELD_BY)
    with writable(taken.folder):
        pass


def test_byte_code_of_an_environment_in_use_is_not_taken_to_make_room(kedge_home: Path) -> None:
    store = kedge_home / "bytecode" / ("d" * 64)
    store.mkdir(parents=True)
    (store / "m.pyc").write_bytes(b"c" * 5000)
    used = environment("a", None)
    os.link(store / "m.pyc", used / "m.pyc")
    assert holding.hold(str(used))
    garbage.clean(max_age=0.0, max_size=0)
    assert store.exists()  # it would give nothing back
    let_go()
    garbage.clean(max_size=0)
    assert not used.exists()
    assert not store.exists()
