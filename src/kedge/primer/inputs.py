"""What a state is made from: the content of files, remembered by their size, times and inode.

Two texts describe it, one line a file: the listing says what `stat` does, the contents say what is in it.
The listing is made at each start. When it is the remembered one, so are the contents, and no file is read.

In a folder, what states give is passed over, since it is reached, not written; so are `PASSED_OVER`. A link
is its target, and the content of a file that it leads to; one to a folder is not followed. What is no file
(a pipe, a socket) is not opened.
"""

import os
import stat
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

PASSED_OVER = frozenset({".git", ".primer", "__pycache__"})

# Linux stamps files with the time of its last tick, up to 10 ms ago: a file that is written twice within one
# may look the same after it. So nothing is read before its last tick is over.
TICK = 0.02

Found = dict[str, os.stat_result | None]  # paths below the root; None for one that is not there


def find(root: str, declared: "Iterable[str]", given: "Collection[str]") -> Found:
    """Every file that inputs name, by its path.

    Args:
        root: the project's folder.
        declared: files, folders and patterns below it.
        given: paths that are passed over in folders and patterns: the outputs of states.
    """
    found: Found = {}
    for one in declared:
        path = os.path.normpath(one)
        if ("*" in one or "?" in one) and not os.path.lexists(os.path.join(root, path)):
            matching = expanded(root, path, given)
        else:
            matching = [path]
        for match in matching or [path]:
            try:
                status = os.stat(os.path.join(root, match))  # a declared folder may be a link
            except OSError:
                status = None
            if status is not None and stat.S_ISDIR(status.st_mode):
                found[match] = status
                walk(root, match, given, found)
            else:
                found[match] = status_of(os.path.join(root, match))
    return found


def status_of(path: str) -> os.stat_result | None:
    """What `lstat` says, None for what is not there."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def entries(
    root: str, folder: str, given: "Collection[str]"
) -> "Iterator[tuple[str, os.DirEntry[str]]]":
    """What is in a folder and counts, with paths below the root."""
    try:
        with os.scandir(os.path.join(root, folder)) as inside:
            for entry in inside:
                path = entry.name if folder == "." else f"{folder}/{entry.name}"
                if entry.name not in PASSED_OVER and path not in given:
                    yield path, entry
    except (FileNotFoundError, NotADirectoryError):
        return  # it went away meanwhile


def walk(root: str, folder: str, given: "Collection[str]", found: Found) -> None:
    """Add everything below a folder but folders."""
    waiting = [folder]
    while waiting:
        for path, entry in entries(root, waiting.pop(), given):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                found[path] = status_of(entry.path)


def expanded(root: str, pattern: str, given: "Collection[str]") -> list[str]:
    """The paths that a pattern matches: `*` and `?` within one name, `**` any folders."""
    paths = ["."]
    for part in pattern.split(os.sep):
        if part == "**":
            for folder in paths:  # grows meanwhile
                inside = entries(root, folder, given)
                paths += [path for path, entry in inside if entry.is_dir(follow_symlinks=False)]
        else:
            paths = [
                path
                for folder in paths
                for path, entry in entries(root, folder, given)
                if matches(entry.name, part)
            ]
    return list(dict.fromkeys(paths))


def matches(name: str, pattern: str) -> bool:
    """Whether a name is as a pattern says; fnmatch imports `re`, which costs 5 ms."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(matches(name[at:], pattern[1:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and matches(name[1:], pattern[1:])


def contents(
    root: str, declared: "Iterable[str]", given: "Collection[str]", memory: bytes | None
) -> tuple[str, bytes | None]:
    """What the inputs hold, one line each, and the memory for the next start, None when it is as it was.

    Args:
        root: the project's folder.
        declared: the inputs.
        given: outputs of states.
        memory: what was remembered.
    """
    found = sorted(find(root, declared, given).items())
    lines = [listed(root, path, status) for path, status in found]
    listing = "".join(lines)
    before, known = recalled(memory)
    if memory is not None and listing == before:
        return known, None
    old = dict(zip(before.splitlines(True), known.splitlines(True), strict=False))
    new = [at for at, line in enumerate(lines) if line not in old]
    changes = [status.st_ctime for at in new if (status := found[at][1]) is not None]
    age = time.time() - max(changes, default=0)
    if 0 <= age < TICK:
        time.sleep(TICK - age)
    now = "".join(old.get(line) or read(root, *found[at]) for at, line in enumerate(lines))
    return now, remembered(listing, now)


def listed(root: str, path: str, status: os.stat_result | None) -> str:
    """One line of the listing."""
    if status is None:
        return f"{path!a} missing\n"
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        return f"{path!a} folder\n"
    facts = f"{mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    if stat.S_ISLNK(mode):
        try:
            end = os.stat(os.path.join(root, path))
        except OSError:
            return f"{path!a} {facts} dangling\n"
        facts += f" {end.st_mode} {end.st_size} {end.st_mtime_ns} {end.st_ctime_ns} {end.st_ino}"
    return f"{path!a} {facts}\n"


def read(root: str, path: str, status: os.stat_result | None) -> str:
    """One line of the contents."""
    whole = os.path.join(root, path)
    try:
        if status is None:
            kind = "missing"
        elif stat.S_ISDIR(status.st_mode):
            kind = "folder"
        elif stat.S_ISLNK(status.st_mode):
            kind = f"link {os.readlink(whole)!a} {digest(whole) if os.path.isfile(whole) else ''}"
        elif stat.S_ISREG(status.st_mode):
            kind = f"{'program' if status.st_mode & stat.S_IXUSR else 'file'} {digest(whole)}"
        else:
            kind = "special"
    except FileNotFoundError:
        kind = "missing"  # it went away meanwhile
    return f"input\t{path!a}\t{kind}\n"


def digest(path: str) -> str:
    """The digest of a file's bytes."""
    import hashlib

    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered(listing: str, now: str) -> bytes:
    """Both texts, so that a part of them is not taken for the whole."""
    texts = f"{len(listing)}\n{listing}{now}".encode()
    return b"%08x\n%b" % (zlib.crc32(texts), texts)


def recalled(memory: bytes | None) -> tuple[str, str]:
    """The listing and the contents that were remembered; empty when that is not whole."""
    checksum, _, texts = (memory or b"").partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(texts):
        return "", ""
    length, _, both = texts.decode().partition("\n")
    return both[: int(length)], both[int(length) :]
