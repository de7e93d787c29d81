"""From pydantic's errors to problems for people: what was found, what was expected, where, a hint."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kedge.errors import Problem, nearest
from kedge.package.document import Document, Path, described, dotted, shortened
from kedge.package.models import REFUSED
from kedge.ports.wording import first_problems

EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS: Final = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number from"),
    "less_than": ("lt", "a number below"),
    "less_than_equal": ("le", "a number up to"),
}
_MISSING: Final = {
    "name": "name: my-package",
    "version": 'version: 0.1.0 for a package, version: "3.12" for runtime.kind python',
    "runtime": 'runtime: {kind: python, version: "3.12"}',
    "functions": "functions: {size: {handler: bolts:size}}",
    "image": "image: registry.example/me/solver:15.4",
    "dockerfile": "dockerfile: ./Dockerfile",
}
_SCHEMA_HINT: Final = "`kedge schema manifest` lists every field"


def problems_of(
    error: ValidationError, model: type[BaseModel], document: Document, path: Path
) -> list[Problem]:
    """Problems for everything that `error` holds.

    Args:
        error: what pydantic raised.
        model: the model that was asked.
        document: where the data was read from.
        path: of the data in the document.
    """
    return first_problems(_problem(details, model, document, path) for details in error.errors())


def unknown_key(document: Document, path: Path, known: Iterable[str], owner: str) -> Problem:
    """The problem of a key that its block does not have; `owner` names the block."""
    key = str(path[-1])
    close = nearest(key, tuple(known))
    hint = f"did you mean `{close}`?" if close else f"known here: {', '.join(known)}"
    return Problem(
        f"`{dotted((key,))}` is not a key of {owner}", document.where(path, key=True), hint
    )


def refusal(document: Document, path: Path, value: Any, expected: str, hint: str) -> Problem:
    """The problem of a value that is not what its key takes."""
    name = dotted(path[-2:] if isinstance(path[-1], int) else path[-1:]) if path else "the manifest"
    subject = f"`{name}`" if path else name
    written = document.written(path)
    found = described(value)
    if isinstance(value, float | int) and not isinstance(value, bool) and expected == "a text":
        return _unquoted(document, path, value, subject)
    if isinstance(value, bool) and expected == "a text":
        return _unquoted(document, path, written or str(value).lower(), subject)
    return Problem(f"{subject} is {found}, expected {expected}", document.where(path), hint)


def _unquoted(document: Document, path: Path, value: Any, subject: str) -> Problem:
    """A text that YAML reads as something else for want of quotes: `version: 3.10` is 3.1."""
    written = document.written(path) or str(value)
    found = described(value) if not isinstance(value, str) else value
    reading = (
        f" (as `{shortened(written)}` without quotes is read)" if written != str(value) else ""
    )
    return Problem(
        f"{subject} is {found}{reading}, expected a text",
        document.where(path),
        f'put it in quotes: {path[-1]}: "{shortened(written)}"'
        if path and isinstance(path[-1], str)
        else f'put it in quotes: "{shortened(written)}"',
    )


def _problem(
    details: ErrorDetails, model: type[BaseModel], document: Document, base: Path
) -> Problem:
    kind = details["type"]
    # A mapping whose key itself is refused adds "[key]" to the location.
    about_key = details["loc"][-1:] == ("[key]",)
    inner = details["loc"][:-1] if about_key else details["loc"]
    path = (*base, *inner)
    context = details.get("ctx") or {}
    if about_key:
        return _refused_key(document, path, context)
    if kind == "extra_forbidden":
        owner = f"`{dotted(path[:-1])}`" if path[:-1] else "the manifest"
        return unknown_key(document, path, _fields(model, inner[:-1]), owner)
    if kind == "missing":
        holder = f"`{dotted(path[:-1])}`" if path[:-1] else document.file
        hint = _MISSING.get(str(inner[-1])) or _SCHEMA_HINT
        return Problem(f"`{path[-1]}` is missing in {holder}", document.where(path), hint)
    if kind == REFUSED:
        return refusal(document, path, details["input"], context["expected"], context["hint"])
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        expected = f"{words} {context[name]:g}"
        return refusal(document, path, details["input"], expected, _SCHEMA_HINT)
    expected = EXPECTED.get(kind, "what the schema says")
    return refusal(
        document, path, details["input"], expected, _type_hint(expected, details["input"])
    )


def _refused_key(document: Document, path: Path, context: Mapping[str, Any]) -> Problem:
    expected = context.get("expected", "a text")
    return Problem(
        f"`{dotted(path[-1:])}` cannot be a name here, expected {expected}",
        document.where(path, key=True),
        context.get("hint", _SCHEMA_HINT),
    )


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The keys of the block at `path` inside `model`, found by following its annotations."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is None:
            return []
        field = current.model_fields.get(str(part))
        if field is not None:
            current = _model_in(field.annotation)
        # Otherwise `part` is an entry's name in a mapping of blocks: the model stays.
    return list(current.model_fields) if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None


def _type_hint(expected: str, found: Any) -> str:
    if expected in ("a number", "a whole number") and isinstance(found, str):
        return "write the number alone, without quotes and unit"
    if expected == "true or false":
        return "write true or false without quotes"
    return _SCHEMA_HINT
