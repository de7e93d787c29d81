"""A Python file as a package: its inline metadata (PEP 723) and its public functions.

Nothing of the file is run: functions are found in its syntax tree.
"""

import ast
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data, field
from kedge.errors import ManifestError, Problem, Where, nearest
from kedge.package import names, pythons
from kedge.package.document import Document, Path, Place, described
from kedge.package.reading import read_text, shown
from kedge.package.toml_source import read_toml

# Of source: generated ones are large, a data file by this name is refused.
MAX_BYTES: Final = 8 << 20

# The expression is PEP 723's own reference.
_BLOCK: Final = re.compile(
    r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
)
_OPENING: Final = re.compile(r"(?m)^# /// script[ \t]*$")
_KEYS: Final = ("dependencies", "requires-python", "tool")


class Script(Data):
    """A script read as a manifest.

    Args:
        document: what its metadata and its functions declare.
        requires_python: its `requires-python`, "" without one; None when `[tool.kedge]` names a version.
        warnings: what is odd but does not stop anything.
    """

    document: Document
    requires_python: str | None
    warnings: tuple[Problem, ...]


class _Metadata(Data, frozen=False):
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)


def read_script(path: str, author: str | None = None) -> Script:
    """The manifest that the Python file at `path` amounts to.

    Its runtime's `version` is the newest that `requires-python` admits.

    Args:
        path: the file.
        author: what messages name in its place, when it is a copy.

    Raises:
        ManifestError: bad metadata, a syntax error, no public function; with line and column.
    """
    file = shown(author or path)
    text = _source(path, file)
    metadata = _metadata(text, file)
    problems: list[Problem] = []
    found = [*_unclosed(text, file, metadata)]
    document = Document(file, metadata.data, metadata.keys, metadata.values)
    found += [
        Problem(
            f"`{key}` is not a key of inline script metadata",
            document.where((key,), key=True),
            f"known here: {', '.join(_KEYS)}",
        )
        for key in metadata.data
        if key not in _KEYS
    ]
    runtime = _runtime(document, problems)
    module = module_name(path)
    if refusal := _module_refusal(module, file):
        problems.append(refusal)
    functions, skipped = _functions(text, file)
    found += skipped
    if problems:
        raise ManifestError.of(problems, file)
    manifest = _manifest(document, file, module, runtime, functions)
    requires = document.data.get("requires-python", "")
    if (
        manifest.data["runtime"] is not runtime
        and manifest.data["runtime"].get("version") != runtime["version"]
    ):
        requires = None
    return Script(manifest, requires, tuple(found))


def inline_metadata(path: str) -> Mapping[str, Any]:
    """What the script at `path` says of itself, `dependencies` and others; nothing where it has no such block.

    Raises:
        ManifestError: it cannot be read, or what it says is no TOML; with line and column.
    """
    file = shown(path)
    return _metadata(_source(path, file), file).data


def module_name(path: str) -> str:
    """The module that a script is imported as: its file's name without `.py`."""
    return os.path.basename(path).removesuffix(".py")


def _module_refusal(module: str, file: str) -> Problem | None:
    if module.isidentifier():
        return None
    proposal = re.sub(r"\W+", "_", module).strip("_") or "script"
    return Problem(
        f"`{module}.py` cannot be imported as a module: its name is no Python name",
        Where(file),
        f"rename it, for example to {'_' if proposal[0].isdigit() else ''}{proposal}.py",
    )


def _source(path: str, file: str) -> str:
    with_newlines = read_text(path, file, limit=MAX_BYTES)
    return with_newlines.replace("\r\n", "\n").replace("\r", "\n")


def _metadata(text: str, file: str) -> _Metadata:
    blocks = [block for block in _BLOCK.finditer(text) if block["type"] == "script"]
    if not blocks:
        return _Metadata()
    lines = [text.count("\n", 0, block.start()) + 1 for block in blocks]
    if len(blocks) > 1:
        raise ManifestError(
            f"{file} has {len(blocks)} `script` blocks: on line {lines[0]} and on line {lines[1]}",
            where=Where(file, lines[1], 1),
            hint="keep one",
        )
    content = "\n".join(
        line[2:] if line.startswith("# ") else line[1:]
        for line in blocks[0]["content"].rstrip("\n").split("\n")
    )
    read = read_toml(content + "\n", file, first_line=lines[0] + 1, indent=2)
    return _Metadata(dict(read.data), dict(read.keys), dict(read.values))


def _unclosed(text: str, file: str, metadata: _Metadata) -> list[Problem]:
    opening = _OPENING.search(text)
    if opening is None or metadata.keys or _BLOCK.search(text):
        return []
    line = text.count("\n", 0, opening.start()) + 1
    return [
        Problem(
            "the `script` block that starts here is not closed, so it counts for nothing",
            Where(file, line, 1),
            "each of its lines starts with `# `, and a line `# ///` ends it",
        )
    ]


