"""The schema validator, and its findings as sentences about the port."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from kedge.errors import Problem, Where, nearest
from kedge.ports.plain import plainly_valid
from kedge.ports.shapes import field_schemas, holds_secret, present, unit_of
from kedge.ports.wording import Place, expected, first_problems, listed, path_text, shown

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

# Parts of a value: were each of them wrong, all would be said in half a second.
_LARGE: Final = 10_000

_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
}
_EXPECTED_FORMATS: Final = (
    "date",
    "date-time",
    "duration",
)  # which `expected` says with an example
_SIZES: Final = {
    "minItems": ("items", "at least"),
    "maxItems": ("items", "at most"),
    "minLength": ("characters", "at least"),
    "maxLength": ("characters", "at most"),
    "minProperties": ("entries", "at least"),
    "maxProperties": ("entries", "at most"),
}


def is_valid(schema: Any, value: Any) -> bool:
    """Whether a JSON value follows a schema."""
    return plainly_valid(schema, value) or bool(validator(schema).is_valid(value))


def validator(schema: Any) -> "Draft202012Validator":
    """The validator of a schema. It knows ISO dates as Kedge reads them, and never fetches anything.

    Raises jsonschema_rs.ValidationError when the schema itself is not valid.
    """
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(
        schema,
        validate_formats=True,
        formats={"date": _is_date, "date-time": _is_date_time, "duration": _is_duration},
        retriever=_refuse_to_fetch,
    )


def findings(schema: Any, value: Any, place: Place, failed: set[Place]) -> list[Problem]:
    """Everything about `value` that does not follow `schema`, outside the places already known to fail."""
    if plainly_valid(schema, value):
        return []
    hidden = holds_secret(schema)
    return first_problems(
        problem
        for error in _errors(schema, value)
        for problem, where in _explained(error, schema, place, hidden)
        if not any(where[: len(known)] == known for known in failed)
    )


def _errors(schema: Any, value: Any) -> "Iterable[ValidationError]":
    """What the validator finds; of a large value the first alone, for it makes all of them at once."""
    from jsonschema_rs import ValidationError

    judge = validator(schema)
    if not _is_large(value):
        return judge.iter_errors(value)
    try:
        judge.validate(value)
    except ValidationError as error:
        return [error]
    return []


def _is_large(value: Any) -> bool:
    waiting, parts = [value], 0
    while waiting and parts <= _LARGE:
        held = waiting.pop()
        if isinstance(held, list | dict):
            parts += len(held)
            if parts <= _LARGE:
                waiting += held.values() if isinstance(held, dict) else held
    return parts > _LARGE


def _explained(
    error: "ValidationError", schema: Any, place: Place, hidden: bool
) -> Iterator[tuple[Problem, Place]]:
    inner = list(error.instance_path)
    here = (*place, *inner)
    at, came = _walked(schema, list(error.schema_path)[:-1]), error.instance
    name = path_text(here)
    facts = error.kind.as_dict()
    keyword = error.kind.name
    if keyword in ("anyOf", "oneOf") and (alone := _alone(at, came)) is not None:
        for nested in validator(alone).iter_errors(came):
            yield from _explained(nested, alone, here, hidden)
        return
    if keyword == "additionalProperties":
        known = list(field_schemas(at))
        for extra in facts["unexpected"]:
            close = nearest(extra, known)
            hint = f"did you mean `{close}`?" if close else f"its fields are {', '.join(known)}"
            yield (
                Problem(f"`{name}` has no field `{extra}`", Where(path=f"{name}.{extra}"), hint),
                here,
            )
        return
    message, hint = _sentence(keyword, facts, at, came, hidden, error.message)
    if keyword == "required":
        name = path_text((*here, str(facts["property"])))
    yield Problem(f"`{name}` {message}", Where(path=name), hint), here


def _sentence(
    keyword: str, facts: dict[str, Any], at: Any, came: Any, hidden: bool, otherwise: str
) -> tuple[str, str]:
    what = "a value that is not shown" if hidden else shown(came)
    unit = f" {unit}" if (unit := unit_of(at)) else ""
    if keyword == "required":
        field = field_schemas(at).get(str(facts["property"]), {})
        return f"is missing; {expected(field)} is expected", "add it"
    if keyword in _BOUNDS:
        limit = shown(facts["limit"])
        bound = f"{_BOUNDS[keyword]} {limit}{unit}"
        return f"is {what}{unit}; it must be {bound}", f"give a value of {bound}"
    if keyword in _SIZES:
        things, word = _SIZES[keyword]
        fixed = isinstance(at, dict) and at.get("minItems") == at.get("maxItems")
        size = f"{'exactly' if fixed and things == 'items' else word} {facts['limit']} {things}"
        return f"has {_size(came)} {things}; {size} are expected", f"give {size}"
    if keyword == "enum":
        choices = list(at.get("enum", ())) if isinstance(at, dict) else []
        close = (
            nearest(came, [choice for choice in choices if isinstance(choice, str)])
            if isinstance(came, str)
            else None
        )
        same = [
            choice
            for choice in choices
            if isinstance(choice, str) != isinstance(came, str) and str(choice) == str(came)
        ]
        if same:
            hint = "write it as a number" if isinstance(came, str) else "write it as text"
        else:
            hint = f"did you mean `{close}`?" if close else "choose one of them"
        return f"is {what}; one of {listed(choices)} is expected", hint
    if keyword == "multipleOf":
        step = shown(facts["multiple_of"])
        return f"is {what}; a multiple of {step} is expected", f"give a multiple of {step}"
    if keyword == "pattern":
        return f"is {what}, which does not match `{facts['pattern']}`", "give text of that form"
    if keyword == "format" and at.get("format") not in _EXPECTED_FORMATS:
        return f"is {what}; text of the form `{facts['format']}` is expected", "correct it"
    if keyword in ("type", "format", "anyOf", "oneOf", "const"):
        return f"is {what}; {expected(at)} is expected", _type_hint(at, came)
    if hidden:
        return "is a value that is not shown, of the wrong kind", "see the port's schema"
    return f"is {what}: {otherwise[:200]}", "see the port's schema with `kedge inspect --json`"


def _type_hint(schema: Any, came: Any) -> str:
    inner, nullable = present(schema)
    if came is None and not nullable:
        return "leave it out if it is not required, or give a value"
    match inner.get("type") if isinstance(inner, dict) else None:
        case "boolean":
            return "write true or false"
        case "string" if not isinstance(came, str):
            return "put it in quotes"
        case "array":
            return "write a JSON list: [1, 2, 3]"
        case "object":
            return 'write a JSON object: {"a": 1}'
        case "number" | "integer" if isinstance(came, str):
            return "give a number, without quotes"
    return f"give {expected(schema)}"


def _alone(schema: Any, came: Any) -> Any:
    """The one alternative a value can have been meant for: what is left once null is set aside."""
    if came is None or not isinstance(schema, dict):
        return None
    inner, _ = present({key: schema[key] for key in ("anyOf", "oneOf") if key in schema})
    return None if inner == {} or (isinstance(inner, dict) and "anyOf" in inner) else inner


def _walked(schema: Any, path: list[Any]) -> Any:
    for part in path:
        try:
            schema = schema[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return schema


def _size(value: Any) -> int | str:
    return len(value) if isinstance(value, str | list | dict) else "?"


def _is_date(text: str) -> bool:
    from kedge.ports.moments import is_iso

    return is_iso("date", text)


def _is_date_time(text: str) -> bool:
    from kedge.ports.moments import is_iso

    return is_iso("date-time", text)


def _is_duration(text: str) -> bool:
    from kedge.ports.moments import is_iso

    return is_iso("duration", text)


def _refuse_to_fetch(address: str) -> Any:
    raise ValueError(f"`{address}` is not fetched: a port's schema stands by itself")
