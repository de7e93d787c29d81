"""The files that go into a build: named by their content, and laid out with the modes that files commonly have."""

import os
import shutil
from collections.abc import Iterable, Iterator
from typing import Final

from kedge import digest
from kedge.environment import folders

_FILE_MODE: Final = 0o644
_PROGRAM_MODE: Final = 0o755


def all_files(root: str) -> Iterator[str]:
    """Paths relative to `root` of the files and links below it, in an order of their own."""
    for inside, names, plain in os.walk(root):
        names.sort()
        links = [name for name in names if os.path.islink(os.path.join(inside, name))]
        for name in sorted((*plain, *links)):
            yield os.path.relpath(os.path.join(inside, name), root)


def digest_of(root: str, paths: Iterable[str]) -> str:
    """Names what is there: paths, contents, where links lead, and which files can be executed."""
    found = []
    for path in paths:
        full = os.path.join(root, path)
        if os.path.islink(full):
            found.append([path, "link", os.readlink(full)])
        else:
            kind = "program" if os.access(full, os.X_OK) else "file"
            found.append([path, kind, digest.of_file(full)])
    return digest.of_json(found)


def copy(root: str, paths: Iterable[str], place: str) -> None:
    """Lay the files out in a new folder."""
    folders.make_folder(place)
    for path in paths:
        source, target = os.path.join(root, path), os.path.join(place, path)
        folders.make_folder(os.path.dirname(target))
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
            continue
        shutil.copyfile(source, target)
        os.chmod(target, _PROGRAM_MODE if os.access(source, os.X_OK) else _FILE_MODE)
