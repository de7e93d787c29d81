"""Tasks as data: one form for YAML, JSON and Python, in which a task is written down and read again.

    name: sort words
    runtime: {kind: command, command: "sort {words} > {sorted}"}
    inputs: [{id: words, kind: file, path: words.txt}]
    outputs: [{id: sorted, kind: file, path: sorted.txt}]

Every part has a `kind`, which a registry knows, and the fields of its class. To read one imports nothing of
the author's: what is a reference (`module:function`) stays one until the task is set up.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model

from kedge.client.placing import placed
from kedge.client.task import Task
from kedge.data import Data
from kedge.errors import PluginError, Problem, TaskError, nearest
from kedge.executor import executors
from kedge.executor.choice import AUTO
from kedge.package.document import Document, Path
from kedge.package.models import ResourcesBlock
from kedge.package.reading import read_text, shown
from kedge.package.wording import EXPECTED, problems_of, refusal
from kedge.package.yaml_source import read_yaml
from kedge.registry import Registry
from kedge.runtime import Runtime, runtimes
from kedge.runtime.in_process import reference
from kedge.target import targets
from kedge.task import Port, port_types

_PARTS: Final[dict[str, Registry[Any]]] = {
    "runtime": runtimes,
    "executor": executors,
    "target": targets,
    "inputs": port_types,
    "outputs": port_types,
}
_HINT: Final = "`kedge schema task` lists every field"
_TEXTS: Final = ("id", "name", "description")
_NO_ID: Final = "task"
_FIELDS: Final = (*_TEXTS, *_PARTS, "resources", "network")


def load(data: Mapping[str, Any]) -> Task:
    """The task that was written down as data.

    Raises:
        TaskError: it is none, all that is wrong.
    """
    return _read(Document("the task", data))


def load_file(path: str | os.PathLike[str]) -> Task:
    """The task in a YAML or JSON file. Relative paths in it are relative to the file's folder.

    Raises:
        ManifestError: it cannot be read, or is no YAML.
        TaskError: it is no task, all that is wrong, with line and column.
    """
    document = read_file(path)
    with placed(document):
        return task_of(document, path)


def read_file(path: str | os.PathLike[str]) -> Document:
    """The data in a YAML or JSON file, with the places of all that is in it.

    Raises:
        ManifestError: it cannot be read, or is no YAML.
    """
    file = shown(os.fspath(path))
    return read_yaml(read_text(os.fspath(path), file), file)


def task_of(document: Document, path: str | os.PathLike[str]) -> Task:
    """The task in the data of a file, as `load_file`."""
    return _read(document, os.path.dirname(os.path.abspath(path)))


def dump(task: Task) -> dict[str, Any]:
    """A task as data that JSON and YAML can say; `load` makes an equal one of it.

    Raises:
        TaskError: something in it is only here, such as a lambda; all of that.
    """
    problems: list[Problem] = []
    found: dict[str, Any] = {name: getattr(task, name) for name in _TEXTS if getattr(task, name)}
    if task.name == task.id:
        del found["name"]
    if task.id == _NO_ID:
        del found["id"]
    found["runtime"] = _dumped(task.runtime, "runtime", problems)
    for side in ("inputs", "outputs"):
        ports = getattr(task, side)
        if ports:
            found[side] = [_dumped(port, f"{side}.{port.id}", problems) for port in ports]
    for name in ("executor", "target"):
        part = getattr(task, name)
        if part is not None:
            made = _dumped(part, name, problems)
            found[name] = made["kind"] if len(made) == 1 else made
    if task.resources:
        found["resources"] = dict(task.resources)
    if task.network:
        found["network"] = True
    if problems:
        raise TaskError.of(problems, f"the task `{task.name}`")
    return found


def schema() -> dict[str, Any]:
    """The JSON Schema, 2020-12, of tasks as data, with the fields of every kind that there is."""
    definitions: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for name, registry in _PARTS.items():
        choices = []
        for kind in registry.kinds():
            made = _schema_of(registry, kind)
            if made is not None:
                definitions[f"{registry.noun} {kind}".replace(" ", "_")] = made
                choices.append({"$ref": f"#/$defs/{registry.noun.replace(' ', '_')}_{kind}"})
        parts[name] = {"anyOf": choices}
    for name in ("executor", "target"):
        parts[name]["anyOf"].append({"type": "string"})
    for name in ("inputs", "outputs"):
        parts[name] = {"type": "array", "items": parts[name]}
    resources = TypeAdapter(ResourcesBlock).json_schema(ref_template="#/$defs/{model}")
    definitions |= resources.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kedge task",
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in _TEXTS},
            **parts,
            "resources": resources,
            "network": {"type": "boolean"},
        },
        "required": ["runtime"],
        "additionalProperties": False,
        "$defs": definitions,
    }


# ---- from data ------------------------------------------------------------------------------------------


def _read(document: Document, folder: str | None = None) -> Task:
    reading = _Reading(document, folder)
    made = reading.task()
    if reading.problems:
        raise TaskError.of(reading.problems, document.file)
    return Task(**made)


class _Reading:
    """One document while it is read; `problems` is all that is wrong with it."""

    def __init__(self, document: Document, folder: str | None) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._folder = folder

    def task(self) -> dict[str, Any]:
        data = self._document.data
        if not isinstance(data, Mapping):
            self._wrong((), "it is no task", "write `runtime: {kind: …}` and the rest of it")
            return {}
        made: dict[str, Any] = {}
        for name, value in data.items():
            path = (name,)
            if name not in _FIELDS:
                self._unknown(path, name, _FIELDS)
            elif name in _TEXTS:
                made[name] = self._checked(path, str, value)
            elif name == "network":
                made[name] = self._checked(path, bool, value)
            elif name == "resources":
                found = self._checked(path, ResourcesBlock, value)
                if isinstance(found, ResourcesBlock):
                    made[name] = found.model_dump(exclude_unset=True)
            elif name in ("inputs", "outputs"):
                made[name] = [
                    self._part(name, (name, at), one) for at, one in self._listed(path, value)
                ]
            elif isinstance(value, str) and name in ("executor", "target"):
                made[name] = None if value == AUTO else self._part(name, path, {"kind": value})
            else:
                made[name] = self._part(name, path, value)
        if "runtime" not in data:
            self._wrong((), "it has no runtime", "write `runtime: {kind: …}`")
        return made

    def _listed(self, path: Path, value: Any) -> Iterator[tuple[int, Any]]:
        if isinstance(value, list):
            yield from enumerate(value)
        else:
            self._wrong(path, "it is no list", "write `- {id: …, kind: …}`, one a line")

    def _part(self, name: str, path: Path, value: Any) -> Any:
        """A runtime, an executor, a target or a port."""
        registry = _PARTS[name]
        kind = value.get("kind") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            known = ", ".join(registry.kinds())
            message = f"it says no kind of {registry.noun}"
            if kind is not None:
                message, path = f"`{kind!r:.80}` is no kind of {registry.noun}", (*path, "kind")
            self._wrong(path, message, f"`kind` is one of: {known}")
            return None
        try:
            cls = registry.get(value["kind"])
        except PluginError as error:
            self._wrong((*path, "kind"), error.message, error.hint)
            return None
        if getattr(cls, "of_packages", False):
            hint = "a function of a package is run by `kedge run`"
            self._wrong((*path, "kind"), f"the kind {cls.kind!r} is of packages", hint)
            return None
        before, fields, made = len(self.problems), _fields(cls), {}
        for field, one in value.items():
            if field == "extensions" and "path" in fields:
                cls = self._with_extensions((*path, field), cls, one)
            elif field in fields:
                made[field] = self._checked((*path, field), fields[field], one)
            elif field != "kind":
                self._unknown((*path, field), field, tuple(fields))
        optional = getattr(cls, "__defaults__", {})
        for field in fields:
            if field not in made and field not in optional:
                self._wrong(path, f"`{field}` is missing", f"give `{field}`")
        if len(self.problems) > before:
            return None
        part = cls(**made)
        has_paths = self._folder is not None and isinstance(part, Port | Runtime)
        return part.within(self._folder) if has_paths else part

    def _with_extensions(self, path: Path, cls: Any, value: Any) -> Any:
        names = self._checked(path, tuple[str, ...], value)
        return cls[names] if names else cls

    def _checked(self, path: Path, hint: Any, value: Any) -> Any:
        try:
            return _adapter(hint).validate_python(value, strict=_is_plain(hint))
        except ValidationError as error:
            if hint is ResourcesBlock:
                self.problems += problems_of(error, ResourcesBlock, self._document, path)
            else:
                words = (EXPECTED.get(one["type"], one["msg"]) for one in error.errors())
                expected = " or ".join(dict.fromkeys(words))
                self.problems.append(refusal(self._document, path, value, expected, _HINT))
            return None

    def _unknown(self, path: Path, name: Any, known: tuple[str, ...]) -> None:
        near = nearest(str(name), list(known))
        hint = f"did you mean `{near}`?" if near else f"there is: {', '.join(known)}"
        where = self._document.where(path, key=True)
        self.problems.append(Problem(f"`{name}` is not known here", where, hint))

    def _wrong(self, path: Path, message: str, hint: str | None) -> None:
        self.problems.append(Problem(message, self._document.where(path), hint))


# ---- to data --------------------------------------------------------------------------------------------


def _dumped(part: Any, path: str, problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": part.kind}
    defaults = getattr(part, "__defaults__", {})
    sayable = _fields(type(part))
    for name in getattr(part, "__fields__", ()):
        value = getattr(part, name)
        if name not in sayable:
            if value is not defaults[name]:
                message = f"`{path}.{name}` is an object, which is only in this process"
                problems.append(Problem(message, hint="give the path of a file that holds it"))
            continue
        if name in defaults and value == _default(defaults[name]):
            continue
        found[name] = _plain(value, f"{path}.{name}", problems)
    if getattr(part, "extensions", ()):
        found["extensions"] = list(part.extensions)
    return found


def _default(value: Any) -> Any:
    return value.make() if hasattr(value, "make") else value


def _plain(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, tuple | list):
        return [_plain(one, path, problems) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one, path, problems) for name, one in value.items()}
    if callable(value):
        named = reference(value)
        if named is None:
            name = getattr(value, "__qualname__", type(value).__name__)
            message = f"`{path}` is `{name}`, which is only in this process"
            problems.append(Problem(message, hint="define it in a module, and say `module:name`"))
        return named
    if value is None or isinstance(value, str | int | float | bool):
        return value
    message = f"`{path}` is a `{type(value).__name__}`, which JSON cannot say"
    problems.append(Problem(message, hint="give plain data"))
    return None


# ---- the fields of kinds --------------------------------------------------------------------------------


def _fields(cls: type) -> dict[str, Any]:
    """The fields of a kind and their types, without what only Python can say."""
    hints = get_type_hints(cls) if issubclass(cls, Data) else {}
    fields = getattr(cls, "__fields__", ())
    return {name: _sayable(hints[name]) for name in fields if hints[name] is not object}


def _sayable(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        kept = [one for one in get_args(hint) if not _is_python_only(one)]
        return Union[tuple(kept)] if kept else Any  # noqa: UP007 - of as many as there are
    return hint


def _is_python_only(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin is os.PathLike or origin is Callable or str(origin) == str(Callable)


def _is_plain(hint: Any) -> bool:
    """Whether a value has to be of the type itself: the text `1` is no number."""
    return hint in (str, bool, int, float)


@lru_cache(256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _schema_of(registry: Registry[Any], kind: str) -> dict[str, Any] | None:
    try:
        cls = registry.get(kind)
    except PluginError:
        return None  # `kedge plugins` says why
    if getattr(cls, "of_packages", False):
        return None
    optional = getattr(cls, "__defaults__", {})
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for name, hint in _fields(cls).items():
        fields[name] = (hint, None if name in optional else ...)
    if hasattr(cls, "extensions"):
        fields["extensions"] = (tuple[str, ...], ())
    made: Any = create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    found: dict[str, Any] = made.model_json_schema()
    texts = {"title": "kind_name", "description": "kind_description"}
    return found | {key: str(getattr(cls, name, "")) for key, name in texts.items()}
