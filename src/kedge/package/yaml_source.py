"""YAML read as the 1.2 core schema has it, with the place of every key and value.

PyYAML's own constructors follow YAML 1.1, where `on` is true, `1:30` is 90 and `010` is 8; so only its
parser is used here, and what a plain scalar means is decided below. Working from events keeps nesting,
aliases and duplicate keys in our hands.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from kedge.data import Data, field
from kedge.errors import ManifestError, Problem, Where
from kedge.package.document import Document, Path, Place, by_place, shortened

MAX_DEPTH: Final = 64  # no manifest nests deeper; without a bound hostile text costs quadratic time
MAX_DIGITS: Final = 400  # of one number: beyond any meaning, and Python itself refuses 4,300
MAX_VALUES: Final = 100_000  # after aliases are written out: what stops a "billion laughs" text

# The scalars of YAML 1.2's core schema, section 10.3.2. Case matters: `NULL` is null, `nuLL` is text.
_NULL: Final = re.compile(r"null|Null|NULL|~|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN: Final = re.compile(r"\.(?:nan|NaN|NAN)")

_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


def read_yaml(text: str, file: str) -> Document:
    """The document in `text`; `file` is the name that problems show.

    Raises:
        ManifestError: not YAML, more than one document, a key given twice, a tag, a text too deep or
            too large once its aliases are written out. All problems of one kind of reading at once.

    >>> read_yaml("version: 3.10", "kedge.yml").written(("version",))
    '3.10'
    """
    composer = _Composer(file, _events(text, file))
    root = composer.document()
    if composer.problems:
        raise ManifestError.of(by_place(composer.problems), file)
    expander = _Expander(file)
    if root is None:
        return Document(file, None, values={(): Place(1, 1)})
    data = expander.value(root, ())
    if expander.problems:
        raise ManifestError.of(by_place(expander.problems), file)
    return Document(file, data, expander.keys, expander.values)


class _Scalar(Data, frozen=False):
    place: Place
    value: str
    plain: bool
    tag: str | None


class _Sequence(Data, frozen=False):
    place: Place
    items: "list[_Node]" = field(default_factory=list)


class _Mapping(Data, frozen=False):
    place: Place
    entries: "list[tuple[_Scalar, _Node]]" = field(default_factory=list)


type _Node = _Scalar | _Sequence | _Mapping


def _events(text: str, file: str) -> Iterator[Event]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C where PyYAML was built with it
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        raise ManifestError(
            f"{file} holds a character that YAML does not allow: U+{_code_point(error.character):04X}",
            where=Where(file, line, column),
            hint='remove it, or write it as an escape in a text in double quotes: "\\x00"',
        ) from None


def _code_point(character: int | str | bytes) -> int:
    return character if isinstance(character, int) else ord(character)


def _syntax_error(error: yaml.MarkedYAMLError, text: str, file: str) -> ManifestError:
    mark = error.problem_mark or error.context_mark
    where = Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    character = line[mark.column] if mark and mark.column < len(line) else ""
    problem = error.problem or "it cannot be read"
    if "\t" in (character, line[:1]):
        return ManifestError(
            "a tab stands where YAML wants spaces", where=where, hint="indent with spaces"
        )
    if "cannot start any token" in problem:
        return ManifestError(
            f"a value cannot begin with `{character}` in YAML",
            where=where,
            hint=f'put it in quotes: "{shortened(line[mark.column :].strip() if mark else "")}"',
        )
    if "mapping values are not allowed" in problem:
        return ManifestError(
            f"`{shortened(line.strip())}` holds a second `:` or is indented too far",
            where=where,
            hint="put a value that holds `: ` in quotes, and align the keys of one block",
        )
    opened = error.context_mark.line + 1 if error.context_mark else None
    context = f" ({error.context} from line {opened})" if error.context and opened else ""
    return ManifestError(
        f"{file} is not YAML: {problem}{context}",
        where=where,
        hint="check the quotes, brackets and indentation here and on the line before",
    )


class _Composer:
    """Events to a graph of nodes; aliases point at the node they name."""

    def __init__(self, file: str, events: Iterator[Event]) -> None:
        self.file = file
        self.events = events
        self.problems: list[Problem] = []
        self._anchors: dict[str, _Node | None] = {}
        self._merges = 0

    def document(self) -> _Node | None:
        root: _Node | None = None
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(
                        event, f"{self.file} holds more than one YAML document", "remove the `---`"
                    )
            elif isinstance(event, NodeEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: Event, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._error(
                event, f"more than {MAX_DEPTH} blocks inside each other", "flatten it"
            )
        if isinstance(event, AliasEvent):
            return self._alias(event)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent)
        if event.anchor:
            self._anchors[event.anchor] = None  # not complete yet
        node = self._whole(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _whole(
        self, event: ScalarEvent | SequenceStartEvent | MappingStartEvent, depth: int
    ) -> _Node:
        place = _place(event)
        if isinstance(event, ScalarEvent):
            self._check_tag(event, ("str", "int", "float", "bool", "null"))
            plain = event.style is None or event.style == ""
            return _Scalar(place, event.value, plain and event.tag is None, event.tag)
        if isinstance(event, SequenceStartEvent):
            self._check_tag(event, ("seq",))
            sequence = _Sequence(place)
            while not isinstance(item := next(self.events), SequenceEndEvent):
                sequence.items.append(self._node(item, depth + 1))
            return sequence
        self._check_tag(event, ("map",))
        return self._mapping(place, depth)

    def _mapping(self, place: Place, depth: int) -> _Mapping:
        mapping = _Mapping(place)
        lines: dict[str, int] = {}
        merged: list[_Node] = []
        while not isinstance(item := next(self.events), MappingEndEvent):
            key = self._node(item, depth + 1)
            value = self._node(next(self.events), depth + 1)
            if not isinstance(key, _Scalar):
                self._note(item, "a list or mapping cannot be a key", "use a text as the key")
            elif key.value == _MERGE and key.plain:
                merged += value.items if isinstance(value, _Sequence) else [value]
            elif key.value in lines:
                self._note(
                    item,
                    f"`{shortened(key.value)}` is given twice: on line {lines[key.value]} and on "
                    f"line {key.place.line}",
                    "keep one of the two",
                )
            else:
                lines[key.value] = key.place.line
                mapping.entries.append((key, value))
        for source in merged:
            self._merge(mapping, source)
        return mapping

    def _merge(self, mapping: _Mapping, source: _Node) -> None:
        """Add what `<<: *source` brings: the keys that the mapping does not have itself."""
        if not isinstance(source, _Mapping):
            where = Where(self.file, source.place.line, source.place.column)
            hint = "write `<<: *name`, where `&name` marks a mapping"
            self.problems.append(Problem("`<<` takes a mapping, or a list of them", where, hint))
            return
        self._merges += len(source.entries)
        if self._merges > MAX_VALUES:
            raise _too_large(self.file, mapping.place)
        own = {key.value for key, _ in mapping.entries}
        mapping.entries += [entry for entry in source.entries if entry[0].value not in own]

    def _alias(self, event: AliasEvent) -> _Node:
        if event.anchor not in self._anchors:
            raise self._error(
                event,
                f"`*{event.anchor}` names no anchor",
                f"mark what it stands for with `&{event.anchor}`, further up, or put it in quotes",
            )
        node = self._anchors[event.anchor]
        if node is None:
            raise self._error(
                event, f"`*{event.anchor}` stands inside what it names", "write the value out"
            )
        return node

    def _check_tag(
        self,
        event: ScalarEvent | SequenceStartEvent | MappingStartEvent,
        allowed: tuple[str, ...],
    ) -> None:
        tag = event.tag
        if tag is not None and tag != "!" and tag not in [_TAG + name for name in allowed]:
            shown = "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
            self._note(event, f"the tag `{shortened(shown)}` means nothing here", "remove the tag")

    def _note(self, event: Event, message: str, hint: str) -> None:
        place = _place(event)
        self.problems.append(Problem(message, Where(self.file, place.line, place.column), hint))

    def _error(self, event: Event, message: str, hint: str) -> ManifestError:
        place = _place(event)
        return ManifestError(message, where=Where(self.file, place.line, place.column), hint=hint)


def _place(event: Event) -> Place:
    assert event.start_mark is not None, "the parser marks every event"
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


class _Expander:
    """The graph to plain data, aliases and merges written out, the place of everything noted."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}

    def value(self, node: _Node, path: Path) -> Any:
        if len(self.values) >= MAX_VALUES or len(path) > MAX_DEPTH:
            raise _too_large(self.file, node.place)
        self.values[path] = node.place
        if isinstance(node, _Scalar):
            blank = node.plain and not node.value
            place = self.keys.get(path, node.place) if blank else node.place
            self.values[path] = Place(place.line, place.column, node.value)
            return self._scalar(node)
        if isinstance(node, _Sequence):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
        data: dict[str, Any] = {}
        for key, value in node.entries:
            inner = (*path, key.value)
            self.keys[inner] = key.place
            data[key.value] = self.value(value, inner)
        return data

    def _scalar(self, node: _Scalar) -> Any:
        try:
            return _resolved(node)
        except ValueError as error:
            where = Where(self.file, node.place.line, node.place.column)
            self.problems.append(Problem(str(error), where, "put it in quotes to make it a text"))
            return None


