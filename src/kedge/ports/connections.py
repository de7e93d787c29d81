"""Whether what one port gives is what another takes, why not, and what happens to it on the way.

The rule: two types connect when one is an ancestor of the other (`Numeric` over `Integer` and `Float`,
`Float` over the quantities, `Any` over all that travels as a value), element by element and field by
field. `Integer` goes into `Float`; `Float` does not go into `Integer`. Units of one dimension convert.
"""

from typing import Any, Final

from kedge.data import Data
from kedge.errors import UnitError
from kedge.ports.catalogue import ALIASES, QUANTITIES, TORSOR_FIELDS, Schema, array_parts
from kedge.ports.conversion import Conversion, Each, Fields
from kedge.ports.shapes import (
    alternatives,
    choices_of,
    element_schema,
    extensions_of,
    field_schemas,
    form,
    kind_of,
    nominal,
    unit_of,
)
from kedge.ports.text import format_type


class Connection(Data):
    """The answer about one edge.

    `reason` says why it is refused and `path` where inside the type (`force[]`); both are empty when it is
    allowed. `warning` is what a strict check makes an error. `conversion` is what is done to the value.
    """

    allowed: bool
    reason: str = ""
    path: str = ""
    warning: str | None = None
    conversion: Conversion | None = None


def connect(source: Schema, target: Schema) -> Connection:
    """Whether an output `source` may feed an input `target`.

    >>> connect({"type": "number", "x-unit": "mm"}, {"type": "number", "x-unit": "m"}).conversion
    Scale(factor=(1, 1000), offset=(0, 1))

    Never raises: an unknown unit is a reason.
    """
    carried, wanted = kind_of(source), kind_of(target)
    if carried != "value" or wanted != "value":
        return _files(source, target)
    return _values(source, target, "")


def _files(source: Schema, target: Schema) -> Connection:
    carried, wanted = kind_of(source), kind_of(target)
    one_file = ("file", "array", "table")
    if carried == "value" and form(source) == "any":
        return Connection(True, warning=f"only the run shows whether it is {format_type(target)}")
    if not (
        carried == wanted
        or (carried in one_file and wanted in one_file and "file" in (carried, wanted))
    ):
        return _refused(source, target, "", _kinds(source, target))
    if carried == wanted == "array" and (reason := _arrays(source, target)):
        return _refused(source, target, "", reason)
    permitted, taken = extensions_of(source), extensions_of(target)
    if permitted and taken and not set(permitted) & set(taken):
        reason = f"it gives {_dotted(permitted)} and {_dotted(taken)} is taken"
        return _refused(source, target, "", reason)
    return Connection(True, warning=_absent(alternatives(source)[1], target))


def _values(source: Any, target: Any, path: str) -> Connection:
    if source == target:
        return Connection(True)
    given, source_null = alternatives(source)
    taken, target_null = alternatives(target)
    if len(given) == 1 and len(taken) == 1:
        found = _single(given[0], taken[0], path)
    else:
        found = _unions(given, taken, source, target, path)
    if found.allowed and source_null and not target_null and found.warning is None:
        return _with(found, _absent(source_null, target))
    return found


def _unions(given: list[Any], taken: list[Any], source: Any, target: Any, path: str) -> Connection:
    """Every alternative that is given looks for the best that is taken."""
    best = [_best([_single(one, other, path) for other in taken]) for one in given]
    fitting = [found for found in best if found.allowed]
    if not fitting:
        return _refused(source, target, path, "none of its alternatives fits")
    conversions = {found.conversion for found in fitting if found.conversion is not None}
    if len(conversions) > 1 or (conversions and _numbers(given) > 1):
        return _refused(source, target, path, "its alternatives are in different units")
    warning = next((found.warning for found in fitting if found.warning), None)
    if len(fitting) < len(best):
        warning = warning or f"only the run shows whether it is {format_type(target)}"
    return Connection(True, warning=warning, conversion=next(iter(conversions), None))


def _best(found: list[Connection]) -> Connection:
    allowed = [one for one in found if one.allowed]
    return next((one for one in allowed if one.warning is None), (allowed or found)[0])


def _numbers(schemas: list[Any]) -> int:
    return sum(form(schema) in ("number", "integer") for schema in schemas)


