"""A run's result as a table for people and as the published JSON document."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from kedge import digest
from kedge.cli.text import table
from kedge.errors import UsageError
from kedge.ports import Ports
from kedge.run.core import Result


def document(result: Result) -> dict[str, Any]:
    """The outputs at top level, File outputs as `{path, size, sha256}`, then what Kedge adds."""
    run = result.run
    found: dict[str, Any] = dict(run.outputs)
    found |= {port: _hashed(entry) for port, entry in run.output_files.items()}
    if run.artifacts:
        found["_artifacts"] = dict(run.artifacts)
    found["_run"] = {"id": run.id, "wall_s": run.measured.get("wall_s")}
    return found


def text(result: Result, outputs: Ports) -> str:
    """The outputs as a table with units; files with their sizes."""
    run = result.run
    rows = []
    for name in [*run.outputs, *run.output_files]:
        schema = outputs.schema_of(name) or {}
        if name in run.output_files:
            rows += _file_rows(name, run.output_files[name])
        else:
            unit = schema.get("x-unit", "")
            rows.append([name, f"{value_text(run.outputs[name])}{f' {unit}' if unit else ''}"])
    rows += [
        [f"artifact {name}", f"{entry['uri'].removeprefix('file://')} ({size_text(entry['size'])})"]
        for name, entry in run.artifacts.items()
    ]
    return table(rows)


def copy_out(result: Result, folder: str) -> None:
    """Copy File outputs and artifacts into `folder`, artifacts into its `artifacts/`.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        for name in ("files", "artifacts"):
            source = os.path.join(result.run.folder, name)
            if os.path.isdir(source):
                target = folder if name == "files" else os.path.join(folder, name)
                shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise UsageError(
            f"the results cannot be copied to `{folder}`: {error}",
            hint=f"they are kept in {result.run.folder}",
        ) from error


def value_text(value: Any) -> str:
    """A value on one line: numbers and texts as they are, everything else as JSON."""
    import json

    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def size_text(size: int) -> str:
    """A file's size for people: `812 B`, `1.4 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def _file_rows(name: str, entry: Any) -> list[list[str]]:
    if isinstance(entry, list):
        return [row for one in entry for row in _file_rows(name, one)]
    return [[name, f"{entry['path']} ({size_text(entry['size'])})"]]


def _hashed(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_hashed(one) for one in entry]
    path = entry["path"]
    found: Mapping[str, Any] = {"path": path, "size": entry["size"]}
    return {**found, "sha256": digest.of_file(path)} if os.path.isfile(path) else dict(found)
