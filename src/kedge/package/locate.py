"""Finds a package's manifest: one of three file names, or `[tool.kedge]` in pyproject.toml."""

import os
import tomllib
from typing import Final

from kedge.errors import ManifestError, PackageError, Where
from kedge.package.reading import read_text, shown

YAML_NAMES: Final = ("kedge.yml", "kedge.yaml", "mecapy.yml")
PYPROJECT: Final = "pyproject.toml"


def find_manifest(root: str, author: str | None = None) -> str:
    """The path of the one manifest in the folder `root`.

    Args:
        root: the folder.
        author: the folder that messages name instead, when `root` is a copy of it.

    Raises:
        PackageError: the folder has none, or two.
        ManifestError: its pyproject.toml, the only candidate, cannot be read.

    >>> find_manifest("examples/bolt-sizing")
    'examples/bolt-sizing/kedge.yml'
    """
    named = author or root
    found = [name for name in YAML_NAMES if os.path.lexists(os.path.join(root, name))]
    if _pyproject_has_manifest(root, named, alone=not found):
        found.append(PYPROJECT)
    if len(found) > 1:
        raise PackageError(
            f"`{shown(named)}` has {len(found)} manifests: {' and '.join(found)}",
            where=Where(shown(os.path.join(named, found[1]))),
            hint=f"keep one, for example {found[0]}, and remove the other",
        )
    if not found:
        raise PackageError(
            f"`{shown(named)}` has no manifest",
            where=Where(shown(named)),
            hint=_advice(root, named),
        )
    return os.path.join(root, found[0])


def _advice(root: str, named: str) -> str:
    scripts = sorted(
        entry
        for entry in _listed(root)
        if entry.endswith(".py") and not entry.startswith((".", "_"))
    )
    advice = f"`kedge init {shown(named)}` writes a kedge.yml"
    if len(scripts) == 1:
        return (
            f"{advice}; a lone script is run by its file: {shown(os.path.join(named, scripts[0]))}"
        )
    return advice


def _listed(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except OSError as error:
        raise PackageError(
            f"`{shown(root)}` cannot be read: {error.strerror}",
            where=Where(shown(root)),
            hint="a package is a folder that you can read",
        ) from None


def _pyproject_has_manifest(root: str, named: str, *, alone: bool) -> bool:
    """Whether pyproject.toml holds `[tool.kedge]`. One that is broken only matters when it is all there is."""
    path = os.path.join(root, PYPROJECT)
    if not os.path.isfile(path):
        return False
    try:
        text = read_text(path, shown(os.path.join(named, PYPROJECT)))
    except ManifestError:
        if alone:
            raise
        return False
    if "kedge" not in text:
        return False
    try:
        tool = tomllib.loads(text).get("tool")
    except (ValueError, RecursionError):  # TOMLDecodeError is a ValueError
        return alone  # reading it as the manifest then says where it is wrong
    return isinstance(tool, dict) and "kedge" in tool