def _single(source: Any, target: Any, path: str) -> Connection:
    one, other = form(source), form(target)
    if other == "any":
        return Connection(True)
    if one == "any":
        return Connection(True, warning=_unmeasured(source, target))
    if "enum" in (one, other):
        return _choices(source, target, path)
    if one in ("number", "integer") and other in ("number", "integer"):
        return _numeric(source, target, path)
    if one == "list" and other == "list":
        return _lists(source, target, path)
    if one in ("struct", "dict") and other in ("struct", "dict"):
        return _objects(source, target, path)
    if {one, other} == {"string", "secret"}:
        lost = "the text is a Secret, and is shown once it goes through a plain String"
        return Connection(True, warning=lost if one == "secret" else None)
    if one == other:
        return Connection(True)
    return _refused(source, target, path, "neither is a kind of the other")


def _numeric(source: Schema, target: Schema, path: str) -> Connection:
    given, taken = nominal(source), nominal(target)
    unit, wanted = unit_of(source), unit_of(target)
    whole, whole_taken = form(source) == "integer", form(target) == "integer"
    if whole_taken and not whole and given != "Numeric":
        return _refused(source, target, path, "a Float is not a whole number")
    if unit is None and wanted is None:
        return Connection(True)
    if wanted is None:
        return Connection(True)  # upwards: the quantity becomes a plain number
    if unit is None:
        if whole and not whole_taken:
            return _refused(
                source, target, path, "an Integer is not a quantity; only a Float may become one"
            )
        return Connection(True, warning=_unmeasured(source, target))
    named = given in QUANTITIES and taken in QUANTITIES
    if named and given != taken and frozenset((given, taken)) not in ALIASES:
        return _refused(source, target, path, f"{given} and {taken} are different quantities")
    if unit == wanted:
        return Connection(True)
    from kedge.ports.units import scale

    try:
        conversion = scale(unit, wanted)
    except UnitError as error:
        return _refused(source, target, path, error.message)
    if conversion is not None and whole_taken:
        return _refused(source, target, path, "converting its unit does not leave a whole number")
    return Connection(True, conversion=conversion)


def _choices(source: Schema, target: Schema, path: str) -> Connection:
    from kedge.ports.sentences import is_valid

    given = form(source) == "enum"
    choices, other = choices_of(source if given else target), target if given else source
    fitting = [choice for choice in choices if is_valid(other, choice)]
    if not fitting:
        return _refused(source, target, path, "they have no value in common")
    return Connection(True, warning=_unmeasured(source, target))


def _lists(source: Schema, target: Schema, path: str) -> Connection:
    for most, least in ((source, target), (target, source)):
        longest, shortest = most.get("maxItems"), least.get("minItems")
        if (
            isinstance(longest, int | float)
            and isinstance(shortest, int | float)
            and longest < shortest
        ):
            reason = f"they have {longest:g} and at least {shortest:g} elements"
            return _refused(source, target, path, reason)
    inside = f"{path}[]"
    if "prefixItems" in source or "prefixItems" in target:
        count = max(len(source.get("prefixItems", ())), len(target.get("prefixItems", ())))
        each = [
            _values(element_schema(source, at), element_schema(target, at), f"{path}[{at}]")
            for at in range(count)
        ]
        refused = next((one for one in each if not one.allowed), None)
        if refused:
            return refused
        if any(one.conversion for one in each):
            return _refused(source, target, path, "its elements are in different units")
        return Connection(True, warning=next((one.warning for one in each if one.warning), None))
    found = _values(element_schema(source, 0), element_schema(target, 0), inside)
    return _with(found, found.warning, Each(found.conversion) if found.conversion else None)