def _too_large(file: str, place: Place) -> ManifestError:
    return ManifestError(
        f"{file} is too large or too deep once its aliases are written out: more than "
        f"{MAX_VALUES:,} values, or more than {MAX_DEPTH} blocks inside each other",
        where=Where(file, place.line, place.column),
        hint="use fewer aliases (`*name`)",
    )


def _resolved(node: _Scalar) -> str | int | float | bool | None:
    """What a scalar means; ValueError when its tag and text do not fit each other."""
    text = node.value
    if node.tag is None and not node.plain:
        return text
    tag = (node.tag or "").removeprefix(_TAG)
    if tag in ("str", "!"):
        return text
    if _NULL.fullmatch(text) and tag in ("", "null"):
        return None
    if _BOOL.fullmatch(text) and tag in ("", "bool"):
        return text[0] in "tT"
    if tag in ("", "int", "float") and (number := _number(text)) is not None:
        return float(number) if tag == "float" else number
    if tag:
        raise ValueError(f"`{shortened(text)}` is not what its tag `!!{tag}` says")
    return text


def _number(text: str) -> int | float | None:
    if len(text) > MAX_DIGITS and (_INT.fullmatch(text) or text.startswith(("0o", "0x"))):
        raise ValueError(f"`{shortened(text)}` has too many digits")
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(infinite[1] + "inf")
    if _NAN.fullmatch(text):
        return float("nan")
    return None
