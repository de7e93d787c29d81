"""What it costs to give a run a large file."""

import os
import time
from collections.abc import Iterator

from figure import Check, Figure, Goal, LeftOutError, Side
from rounds import alternate
from surroundings import Surroundings, program

from kedge.errors import Unavailable
from kedge.package.source import open_package
from kedge.run import core
from kedge.run.prepare import prepare

_BYTES = 10_000_000_000
_QUICK_BYTES = 100_000_000
_NO_COPY_BYTES = 1_000_000  # what a run writes anyway (its record, its log) is far less than this

_CODE = "import os\n\n\ndef main(part) -> int:\n    return os.path.getsize(part)\n"
_FUNCTION = "inputs: {part: File}\noutputs: {result: Integer}\n"


def staged(place: Surroundings) -> Iterator[Figure]:
    """A run in the sandbox with a sparse file of 10 GB beside the same run with a small one."""
    size = _QUICK_BYTES if place.quick else _BYTES
    folder = place.new_folder("inputs")
    large, small = _sparse(f"{folder}/large", size), _sparse(f"{folder}/small", 1000)
    source = open_package(place.package("sizes", _CODE, _FUNCTION))
    ready = core.Ready(source, prepare(source))
    written: list[int] = []

    def run(path: str) -> float:
        request = core.Request(values={"part": path}, executor="sandbox")
        before = _written()
        began = time.perf_counter()
        try:
            result = core.run(ready, request)
        except Unavailable as error:
            raise LeftOutError(error.message) from error
        taken = time.perf_counter() - began
        if result.outputs != {"result": os.path.getsize(path)}:
            raise LeftOutError(f"the run saw another file: {result.outputs}")
        if path == large:
            written.append(_written() - before)
        return taken

    copy, read = program("cp"), program("cat")
    copied = f"{folder}/copied"
    ours, same = alternate(place.rounds(15), lambda: run(large), lambda: run(small))
    # Apart from those: reading fills the page cache, and the next run would pay for that.
    reading, copying = alternate(
        place.rounds(3),
        lambda: place.timed(read, large),
        lambda: place.timed(copy, "--sparse=always", large, copied),
    )
    most = max(written)
    yield Figure(
        "file",
        Side(f"a run with a sparse file of {size / 1e9:g} GB, in process", ours),
        (
            Side("the same run with a file of 1 kB", same),
            Side("reading that file once (cat)", reading),
            Side("cp --sparse=always, which skips its holes: it has no data", copying),
        ),
        Goal("above", 0.02),
        checks=(
            Check(
                f"no bytes of it are copied: a run writes {most / 1000:.0f} kB in all",
                most < _NO_COPY_BYTES,
            ),
        ),
    )


def _sparse(path: str, size: int) -> str:
    with open(path, "wb") as file:
        file.truncate(size)
    os.chmod(path, 0o644)
    return path


def _written() -> int:
    """Bytes that this process and its ended children wrote by system calls."""
    with open("/proc/self/io") as file:
        return int(next(line for line in file if line.startswith("wchar:")).split()[1])
