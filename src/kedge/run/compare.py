"""Two runs side by side: what differs between their records, and in the files that both still have."""

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kedge import digest
from kedge.data import Data, asdict
from kedge.environment import installed
from kedge.home import home
from kedge.run.entry import Run

ABSENT: Final = None  # what one side does not have; JSON's null is compared as the text "null"
_MOST: Final = 50  # differences within one value that are listed before the rest is counted

# What a record has beside its values, in the order in which it is told.
_FACTS: Final = (
    *("package", "package_version", "function", "handler", "source", "runtime"),
    *(
        "status",
        "executor",
        "target",
        "interpreter",
        "kedge",
        "contract",
        "environment",
        "snapshot",
    ),
)


class Difference(Data):
    """One thing that differs.

    Args:
        part: facts, packages, files (of the package), inputs, input_files, outputs, output_files,
            artifacts, resources, measured, warnings or failure.
        name: which one: a fact, a package, a path, a port, a place inside a value (`bolt.d`, `x[3]`).
        first: what the first run has, None when nothing; `second` likewise. A file is a mapping with
            `size` and `sha256`, as far as they are known.
        absolute: second − first, for numbers; `relative` that in parts of the first, None at 0.
    """

    part: str
    name: str
    first: Any
    second: Any
    absolute: float | None = None
    relative: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The difference as data."""
        return asdict(self)


class Comparison(Data):
    """What differs between two runs, and what could not be looked at, a sentence each."""

    first: Run
    second: Run
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The comparison as data."""
        return {
            "first": self.first.id,
            "second": self.second.id,
            "differences": [one.to_json() for one in self.differences],
            "unknown": list(self.unknown),
        }


def compare(first: Run, second: Run) -> Comparison:
    """Everything in which two runs differ; what is the same is left out.

    Files are compared by content where both are as they were; secrets are masked in records, so two
    different ones look the same.

    >>> [(one.name, one.absolute) for one in compare(run, other).differences]
    [('load_n', 15000.0), ('stress_mpa', 132.7)]
    """
    unknown: list[str] = []
    ports = {entry["port"] for run in (first, second) for entry in run.input_files}
    found = [
        *_mapped("facts", _facts(first), _facts(second)),
        *_packages(first, second, unknown),
        *_package_files(first, second, unknown),
        *_mapped("inputs", _without(first.inputs, ports), _without(second.inputs, ports)),
        *_files("input_files", _input_files(first), _input_files(second), unknown),
        *_mapped("outputs", first.outputs, second.outputs),
        *_files("output_files", _outputs(first), _outputs(second), unknown),
        *_files("artifacts", _artifacts(first), _artifacts(second), unknown),
        *_mapped("resources", first.resources, second.resources),
        *_mapped("measured", _known(first.measured), _known(second.measured)),
        *_mapped("warnings", dict.fromkeys(first.warnings, True), dict.fromkeys(second.warnings, True)),
        *_mapped("failure", _failure(first), _failure(second)),
    ]  # fmt: skip
    return Comparison(first, second, tuple(found), tuple(unknown))


def _mapped(part: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*first, *second)):
        if name not in first:
            yield Difference(part, name, ABSENT, _present(second[name]))
        elif name not in second:
            yield Difference(part, name, _present(first[name]), ABSENT)
        else:
            yield from _limited(part, name, _values(part, name, first[name], second[name]))


def _limited(part: str, name: str, found: Iterator[Difference]) -> Iterator[Difference]:
    for number, one in enumerate(found):
        if number < _MOST:
            yield one
            continue
        rest = 1 + sum(1 for _ in found)
        yield Difference(part, f"{name}: {rest} more places", ABSENT, ABSENT)


def _values(part: str, name: str, first: Any, second: Any) -> Iterator[Difference]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys((*first, *second)):
            inner = f"{name}.{key}"
            if key in first and key in second:
                yield from _values(part, inner, first[key], second[key])
            elif key in first:
                yield Difference(part, inner, _present(first[key]), ABSENT)
            else:
                yield Difference(part, inner, ABSENT, _present(second[key]))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _values(part, f"{name}[{index}]", one, other)
    elif _is_number(first) and _is_number(second):
        if first != second:
            yield Difference(part, name, first, second, *_apart(first, second))
    elif type(first) is not type(second) or first != second:
        yield Difference(part, name, _present(first), _present(second))