def _objects(source: Schema, target: Schema, path: str) -> Connection:
    if form(target) == "dict":
        entries = target.get("additionalProperties", {})
        if form(source) == "dict":
            found = _values(
                source.get("additionalProperties", {}), entries, f"{path}.*" if path else "*"
            )
            return _with(found, found.warning, Each(found.conversion) if found.conversion else None)
        return _fields(source, dict.fromkeys(field_schemas(source), entries), {}, path)
    if form(source) == "dict":
        return _refused(source, target, path, "the keys of a dict are not known before the run")
    given, taken = field_schemas(source), field_schemas(target)
    names = _torsor_names(source, target)
    renamed = {names.get(name, name): schema for name, schema in given.items()}
    needed = target.get("required", ())
    missing = [name for name in taken if name not in renamed and name in needed]
    if missing:
        return _refused(source, target, path, f"the field {_quoted(missing)} is missing")
    if extra := [name for name in given if names.get(name, name) not in taken]:
        return _refused(source, target, path, f"the field {_quoted(extra)} is not taken")
    found = _fields(source, {name: taken[names.get(name, name)] for name in given}, names, path)
    loose = [name for name in renamed if name in needed and name in _left_out(source, names)]
    if found.allowed and found.warning is None and loose:
        return _with(found, f"the field {_quoted(loose)} may be left out", found.conversion)
    return found


def _fields(source: Schema, taken: dict[str, Any], names: dict[str, str], path: str) -> Connection:
    """Field by field; `taken` is what each of the source's fields goes into."""
    conversions: list[tuple[str, str, Conversion | None]] = []
    warning: str | None = None
    for name, schema in field_schemas(source).items():
        found = _values(schema, taken[name], f"{path}.{name}" if path else name)
        if not found.allowed:
            return found
        warning = warning or found.warning
        to = names.get(name, name)
        if found.conversion is not None or to != name:
            conversions.append((name, to, found.conversion))
    return Connection(
        True, warning=warning, conversion=Fields(tuple(conversions)) if conversions else None
    )


_LONG_FIELDS: Final = frozenset(TORSOR_FIELDS.values())


def _torsor_names(source: Schema, target: Schema) -> dict[str, str]:
    """How the source's fields are called in the target: F and M are a Torsor's force and moment."""
    given, taken = set(field_schemas(source)), set(field_schemas(target))
    if nominal(target) == "Torsor" and given == set(TORSOR_FIELDS):
        return dict(TORSOR_FIELDS)
    if nominal(source) == "Torsor" and given == _LONG_FIELDS and taken == set(TORSOR_FIELDS):
        return {name: short for short, name in TORSOR_FIELDS.items()}
    return {}


def _left_out(source: Schema, names: dict[str, str]) -> list[str]:
    always = source.get("required", ())
    return [names.get(name, name) for name in field_schemas(source) if name not in always]


def _arrays(source: Schema, target: Schema) -> str | None:
    given = array_parts(nominal(alternatives(source)[0][0]) or "Array[]")
    taken = array_parts(nominal(alternatives(target)[0][0]) or "Array[]")
    if given[0] != taken[0]:
        return f"its elements are {given[0]} and not {taken[0]}"
    if given[1] is not None and taken[1] is not None and given[1] != taken[1]:
        return f"it has {given[1]} dimensions and not {taken[1]}"
    return None


def _kinds(source: Schema, target: Schema) -> str:
    words = {
        "value": "a value",
        "file": "a file",
        "files": "a list of files",
        "folder": "a folder",
        "array": "an array file",
        "table": "a table file",
    }
    reason = f"it is {words[kind_of(source)]} and not {words[kind_of(target)]}"
    return f"{reason}; declare the input as a File" if form(target) == "any" else reason


def _unmeasured(source: Any, target: Any) -> str | None:
    unit = unit_of(target)
    if unit is None or unit_of(source) is not None:
        return None
    return f"{format_type(source)} has no unit: its numbers are taken to be in {unit}"


def _absent(may_be_null: bool, target: Any) -> str | None:
    if not may_be_null or alternatives(target)[1] or form(target) == "any":
        return None
    return f"it may be null, which {format_type(target)} does not take"


def _with(
    found: Connection, warning: str | None, conversion: Conversion | None = None
) -> Connection:
    if not found.allowed:
        return found
    return Connection(True, warning=warning, conversion=conversion or found.conversion)


def _refused(source: Any, target: Any, path: str, reason: str) -> Connection:
    return Connection(
        False, f"{format_type(source)} does not go into {format_type(target)}: {reason}", path
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _dotted(extensions: tuple[str, ...]) -> str:
    return ", ".join(f".{extension}" for extension in extensions)
