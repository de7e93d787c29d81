"""What a run uses of the disk: counted as it is, noticed in time, and never at the loop's cost."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kedge
from kedge.executor import disk
from kedge.executor.disk import DEPTH_LIMIT, WALK_EVERY_S, DiskWatch, Over, is_full

ORDINARY = 61_017  # a user number without an account


def write(path: Path, mb: int) -> Path:
    with open(path, "wb") as file:
        file.writelines(bytes(1 << 20) for _ in range(mb))
    return path


def settled(watch: DiskWatch) -> Over | None:
    """What a walk finds that is made now."""
    now = 2 * WALK_EVERY_S
    give_up = time.monotonic() + 60
    over = watch.look(0.0) or watch.look(now)
    while over is None and watch.used_mb() is None:
        assert time.monotonic() < give_up
        time.sleep(0.001)
        over = watch.look(now)
    return over


def used(*folders: Path, processes: Callable[[], list[int]] = list) -> float:
    """MiB that a walk finds in `folders`."""
    watch = DiskWatch([str(folder) for folder in folders], None, processes)
    try:
        settled(watch)
        found = watch.used_mb()
    finally:
        watch.close()
    assert found is not None
    return found


def over(folder: Path, disk_mb: int) -> Over | None:
    watch = DiskWatch([str(folder)], disk_mb)
    try:
        return settled(watch)
    finally:
        watch.close()


def on_small_disk(code: str, mb: int, at: Path) -> Any:
    """What `code` leaves in `said`, run with a disk of `mb` MiB of its own mounted at the folder `disk`."""
    mount = f'mount -t tmpfs -o size={mb}m none "$1" && shift && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    whole = (
        "import json, os, time\n"
        "from kedge.executor.disk import *\n"
        f"disk = {str(at)!r}\n"
        "def write(name, mb):\n"
        "    with open(os.path.join(disk, name), 'wb') as file:\n"
        "        file.write(bytes(mb << 20))\n"
        f"{code}\n"
        "print(json.dumps(said))"
    )
    done = subprocess.run(
        [
            "unshare",
            *user,
            "--mount",
            "sh",
            "-c",
            mount,
            "sh",
            str(at),
            sys.executable,
            "-c",
            whole,
        ],
        env={**os.environ, "PYTHONPATH": str(Path(kedge.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_files_and_folders_count(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "scratch" / "deep").mkdir(parents=True)
    write(tmp_path / "out" / "a", 3)
    write(tmp_path / "scratch" / "deep" / "b", 4)
    assert 7 <= used(tmp_path / "out", tmp_path / "scratch") < 7.1


def test_a_run_above_its_limit_is_told_why(tmp_path: Path) -> None:
    write(tmp_path / "a", 12)
    found = over(tmp_path, 10)
    assert found is not None
    assert found.sentence == "it used 12 MB of disk and may use 10 MB"
    assert found.limit_mb == 10
    assert 12 <= found.used_mb < 12.1
    assert found.free_mb > 0


def test_a_run_within_its_limit_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "a", 9)
    assert over(tmp_path, 10) is None


def test_far_too_much_is_not_counted_to_its_end(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / str(number), 2)
    found = over(tmp_path, 2)
    assert found is not None
    assert found.sentence == "it used more than 4 MB of disk and may use 2 MB"


def test_a_sparse_file_counts_what_it_occupies(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    assert used(tmp_path) < 1


def test_hard_links_count_once(tmp_path: Path) -> None:
    write(tmp_path / "a", 4)
    (tmp_path / "small").write_bytes(b"x")
    for number in range(100):
        os.link(tmp_path / "a", tmp_path / f"big{number}")
        os.link(tmp_path / "small", tmp_path / f"small{number}")
    assert 4 <= used(tmp_path) < 4.1


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside / "big", 8)
    inside = tmp_path / "inside"
    inside.mkdir()
    os.symlink(outside / "big", inside / "file")
    os.symlink(outside, inside / "folder")
    os.mkfifo(inside / "pipe")
    assert used(inside) < 0.1
    os.symlink(outside, tmp_path / "link")
    watch = DiskWatch([str(tmp_path / "link")], 1)
    assert settled_none(watch)


def settled_none(watch: DiskWatch) -> bool:
    """Whether a watch with no folder to look at finds nothing, at any time."""
    found = [watch.look(now) for now in (0.0, 100.0, 200.0)]
    watch.close()
    return found == [None, None, None]


def test_many_tiny_files_are_much(tmp_path: Path) -> None:
    said = on_small_disk(
        "for number in range(200):\n"
        "    os.mkdir(os.path.join(disk, str(number)))\n"
        "    for name in range(100):\n"
        "        os.close(os.open(os.path.join(disk, str(number), str(name)), os.O_CREAT))\n"
        "watch = DiskWatch([disk], 60)\n"
        "watch.look(5.0)\n"
        "found = watch.look(1000.0)\n"
        "while found is None:\n"
        "    found = watch.look(1000.0)\n"
        "said = found.used_mb",
        64,
        tmp_path,
    )
    assert 78 <= said < 80


@pytest.mark.parametrize("kind", ["on disk", "in memory"])
def test_an_unlinked_file_that_is_held_open_counts(tmp_path: Path, kind: str) -> None:
    opening = {
        "on disk": "open(sys.argv[1], 'w+b')",
        "in memory": "open(os.memfd_create('hidden'), 'w+b')",
    }[kind]
    code = (
        f"import os, sys\nfile = {opening}\n"
        "file.write(bytes(8 << 20))\nfile.flush()\n"
        "os.path.exists(sys.argv[1]) and os.unlink(sys.argv[1])\n"
        "again = os.dup(file.fileno())\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        found = used(tmp_path, processes=lambda: [child.pid, 2**22 + 1])
    finally:
        child.kill()
        child.communicate()
    assert 8 <= found < 8.1 if kind == "on disk" else found < 0.1
    assert used(tmp_path, processes=lambda: [child.pid]) < 0.1


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Has something happen once, when the walk is about to open the folder of a name."""

    def arrange(name: str, happens: Callable[[], None]) -> None:
        opening = disk.open_folder
        waiting = [happens]

        def opened(wanted: str, folder: int | None = None) -> int:
            if wanted == name and waiting:
                waiting.pop()()
            return opening(wanted, folder)

        monkeypatch.setattr(disk, "open_folder", opened)

    return arrange