def _runtime(document: Document, problems: list[Problem]) -> dict[str, Any]:
    data = document.data
    requires = data.get("requires-python", "")
    version: str | None = pythons.VERSIONS[-1]
    path: Path = ("requires-python",)
    if not isinstance(requires, str):
        problems.append(_wrong(document, path, requires, "a version specifier", '">=3.12"'))
        requires = ""
    try:
        version = pythons.newest(requires)
    except ValueError as error:
        problems.append(Problem(str(error), document.where(path), 'for example ">=3.12"'))
    if version is None:
        problems.append(
            Problem(
                f"`requires-python` is {described(requires)}, which no Python from "
                f"{pythons.VERSIONS[0]} to {pythons.VERSIONS[-1]} satisfies",
                document.where(path),
                'for example ">=3.12"',
            )
        )
    dependencies = data.get("dependencies", [])
    if not isinstance(dependencies, list):
        problems.append(
            _wrong(document, ("dependencies",), dependencies, "a list of texts", '["numpy>=2"]')
        )
        dependencies = []
    problems += [
        _wrong(document, ("dependencies", index), item, "a requirement as text", '"numpy>=2"')
        for index, item in enumerate(dependencies)
        if not isinstance(item, str)
    ]
    return {
        "kind": "python",
        "version": version,
        "requirements": dependencies or False,
    }


def _wrong(document: Document, path: Path, value: Any, expected: str, example: str) -> Problem:
    name = str(path[0]) if len(path) == 1 else f"{path[0]}[{path[1]}]"
    return Problem(
        f"`{name}` is {described(value)}, expected {expected}",
        document.where(path),
        f"for example {path[0]} = {example}" if len(path) == 1 else f"for example {example}",
    )


def _functions(text: str, file: str) -> tuple[dict[str, Place], list[Problem]]:
    """Public functions at module level, in order, with their places; and warnings for what is left out."""
    try:
        with warnings.catch_warnings():
            # Of the author's own escapes: Python says it when it runs.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        where = Where(file, error.lineno, error.offset)
        raise ManifestError(
            f"{file} is not Python: {error.msg}", where=where, hint="correct the syntax"
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ManifestError(
            f"{file} cannot be read as Python: it nests too deep or holds a null byte",
            where=Where(file),
            hint="name a Python source file",
        ) from None
    functions: dict[str, Place] = {}
    skipped: list[Problem] = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith(
            "_"
        ):
            continue
        place = Place(node.lineno, node.col_offset + 1)
        if refusal := names.function_name(node.name):
            skipped.append(
                Problem(
                    f"`{node.name}` cannot be a function's name, expected {refusal[0]}",
                    Where(file, place.line, place.column),
                    "rename it, or start its name with `_` when it is not meant to be run",
                )
            )
        else:
            functions[node.name] = place
    return functions, skipped


def _manifest(
    document: Document, file: str, module: str, runtime: dict[str, Any], found: dict[str, Place]
) -> Document:
    """`[tool.kedge]` over what the metadata and the functions say by themselves."""
    prefix = ("tool", "kedge")
    tool = document.data.get("tool")
    own = tool.get("kedge") if isinstance(tool, dict) else None
    if own is not None and not isinstance(own, Mapping):
        raise ManifestError.of([_wrong(document, prefix, own, "a table", "{}")], file)
    data: dict[str, Any] = dict(own or {})
    keys = {path[2:]: place for path, place in document.keys.items() if path[:2] == prefix}
    values = {path[2:]: place for path, place in document.values.items() if path[:2] == prefix}
    values.setdefault((), Place(1, 1))
    if "package" not in data:
        data.setdefault("name", module)
    for key, outer in (("version", "requires-python"), ("requirements", "dependencies")):
        for places, inner in ((document.keys, keys), (document.values, values)):
            for path, place in places.items():
                if path[:1] == (outer,):
                    inner.setdefault(("runtime", key, *path[1:]), place)
    declared = data.get("runtime")
    data["runtime"] = runtime | dict(declared) if isinstance(declared, Mapping) else runtime
    declared = data.get("functions")
    if declared is None or isinstance(declared, Mapping):
        data["functions"] = _merged(dict(declared or {}), module, found, document, file, keys)
    return Document(file, data, keys, values)


def _merged(
    declared: dict[str, Any],
    module: str,
    found: dict[str, Place],
    document: Document,
    file: str,
    keys: dict[Path, Place],
) -> dict[str, Any]:
    functions: dict[str, Any] = {}
    for name, place in found.items():
        block = declared.pop(name, {})
        keys.setdefault(("functions", name), place)
        if isinstance(block, Mapping) and not {"handler", "entrypoint"} & set(block):
            block = {"handler": f"{module}:{name}"} | dict(block)
        functions[name] = block
    for name, block in declared.items():
        if isinstance(block, Mapping) and not {"handler", "entrypoint"} & set(block):
            close = nearest(name, tuple(found))
            listed = f"public functions: {', '.join(found) or 'none'}"
            raise ManifestError(
                f"`{name}` is not a public function of {file}",
                where=document.where(("tool", "kedge", "functions", name), key=True),
                hint=f"did you mean `{close}`?" if close else listed,
            )
        functions[name] = block
    if not functions:
        raise ManifestError(
            f"{file} has no public function",
            where=Where(file, 1, 1),
            hint="define one at module level: `def size(diameter: float) -> float:`",
        )
    return functions
