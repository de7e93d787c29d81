"""Writes docs/reference/api.md anew from the docstrings of what `import kedge` gives.

./kedge python scripts/reference.py
"""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kedge
from kedge.data import Data

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.md"

HEAD = """\
# Python

Everything that `import kedge` gives, by what it is for. This page is made from the docstrings: `scripts/reference.py`
writes it. Each example runs by itself, in a folder in which Kedge's `examples` are.

"""

# A section, and the modules that its names are from; the last takes what no other does.
SECTIONS = {
    "Tasks": ("kedge.client.task",),
    "Functions and packages": ("kedge.client",),
    "Inside a run": ("kedge",),
    "Ports": ("kedge.contract", "kedge.task"),
    "Runtimes": ("kedge.runtime",),
    "Executors and targets": ("kedge.executor", "kedge.target"),
    "Middleware": ("kedge.middleware", "kedge.run.performing"),
    "Texts of plug-ins": ("kedge.translation",),
    "Errors": ("kedge.errors",),
    "Others": (),
}

_PARTS = {"Args": "Parameters", "Returns": "Returns", "Raises": "Raises"}
_WIDTH = 100  # of a signature on one line
_MODULE = re.compile(r"\b(?!os\.)(?:\w+\.)+(?=\w)")  # before a name, but for those of `os`


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """The page as Markdown."""
    by_section: dict[str, list[str]] = {title: [] for title in SECTIONS}
    for name in sorted(kedge.__all__, key=str.lower):
        by_section[_section(name)].append(name)
    text = HEAD
    for title, names in by_section.items():
        if names:
            text += f"## {title}\n\n" + "\n".join(map(_entry, names)) + "\n"
    return text.rstrip("\n") + "\n"


def parameters(thing: Any) -> list[inspect.Parameter]:
    """What a public function or class takes, without `self`."""
    if isinstance(thing, type):
        making = inspect.getattr_static(thing, "__init__")
        if making in (object.__init__, BaseException.__init__):
            return []
        if issubclass(thing, Data) and thing.__takes__:
            return _fields(thing)
    return list(inspect.signature(thing).parameters.values())


def public_base(thing: Any) -> type | None:
    """The nearest base of a class that is a public name as well."""
    public = [getattr(kedge, name) for name in kedge.__all__]
    bases = thing.__mro__[1:] if isinstance(thing, type) else ()
    return next((base for base in bases if base in public), None)


def _section(name: str) -> str:
    home = getattr(getattr(kedge, name), "__module__", None) or ""
    *known, last = SECTIONS
    for title in known:
        for module in SECTIONS[title]:
            if home == module or (module != "kedge" and home.startswith(f"{module}.")):
                return title
    return last


def _entry(name: str) -> str:
    """One public name: its signature, what its docstring says, its members."""
    thing = getattr(kedge, name)
    if not callable(thing):
        return f"### `{name}`\n\n{inspect.getdoc(import_module(f'kedge.{name.strip("_")}'))}\n"
    text = f"### `{name}`\n\n{_head(name, thing)}{_said(thing)}"
    if isinstance(thing, type):
        text += _codes(thing) + "".join(_member(*found) for found in _members(thing))
    return text.rstrip("\n") + "\n"


def _head(name: str, thing: Any) -> str:
    taken, base, kin = parameters(thing), public_base(thing), ""
    if base:
        kin = f"A [`{base.__name__}`](#{base.__name__.lower()})"
        if taken == parameters(base):
            return f"{kin}{', with the same arguments' * bool(taken)}.\n\n"
        kin += ".\n\n"
    line = f"class {name}" if isinstance(thing, type) and not taken else _call(name, thing, taken)
    return f"```python\n{line}\n```\n\n{kin}"


def _call(name: str, function: Any, taken: list[inspect.Parameter]) -> str:
    """A signature with what it gives, of a function that says so."""
    line = _signature(name, taken)
    given = inspect.signature(function).return_annotation if inspect.isroutine(function) else None
    said = given not in (None, "None", inspect.Signature.empty)
    return f"{line} -> {_annotation(given)}" if said else line


