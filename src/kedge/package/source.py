"""From what a person names on the command line to a package's root.

Hot path: a folder or a script costs a few `stat`s.
"""

import os
from typing import Final

from kedge.data import Data
from kedge.errors import PackageError, UnknownName, Where, nearest

_MANIFESTS: Final = ("kedge.yml", "kedge.yaml", "mecapy.yml")


class PackageSource(Data):
    """Where a package is.

    Args:
        root: the folder, or the script itself, of which symlinks are followed; absolute.
        function: the function that the argument named besides, None when it named none.
        script: whether `root` is a Python file.
        identity: what stays the same where another content has another root, "" where the root does.
    """

    root: str
    function: str | None = None
    script: bool = False
    identity: str = ""


def open_package(argument: str) -> PackageSource:
    """The package that `argument` names: a folder, its manifest, a `.zip`, a `.py` file, `file.py:function`.

    A ZIP file is unpacked into Kedge's own folder. Manifests are not read, only looked for.

    Raises:
        UnknownName: nothing is there.
        PackageError: what is there is no package.

    >>> open_package("examples/beam.py:deflection").function
    'deflection'
    """
    if "\0" in argument or not argument:
        raise UnknownName(
            f"{argument!r} is no path of a package", hint="name a folder, a .zip or a Python file"
        )
    path = os.path.abspath(os.path.expanduser(argument))
    if os.path.isdir(path):
        return PackageSource(_with_manifest(path))
    if os.path.isfile(path):
        return _of_file(path, argument)
    file, colon, function = argument.rpartition(":")
    if colon and file.endswith(".py"):
        script = os.path.abspath(os.path.expanduser(file))
        if os.path.isfile(script):
            return _script_function(script, function, argument)
    if colon and os.path.isdir(os.path.expanduser(file)):
        raise UnknownName(
            f"`{argument}` is not there", hint=f"a function is a word of its own: {file} {function}"
        )
    if os.path.lexists(path):
        raise PackageError(
            f"`{argument}` is neither a folder nor a file, or is a symlink to nothing",
            where=Where(argument),
            hint="name a folder, a .zip or a Python file",
        )
    raise UnknownName(f"`{argument}` is not there", hint=_nearby(file if colon else argument))


def _of_file(path: str, argument: str) -> PackageSource:
    if path.endswith(".py"):
        return PackageSource(os.path.realpath(path), script=True)
    if path.lower().endswith(".zip"):
        from kedge.package.archive import unpacked

        return PackageSource(_with_manifest(unpacked(path), argument), identity=path)
    if os.path.basename(path) in (*_MANIFESTS, "pyproject.toml"):
        return PackageSource(_with_manifest(os.path.dirname(path)))
    raise PackageError(
        f"`{argument}` is not a package",
        where=Where(argument),
        hint="name a folder with a kedge.yml, a .zip of one, or a Python file",
    )


def _script_function(script: str, function: str, argument: str) -> PackageSource:
    if not function.isidentifier():
        raise UnknownName(
            f"`{argument}` names no function after the colon",
            hint="write file.py:function, or the file alone",
        )
    return PackageSource(os.path.realpath(script), function, script=True)


def _with_manifest(root: str, author: str | None = None) -> str:
    """`root`, if it has a manifest: else whatever folder is named would be copied whole before that is seen."""
    if not any(os.path.lexists(os.path.join(root, name)) for name in _MANIFESTS):
        from kedge.package.locate import find_manifest

        find_manifest(root, author)
    return root


def _nearby(argument: str) -> str:
    folder, name = os.path.split(os.path.abspath(os.path.expanduser(argument)))
    try:
        close = nearest(name, os.listdir(folder))
    except OSError:
        return f"the folder {folder} is not there either"
    if close:
        return f"did you mean `{os.path.join(os.path.dirname(argument), close)}`?"
    return "name a folder with a kedge.yml, a .zip of one, or a Python file"
