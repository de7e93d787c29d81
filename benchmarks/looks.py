"""What it costs to see that a package has not changed."""

import os
import time
from collections.abc import Iterator

from figure import Figure, LeftOutError, Side
from rounds import alternate
from surroundings import Surroundings, program

from kedge.package import index
from kedge.package.snapshot import snapshot

_FILES = 1000
_QUICK_FILES = 100
_IN_A_FOLDER = 50


def unchanged(place: Surroundings) -> Iterator[Figure]:
    """An unchanged package looked at again, as every run does it first."""
    root = place.new_folder("many")
    paths = []
    for number in range(_QUICK_FILES if place.quick else _FILES):
        folder = f"{root}/part{number // _IN_A_FOLDER}"
        os.makedirs(folder, exist_ok=True)
        paths.append(f"{folder}/file{number}.py")
        with open(paths[-1], "w") as file:
            file.write(f"number = {number}\n")
    first = snapshot(root)
    while (known := index.read(root)) is None or not known.settled:
        snapshot(root)  # until the files are older than the look

    def ours() -> float:
        began = time.perf_counter()
        again = snapshot(root)
        taken = time.perf_counter() - began
        if again != first:
            raise LeftOutError("the package changed while it was looked at")
        return taken

    def stats() -> float:
        began = time.perf_counter()
        for path in paths:
            os.stat(path)
        return time.perf_counter() - began

    git = program("git")
    place.timed(git, "init", "--quiet", root)
    os.rename(f"{root}/.git", f"{place.folder}/many.git")  # what it writes would change the package
    words = (git, f"--git-dir={place.folder}/many.git", f"--work-tree={root}")
    place.timed(*words, "add", ".")
    mine, bare, status = alternate(
        place.rounds(50), ours, stats, lambda: place.timed(*words, "status", "--porcelain")
    )
    yield Figure(
        "package",
        Side(f"a package of {len(paths)} files looked at again, in process", mine),
        (
            Side("os.stat of each file, in process", bare),
            Side("git status of the same files, a process", status),
        ),
    )