Meanwhile = Callable[[str, Callable[[], None]], None]


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    tmp_path: Path, meanwhile: Meanwhile
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "folder").mkdir(parents=True)
    outside.mkdir()
    write(outside / "big", 8)

    def swap() -> None:
        (inside / "folder").rmdir()
        (inside / "folder").symlink_to(outside)

    meanwhile("folder", swap)
    assert used(inside) < 0.1
    assert (inside / "folder").is_symlink()


def test_folders_that_vanish_meanwhile_are_nothing(tmp_path: Path, meanwhile: Meanwhile) -> None:
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    write(tmp_path / "kept", 2)
    write(tmp_path / "folder" / "deeper" / "gone", 8)
    meanwhile("deeper", lambda: shutil.rmtree(tmp_path / "folder"))
    assert 2 <= used(tmp_path) < 2.1
    assert not (tmp_path / "folder").exists()


def test_what_is_moved_meanwhile_counts_once(tmp_path: Path, meanwhile: Meanwhile) -> None:
    def move() -> None:
        for name in ("file", "folder"):
            os.rename(later[0] / name, later[1] / name)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    # The order in which a folder lists its entries is the file system's.
    later = [tmp_path / entry.name for entry in os.scandir(tmp_path)]
    (later[0] / "folder").mkdir()
    for number in range(20):
        (later[0] / "folder" / str(number)).write_bytes(bytes(100 << 10))
    write(later[0] / "file", 8)
    meanwhile(later[1].name, move)
    assert 9.9 <= used(tmp_path) < 10.2
    assert (later[1] / "file").exists()


def test_a_folder_put_in_the_place_of_another_counts_besides_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    watch = DiskWatch([str(out)], None)
    write(out / "a", 2)
    out.rename(tmp_path / "elsewhere")
    out.mkdir()
    write(out / "b", 3)
    settled(watch)
    assert 5 <= (watch.used_mb() or 0) < 5.1
    watch.close()


