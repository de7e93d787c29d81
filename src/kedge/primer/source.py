"""What a state's function is, as a text: the same after comments, moves of lines and a new start.

The text is made from compiled code, without names of files and numbers of lines, so that nothing has to be
read or parsed. Functions, classes and plain constants of the project that the code uses are part of it,
wherever they are found: in globals, closures, defaults and other modules of the project. Names that the
code uses as attributes are looked for among the globals as well, so too much may be in it.
"""

import os
import sys

from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType
    from typing import Any

PLAIN = (str, bytes, int, float, complex, type(None), type(...))  # a bool is an int
FUNCTION = type(lambda: None)
CODE = type((lambda: None).__code__)
MODULE = type(os)


def source_of(state: State, root: str) -> str:
    """One line that differs when what the state's function does may differ.

    Args:
        state: whose function it is; one that it replaces is followed too, where it is used.
        root: the project's folder. Other code is known by its name alone, but for that which stands in one
            folder with the state's own module.
    """
    code = getattr(state.function, "__code__", None)
    beside = os.path.dirname(code.co_filename) if code else None
    foreign = (sys.prefix + os.sep, os.path.join(root, ".primer", ""))

    def is_own(file: str | None) -> bool:
        if not file:
            return False
        inside = file.startswith(root + os.sep) and not file.startswith(foreign)
        return inside or os.path.dirname(file) == beside

    replaced = []
    older = state.replaces
    while older is not None:
        replaced.append(older)
        older = older.replaces
    return Walk(is_own, replaced).text(state.function)


class Walk:
    """From a function to everything of the project that it uses."""

    def __init__(self, is_own: "Callable[[str | None], bool]", replaced: list[State]) -> None:
        self.is_own = is_own
        self.replaced = replaced
        self.found: list[Any] = []  # functions and classes, in the order in which they were met
        self.numbers: dict[int, int] = {}
        self.around: list[int] = []  # containers and modules that are being described

    def text(self, function: object) -> str:
        """The function and all that it leads to."""
        first = self.described(function, ())
        parts = [self.body(one) for one in iter_growing(self.found)]
        return "; ".join([first, *parts])

    def number(self, thing: object) -> str:
        """A short name for a function or class, which is described in its turn."""
        if id(thing) not in self.numbers:
            self.numbers[id(thing)] = len(self.found)
            self.found.append(thing)
        return f"#{self.numbers[id(thing)]}"

    def body(self, thing: "Any") -> str:
        """What a function or a class of the project consists of."""
        if isinstance(thing, type):
            bases = [self.described(base, ()) for base in thing.__bases__]
            members = [
                f"{name}={self.described(value, ())}"
                for name, value in vars(thing).items()
                if type(value) is FUNCTION or not name.startswith("__")
                if not name.startswith("__annotate")
            ]
            return " ".join([*bases, *members])
        code = thing.__code__
        names = list(dict.fromkeys(names_of(code)))
        used = [
            f"{name}={self.described(thing.__globals__[name], names)}"
            for name in names
            if name in thing.__globals__
        ]
        for name, cell in zip(code.co_freevars, thing.__closure__ or (), strict=True):
            try:
                used.append(f"{name}={self.described(cell.cell_contents, names)}")
            except ValueError:  # not given a value yet
                used.append(name)
        given = self.described((thing.__defaults__, thing.__kwdefaults__), names)
        return " ".join([code_text(code, thing.__doc__), given, *used])

    def described(self, value: "Any", names: "Iterable[str]") -> str:
        """A value that code uses under one of its names."""
        if isinstance(value, PLAIN):
            return ascii(value)
        if type(value) is FUNCTION:
            if self.is_own(value.__code__.co_filename):
                return self.number(value)
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, type):
            module = sys.modules.get(value.__module__)
            own = self.is_own(getattr(module, "__file__", None))
            return self.number(value) if own else f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, State):
            follow = any(value is one for one in self.replaced)
            return self.described(value.function, names) if follow else f"state {value.name}"
        if id(value) in self.around:
            return "above"
        self.around.append(id(value))
        try:
            return self.composed(value, names)
        finally:
            self.around.pop()

    def composed(self, value: "Any", names: "Iterable[str]") -> str:
        """A value that holds others, or one that nothing is known of but its type."""
        if isinstance(value, tuple | list):
            return f"[{', '.join(self.described(one, names) for one in value)}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(self.described(one, names) for one in value))}}}"
        if isinstance(value, dict):
            return self.described([[key, value[key]] for key in value], names)
        if isinstance(value, MODULE):
            if not self.is_own(getattr(value, "__file__", None)):
                return f"module {value.__name__}"
            inside = {name: vars(value)[name] for name in names if name in vars(value)}
            return self.described(inside, names)
        if isinstance(value, os.PathLike):
            return ascii(os.fspath(value))
        kind = type(value)
        held = []  # in methods, properties, partial functions and what functools wraps
        if kind.__module__ in ("builtins", "functools"):
            parts = ("__func__", "fget", "__wrapped__", "func", "args", "keywords")
            held = [getattr(value, part) for part in parts if hasattr(value, part)]
        name = getattr(value, "__qualname__", "") if kind.__module__ == "builtins" else ""
        return f"{kind.__module__}.{kind.__qualname__} {name} {self.described(held, names)}"


def iter_growing(things: "list[Any]") -> "Iterator[Any]":
    """The members of a list, also those that are added meanwhile."""
    at = 0
    while at < len(things):
        yield things[at]
        at += 1


def names_of(code: "CodeType") -> "Iterator[str]":
    """Names that code uses, and code within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CODE):
            yield from names_of(constant)


def code_text(code: "CodeType", docstring: str | None = None) -> str:
    """What code does, without where it stands and what is said of it."""
    consts = code.co_consts
    if docstring is not None and consts and consts[0] == docstring:
        consts = consts[1:]
    shape = (
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
        code.co_code, code.co_exceptiontable,
        code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
    )  # fmt: skip
    return f"{shape!a} ({', '.join(const_text(const) for const in consts)})"


def const_text(const: object) -> str:
    """A constant of compiled code; the order in a set of texts changes from start to start."""
    if isinstance(const, CODE):
        return code_text(const)
    if isinstance(const, tuple):
        return f"({', '.join(const_text(one) for one in const)})"
    if isinstance(const, frozenset):
        return f"{{{', '.join(sorted(const_text(one) for one in const))}}}"
    return ascii(const)