def _signature(name: str, taken: list[inspect.Parameter]) -> str:
    kinds = inspect.Parameter
    words: list[str] = []
    for at, one in enumerate(taken):
        before = taken[at - 1].kind if at else None
        if before is kinds.POSITIONAL_ONLY and one.kind is not before:
            words.append("/")
        if one.kind is kinds.KEYWORD_ONLY and before not in (one.kind, kinds.VAR_POSITIONAL):
            words.append("*")
        words.append(_parameter(one))
    line = f"{name}({', '.join(words)})"
    if len(line) <= _WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def _parameter(one: inspect.Parameter) -> str:
    stars = "*" * (one.kind is one.VAR_POSITIONAL) + "**" * (one.kind is one.VAR_KEYWORD)
    text = f"{stars}{one.name}"
    if one.annotation is not one.empty:
        text += f": {_annotation(one.annotation)}"
    if one.default is not one.empty:
        text += f" = {one.default!r}" if ": " in text else f"={one.default!r}"
    return text


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _MODULE.sub("", text.strip("'\""))


def _fields(cls: type[Data]) -> list[inspect.Parameter]:
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints |= inspect.get_annotations(base)
    defaults = {
        name: value.make() if hasattr(value, "make") else value
        for name, value in cls.__defaults__.items()
    }
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(
            name, kind, annotation=hints[name], default=defaults.get(name, inspect.Parameter.empty)
        )
        for name in cls.__fields__
    ]


def _codes(cls: type) -> str:
    """What an error is told by."""
    if not issubclass(cls, kedge.KedgeError):
        return ""
    return f"`code` is `{cls.code}`, `exit_code` {cls.exit_code}.\n\n"


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Its methods and properties, and the hooks that a subclass writes; not what a public base has."""
    base = public_base(cls)
    seen = {name for one in (base.__mro__ if base else ()) for name in vars(one)}
    for one in cls.__mro__:
        if one.__module__.partition(".")[0] != "kedge" or one.__name__ in ("Data", "Registered"):
            continue
        for name, member in vars(one).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            is_hook = getattr(function, "__isabstractmethod__", False)
            if name in seen or not inspect.isfunction(function):
                continue
            seen.add(name)
            if (is_hook or not name.startswith("_")) and function.__doc__:
                yield name, member


def _member(name: str, member: Any) -> str:
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    if isinstance(member, property):
        title = name
    else:
        taken = list(inspect.signature(function).parameters.values())
        taken = taken if isinstance(member, staticmethod) else taken[1:]
        title = _call(name, function, taken)
        title = f"await {title}" if inspect.iscoroutinefunction(function) else title
    return f"**`{title}`**: {_said(function)}"


def _said(thing: Any) -> str:
    """A docstring as Markdown: its sentences, its parts as lists, its example as a session."""
    text = ""
    for paragraph in (inspect.getdoc(thing) or "").split("\n\n"):
        title, _, rest = paragraph.partition(":\n")
        if title in _PARTS:
            text += f"{_PARTS[title]}:\n\n{_listed(rest)}\n"
        elif paragraph.startswith(">>>"):
            text += f"```pycon run\n{paragraph}\n```\n\n"
        else:
            text += f"{paragraph}\n\n"
    return text


def _listed(rest: str) -> str:
    """`name: text` a line, with lines that go on indented; what has no name is a sentence."""
    found = ""
    for line in inspect.cleandoc(rest).splitlines():
        if line.startswith(" "):
            found += f"  {line.strip()}\n"
            continue
        names, colon, text = line.partition(": ")
        if colon and re.fullmatch(r"[*\w]+(, [*\w]+)*", names):
            line = ", ".join(f"`{name}`" for name in names.split(", ")) + f": {text}"
        found += f"- {line}\n"
    return found


if __name__ == "__main__":
    main()