def test_a_folder_removed_with_all_it_held_is_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    watch = DiskWatch([str(out)], 1)
    shutil.rmtree(out)
    assert settled(watch) is None
    assert (watch.used_mb() or 0) < 0.1
    watch.close()


def test_folders_that_are_not_there_are_not_watched(tmp_path: Path) -> None:
    assert settled_none(DiskWatch([str(tmp_path / "missing")], 1))


def test_a_folder_closed_to_us_hides_only_itself(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    write(closed / "hidden", 8)
    write(tmp_path / "seen", 2)
    closed.chmod(0)
    tmp_path.chmod(0o755)
    watch = DiskWatch([str(tmp_path)], None)
    was = os.geteuid()
    if was == 0:
        os.seteuid(ORDINARY)
    try:
        settled(watch)
    finally:
        os.seteuid(was)
        closed.chmod(0o700)
    assert 2 <= (watch.used_mb() or 0) < 2.1
    watch.close()


def test_what_is_hidden_in_folders_too_deep_to_be_measured_ends_the_run(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(DEPTH_LIMIT + 50):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    assert over(tmp_path, 100) is None  # deep alone is no wrong
    watch = DiskWatch([str(tmp_path)], 4)
    hidden = os.open("hidden", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.close(folder)
    os.write(hidden, os.urandom(16 << 20))
    os.fsync(hidden)
    os.close(hidden)
    found = settled(watch)
    assert found is not None
    assert "deep" in found.sentence


def test_what_is_hidden_in_a_closed_folder_ends_the_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    tmp_path.chmod(0o755)
    watch = DiskWatch([str(tmp_path)], 4)
    write(closed / "hidden", 16)
    closed.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(ORDINARY)
    try:
        found = settled(watch)
    finally:
        os.seteuid(was)
        closed.chmod(0o700)
    assert found is not None
    assert "closed" in found.sentence


def test_nothing_is_walked_until_the_run_could_be_to_blame(tmp_path: Path) -> None:
    said = on_small_disk(
        "walks = []\n"
        "watch = DiskWatch([disk], 20, lambda: walks.append(1) or [])\n"
        "said = []\n"
        "def look():\n"
        "    found = watch.look(5.0)\n"
        "    while watch._work._thread is not None:\n"
        "        found = watch.look(5.0) or found\n"
        "    watch._not_before = 0.0\n"
        "    said.append([len(walks), found is not None])\n"
        "look()\n"
        "for number, mb in enumerate((9, 2, 4, 2, 5)):\n"
        "    write(str(number), mb)\n"
        "    look()",
        64,
        tmp_path,
    )
    # 0, 9, 11, 15, 17, 22 MB of 20: half of what is left is at 10, then 15.5, then 18.5.
    assert said == [[0, False], [0, False], [1, False], [1, False], [2, False], [3, True]]


def test_a_flood_of_empty_files_is_noticed_by_their_number(tmp_path: Path) -> None:
    said = on_small_disk(
        "watch = DiskWatch([disk], 4)\n"
        "watch.look(5.0)\n"
        "for number in range(3000):\n"
        "    os.close(os.open(os.path.join(disk, str(number)), os.O_CREAT))\n"
        "found = watch.look(5.0)\n"
        "while found is None and watch.used_mb() is None:\n"
        "    found = watch.look(5.0)\n"
        "said = found.sentence",
        64,
        tmp_path,
    )
    assert said == "it used more than 8 MB of disk and may use 4 MB"


def test_a_run_without_a_limit_must_leave_some_room_to_others(tmp_path: Path) -> None:
    said = on_small_disk(
        "os.mkdir(os.path.join(disk, 'out'))\n"
        "watch = DiskWatch([os.path.join(disk, 'out')], None)\n"
        "watch.look(5.0)\n"
        "write('out/big', 150)\n"
        "found = watch.look(5.0)\n"
        "while found is None:\n"
        "    found = watch.look(5.0)\n"
        "said = [found.sentence, found.limit_mb]",
        160,
        tmp_path,
    )
    assert said == [
        "it left less than 16 MB free on the disk (10 MB); it used 150 MB itself",
        None,
    ]


def test_a_run_without_a_limit_may_write_much_where_there_is_room(tmp_path: Path) -> None:
    said = on_small_disk(
        "watch = DiskWatch([disk], None)\n"
        "watch.look(5.0)\n"
        "write('big', 120)\n"
        "found = watch.look(1000.0)\n"
        "while found is None and watch.used_mb() is None:\n"
        "    found = watch.look(1000.0)\n"
        "said = [found is None, watch.used_mb()]",
        256,
        tmp_path,
    )
    assert said[0]
    assert 120 <= said[1] < 120.1


def test_a_run_that_writes_little_works_on_a_full_disk(tmp_path: Path) -> None:
    said = on_small_disk(
        "os.mkdir(os.path.join(disk, 'out'))\n"
        "write('of others', 150)\n"
        "watch = DiskWatch([os.path.join(disk, 'out')], None)\n"
        "watch.look(5.0)\n"
        "write('out/little', 5)\n"
        "found = watch.look(1000.0)\n"
        "while found is None and watch.used_mb() is None:\n"
        "    found = watch.look(1000.0)\n"
        "said = [found is None, watch.used_mb()]",
        160,
        tmp_path,
    )
    assert said[0]
    assert 5 <= said[1] < 5.1


def test_a_disk_that_is_full_is_called_so(tmp_path: Path) -> None:
    said = on_small_disk(
        "said = [is_full(disk)]\n"
        "try:\n"
        "    write('all', 64)\n"
        "except OSError as error:\n"
        "    said.append(error.strerror)\n"
        "said.append(is_full(disk))\n"
        "os.unlink(os.path.join(disk, 'all'))\n"
        "said.append(is_full(disk))",
        4,
        tmp_path,
    )
    assert said == [False, "No space left on device", True, False]


def test_a_disk_without_inodes_is_full_too(tmp_path: Path) -> None:
    said = on_small_disk(
        "import subprocess\n"
        "subprocess.run(['mount', '-o', 'remount,nr_inodes=2000', disk], check=True)\n"
        "said = [is_full(disk)]\n"
        "try:\n"
        "    for number in range(2000):\n"
        "        os.close(os.open(os.path.join(disk, str(number)), os.O_CREAT))\n"
        "except OSError as error:\n"
        "    said.append(error.strerror)\n"
        "said.append(is_full(disk))",
        4,
        tmp_path,
    )
    assert said == [False, "No space left on device", True]


def test_a_folder_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    assert not is_full(str(tmp_path / "missing"))


def test_a_walk_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    go_on, walking = threading.Event(), threading.Event()

    def processes() -> list[int]:
        walking.set()
        go_on.wait(60)
        return []

    watch = DiskWatch([str(tmp_path)], 3, processes)
    write(tmp_path / "big", 4)
    watch.look(0.0)
    assert watch.look(2 * WALK_EVERY_S) is None
    assert walking.wait(60)
    for tick in range(100):
        assert watch.look(2 * WALK_EVERY_S + tick) is None
    assert watch.used_mb() is None
    go_on.set()
    assert settled(watch) is not None
    watch.close()


def opened(below: Path) -> list[str]:
    """What this process has open of a folder and below it."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the one that listed the folder
            continue
    return [path for path in found if path.startswith(str(below))]


def test_what_was_watched_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    watch = DiskWatch([str(tmp_path)], 1)
    assert opened(tmp_path) == [str(tmp_path)]
    settled(watch)
    watch.close()
    watch.close()
    assert opened(tmp_path) == []
    assert watch.look(1e6) is None


def test_closing_ends_a_walk_that_goes_on(tmp_path: Path, meanwhile: Meanwhile) -> None:
    (tmp_path / "folder").mkdir()
    walking, go_on = threading.Event(), threading.Event()

    def closed() -> None:
        walking.set()
        while watch._walk is None or watch._walk.wanted:
            time.sleep(0.001)

    def processes() -> list[int]:
        go_on.wait(60)
        return []

    watch = DiskWatch([str(tmp_path)], None, processes)
    meanwhile("folder", closed)
    watch.look(0.0)
    watch.look(2 * WALK_EVERY_S)
    assert walking.wait(60)
    watch.close()
    left = opened(tmp_path)
    go_on.set()
    assert left == []
