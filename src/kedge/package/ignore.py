"""What a package leaves out: some folders always, and what its ignore files name."""

import os
from typing import Final, final

from kedge.errors import PackageError, Where
from kedge.package.gitignore import Pattern, leaves_out, parse

IGNORE: Final = ".kedgeignore"
GITIGNORE: Final = ".gitignore"

_FOLDERS: Final = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS",
        "__pycache__", ".venv", "node_modules", ".kedge", ".env-kedge",
    }
)  # fmt: skip
_EGG_INFO: Final = ".egg-info"
# What tells a virtual environment, of any name: PEP 405, and conda's own.
_ENVIRONMENT_MARKS: Final = ("pyvenv.cfg", "conda-meta")
_MAX_BYTES: Final = 1 << 18  # of one ignore file


@final
class IgnoreRules:
    """The ignore files of one package, read as the walk comes to them.

    A `.kedgeignore` at the root is the only one that counts; without it, `.gitignore` files do, each for
    its own folder and below, the deeper one last, as git has it.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._own = os.path.isfile(os.path.join(root, IGNORE))
        self._specs: list[tuple[str, list[Pattern]]] = []
        self.read: list[str] = []
        """Ignore files that were read, relative to the root: a change of theirs is a change of the package."""

    def enter(self, folder: str) -> None:
        """Read the ignore file of `folder` (relative to the root, "" for it) before its entries are asked for.

        Raises:
            PackageError: an ignore file that cannot be read, or is too large.
        """
        # A walk goes down one branch after another: what belongs to a folder left behind is dropped.
        self._specs = [(at, patterns) for at, patterns in self._specs if _is_below(folder, at)]
        name = IGNORE if self._own else GITIGNORE
        if self._own and folder:
            return
        relative = f"{folder}/{name}" if folder else name
        if os.path.isfile(os.path.join(self._root, relative)):
            self._specs.append((folder, self._parsed(relative)))
            self.read.append(relative)

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether the entry at `path` (relative, in a folder that was entered) is not of the package."""
        for at, patterns in reversed(self._specs):
            answer = leaves_out(patterns, path[len(at) + 1 :] if at else path, is_folder=is_folder)
            if answer is not None:
                return answer
        return False

    def _parsed(self, relative: str) -> list[Pattern]:
        try:
            with open(os.path.join(self._root, relative), "rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise PackageError(
                f"`{relative}` cannot be read: {error.strerror}",
                where=Where(relative),
                hint="make it readable, or remove it",
            ) from None
        if len(data) > _MAX_BYTES:
            raise PackageError(
                f"`{relative}` is larger than {_MAX_BYTES >> 10} KiB",
                where=Where(relative),
                hint="name folders instead of their files",
            )
        # Names on disk are bytes: the same escapes as those of `os.fsdecode` let a pattern match its name.
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        return [pattern for line in text.split("\n") if (pattern := parse(line)) is not None]


def always_left_out(name: str, path: str, *, is_folder: bool) -> bool:
    """Whether an entry is never of a package: version control, caches, environments.

    Args:
        name: the entry's own name.
        path: where it is on disk.
        is_folder: whether it is one.
    """
    if name == ".git":  # a file in worktrees and submodules
        return True
    if not is_folder:
        return False
    return (
        name in _FOLDERS
        or name.endswith(_EGG_INFO)
        or any(os.path.lexists(os.path.join(path, mark)) for mark in _ENVIRONMENT_MARKS)
    )


def _is_below(folder: str, ancestor: str) -> bool:
    return not ancestor or folder == ancestor or folder.startswith(f"{ancestor}/")