def _present(value: Any) -> Any:
    return "null" if value is None else value


def _apart(first: float, second: float) -> tuple[float | None, float | None]:
    try:
        absolute = second - first
        relative = absolute / abs(first) if first else None
    except OverflowError:  # integers beyond what a float holds
        return None, None
    return (
        absolute if math.isfinite(absolute) else None,
        relative if relative is not None and math.isfinite(relative) else None,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _facts(run: Run) -> dict[str, Any]:
    return {name: value for name in _FACTS if (value := getattr(run, name)) is not None}


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _without(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _failure(run: Run) -> dict[str, Any]:
    """What failed: kind, the user's exception and the sentence; evidence and traceback are `show`'s."""
    if run.failure is None:
        return {}
    return _known({name: run.failure.get(name) for name in ("kind", "type", "message")})


def _packages(first: Run, second: Run, unknown: list[str]) -> Iterator[Difference]:
    if first.environment == second.environment or not (first.environment and second.environment):
        return
    one, other = installed.packages(first.environment), installed.packages(second.environment)
    if one is None or other is None:
        unknown.append("which packages differ: an environment of them is not kept any more")
        return
    yield from _mapped("packages", one, other)


def _package_files(first: Run, second: Run, unknown: list[str]) -> Iterator[Difference]:
    if first.snapshot == second.snapshot or not (first.snapshot and second.snapshot):
        return
    one, other = _snapshot(first.snapshot), _snapshot(second.snapshot)
    if one is None or other is None:
        unknown.append("which files of the package differ: a snapshot of them is not kept any more")
        return
    for path in sorted({*one, *other}):
        if one.get(path) != other.get(path):
            yield Difference("files", path, one.get(path), other.get(path))


def _snapshot(name: str) -> dict[str, str] | None:
    from kedge.package.snapshot import entries_in

    try:
        entries = list(entries_in(os.path.join(home(), "snapshots", name)))
    except OSError:
        return None
    return {entry.path: f"{entry.kind} {entry.content}" for entry in entries}


def _input_files(run: Run) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    ports = [entry["port"] for entry in run.input_files]
    for index, entry in enumerate(run.input_files):
        port = entry["port"]
        several = ports.count(port) > 1
        found[f"{port}[{ports[:index].count(port)}]" if several else port] = entry
    return found


def _outputs(run: Run) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for port, entry in run.output_files.items():
        if isinstance(entry, list):
            found |= {f"{port}[{index}]": one for index, one in enumerate(entry)}
        else:
            found[port] = entry
    return found


def _artifacts(run: Run) -> dict[str, Mapping[str, Any]]:
    return {
        name: {**entry, "path": entry["uri"].removeprefix("file://")}
        for name, entry in run.artifacts.items()
    }


def _files(
    part: str,
    first: Mapping[str, Mapping[str, Any]],
    second: Mapping[str, Mapping[str, Any]],
    unknown: list[str],
) -> Iterator[Difference]:
    for name in dict.fromkeys((*first, *second)):
        if name not in first or name not in second:
            one, other = (_file(side[name]) if name in side else ABSENT for side in (first, second))
            yield Difference(part, name, one, other)
            continue
        one, other = _file(first[name]), _file(second[name])
        if one.get("size") != other.get("size"):
            yield Difference(part, name, one, other)
        elif "sha256" not in one or "sha256" not in other:
            if not _same_file(first[name], second[name]):
                unknown.append(f"whether the content of `{name}` differs: a file of them has changed since, or is gone")  # fmt: skip
        elif one["sha256"] != other["sha256"]:
            yield Difference(part, name, one, other)


def _file(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A file's size, and its digest if that was recorded or the file is still as it was."""
    found = {name: entry[name] for name in ("size", "sha256") if name in entry}
    if "sha256" not in found:
        try:
            now = os.stat(entry["path"])
            unchanged = now.st_size == entry.get("size") and now.st_mtime_ns == entry.get(
                "mtime_ns", now.st_mtime_ns
            )
            if unchanged and os.path.isfile(entry["path"]):
                found["sha256"] = digest.of_file(entry["path"])
        except OSError:
            pass  # gone, or not to be read any more
    return found


def _same_file(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether both runs saw one file, unchanged between them: then its content was the same."""
    known = ("path", "size", "mtime_ns", "inode")
    return "mtime_ns" in first and all(first.get(name) == second.get(name) for name in known)
