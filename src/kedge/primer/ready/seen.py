"""Files that were as they should be: while they have not changed, no program has to be asked about them."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kedge.primer.context import Context


def stamp(*paths: str) -> str:
    """What changes when one of these files does. Take it before what it stands for is looked at."""
    return "".join(f"{path}\t{facts(path)}\0" for path in paths)


def facts(path: str) -> str:
    """What `stat` says of a file."""
    try:
        status = os.stat(path)
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def unchanged(ctx: "Context") -> bool:
    """Whether the files of the stamp that the state remembers are still as they were."""
    stamped = ctx.recall()
    paths = [line.rpartition("\t")[0] for line in stamped.split("\0")[:-1]]
    return bool(stamped) and stamp(*paths) == stamped
