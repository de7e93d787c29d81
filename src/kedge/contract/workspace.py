"""The workspace of a run: what the code finds when it starts, laid out in a real folder.

`in/` is the caller's and can be read by anyone who gets there; `out/` and `scratch/` are for the code, and
an executor that runs it as another user gives them to that user. File inputs are not copied: an empty
file stands where each will be, and the executor shows the real one there.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from kedge.contract.collect import Collected, collect, judged
from kedge.contract.ownership import remove
from kedge.data import Data
from kedge.errors import StoreError
from kedge.ports import Ports, Schema, extensions_of, kind_of

__all__ = [
    "Collected",
    "StagedFile",
    "Workspace",
    "collect",
    "extension_of",
    "judged",
    "make_bare",
    "place_of",
    "prepare",
    "remove",
]

# The compression that may stand behind a file's extension and belongs to it: `mesh.med.gz`.
_COMPRESSIONS: Final = frozenset(("gz", "bz2", "xz", "zst", "lz4", "br", "z"))
_EXTENSION_LIMIT: Final = 100  # bytes: a name has at most 255, and the port takes up to 63
_NAME_LIMIT: Final = 200  # bytes of a caller's file name that are kept beside a position


class StagedFile(Data):
    """A file or folder of the host and where the code sees it.

    Args:
        source: its absolute path, symbolic links resolved.
        name: its path in the workspace, `in/files/mesh.med`; an empty one is there already.
    """

    source: str
    name: str


class Workspace(Data):
    """A prepared workspace.

    Args:
        folder: the real folder that holds `in`, `out` and `scratch`.
        package: the snapshot that is shown read-only at the workspace's root, None for none.
        files: what the executor shows in `in/files`.
    """

    folder: str
    package: str | None
    files: tuple[StagedFile, ...] = ()


def prepare(
    folder: str,
    package: str | None,
    inputs: Ports,
    outputs: Ports,
    values: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> Workspace:
    """Lay out a workspace for one run.

    Args:
        folder: where; it must not be there yet, its parent must.
        package: the package's snapshot.
        inputs: the input ports.
        outputs: the output ports, of which `out/files/list.json` tells the code the files.
        values: checked inputs by port; a File is a path on this machine, a list of files several.
        files: more that `in/` has, by their names there.

    Raises:
        StoreError: the folder cannot be written.

    >>> prepare(folder, snapshot, inputs, outputs, {"load": 1200.0, "mesh": "/data/wing.v2.med"}).files
    (StagedFile(source='/data/wing.v2.med', name='in/files/mesh.med'),)
    """
    data: dict[str, Any] = {}
    staged: list[StagedFile] = []
    for port, value in values.items():
        found = _staged(port, value, inputs)
        if found is None:
            data[port] = value
        else:
            staged += found
    try:
        _make_folders(folder)
        _write_json(f"{folder}/in/data.json", data)
        _write_json(f"{folder}/out/files/list.json", _expected(outputs))
        for name, content in (files or {}).items():
            _write(f"{folder}/in/{name}", content)
        for port in values.keys() - data.keys():
            if kind_of(inputs.schema_of(port) or {}) in ("files", "folder"):
                _make_folder(f"{folder}/in/files/{port}")
        for file in staged:
            _make_place(folder, file)
    except OSError as error:
        raise _not_made(folder, error) from error
    return Workspace(folder, package, tuple(staged))


def make_bare(folder: str) -> None:
    """Make the folders that code of this process may leave files in; nothing is staged for it.

    Raises:
        StoreError: they cannot be made.
    """
    try:
        for name in ("", "/out", "/out/files"):
            _make_folder(folder + name)
    except OSError as error:
        raise _not_made(folder, error) from error


def place_of(port: str, schema: Schema, value: str) -> str:
    """The path in the workspace at which the file or folder of an input stands.

    >>> place_of("mesh", {"type": "string", "format": "binary"}, "/data/wing.med")
    'in/files/mesh.med'
    """
    if kind_of(schema) == "folder":
        return f"in/files/{port}"
    return f"in/files/{port}{extension_of(os.path.basename(value), extensions_of(schema))}"


def extension_of(name: str, declared: tuple[str, ...]) -> str:
    """The caller's extension with its dot: the longest declared one, else what stands at the end.

    >>> extension_of("wing.v2.tar.gz", ())
    '.tar.gz'
    """
    lower = name.lower()
    for extension in sorted(declared, key=len, reverse=True):
        if lower.endswith(f".{extension.lower()}"):
            return name[-len(extension) - 1 :]
    stem, end = os.path.splitext(name)
    if end[1:].lower() in _COMPRESSIONS:
        before = os.path.splitext(stem)[1]
        if before[1:].isalnum():
            end = before + end
    usable = end.isprintable() and 1 < len(os.fsencode(end)) <= _EXTENSION_LIMIT
    return end if usable else ""


def _not_made(folder: str, error: OSError) -> StoreError:
    return StoreError(
        f"the workspace `{folder}` cannot be made: {error.strerror}",
        hint="make room, or set KEDGE_HOME to a folder that you can write to",
    )


def _staged(port: str, value: Any, inputs: Ports) -> list[StagedFile] | None:
    """Where the files of an input go; None when it is a value and belongs in data.json."""
    schema = inputs.schema_of(port) or {}
    kind = kind_of(schema)
    if kind == "value" or value is None:  # an optional file that was given as null is a null
        return None
    if kind == "files":
        names = _names([os.path.basename(source) for source in value])
        return [
            StagedFile(os.path.realpath(source), f"in/files/{port}/{name}")
            for source, name in zip(value, names, strict=True)
        ]
    return [StagedFile(os.path.realpath(value), place_of(port, schema, value))]


def _names(names: list[str]) -> list[str]:
    """Names under which files stand beside each other, and list in the order they were given.

    The callers' own where these do; else each has its position in front.

    >>> _names(["b.csv", "a.csv"])
    ['0-b.csv', '1-a.csv']
    """
    folded = {name.casefold() for name in names}
    plain = all(name.isprintable() and len(os.fsencode(name)) <= _NAME_LIMIT for name in names)
    if plain and len(folded) == len(names) and names == sorted(names):
        return names
    width = len(str(len(names) - 1))
    return [f"{position:0{width}}-{_printable(name)}" for position, name in enumerate(names)]


def _printable(name: str) -> str:
    text = "".join(char if char.isprintable() else "_" for char in name)
    if len(text.encode()) <= _NAME_LIMIT:
        return text
    stem, end = os.path.splitext(text)
    kept = stem.encode()[: _NAME_LIMIT - len(end.encode())] if len(end) < _NAME_LIMIT // 4 else b""
    return kept.decode("utf-8", "ignore") + end[: _NAME_LIMIT // 4]


def _expected(outputs: Ports) -> dict[str, list[str]]:
    files = [port for port, schema in outputs.properties.items() if kind_of(schema) != "value"]
    return {
        "required": [port for port in files if port in outputs.required],
        "optional": [port for port in files if port not in outputs.required],
    }


def _make_folders(folder: str) -> None:
    for name in ("", "/in", "/in/files", "/out", "/out/files", "/out/artifacts", "/scratch"):
        _make_folder(folder + name)


def _make_folder(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o755)  # whatever the caller's umask: another user must get in


def _write_json(path: str, value: Any) -> None:
    _write(path, json.dumps(value, allow_nan=False).encode())


def _make_place(folder: str, file: StagedFile) -> None:
    path = f"{folder}/{file.name}"
    if not os.path.isdir(path):  # the place of a folder is made already
        _write(path, b"", 0o644)  # an executor that cannot mount writes a copy into it


def _write(path: str, data: bytes, mode: int = 0o444) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
