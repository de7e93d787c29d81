"""Plain data: classes whose fields are their annotations.

What `dataclasses` gives, without compiling methods for each class when it is defined: that takes more than
a millisecond a class, and a run needs fifty of them before it starts. Here one set of methods serves all, until
a class has had so many instances that one of its own is worth being compiled.
"""

from collections.abc import Callable
from typing import Any, ClassVar, cast, dataclass_transform

_PLAIN = frozenset((str, int, float, bool))
_MISSING = object()
_OFTEN = 50  # instances: compiling takes as long as it saves with so many


class _Made:
    """A default that is made anew for each instance."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field[Value](*, default_factory: Callable[[], Value]) -> Value:
    """A field's default that is made anew for each instance.

    >>> class Shelf(Data):
    ...     books: list[str] = field(default_factory=list)
    >>> Shelf().books
    []
    """
    return cast("Value", _Made(default_factory))


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Data:
    """The base of classes that hold data: each annotation is a field, the value assigned to it its default.

    Annotations of `ClassVar` are no fields. Fields are given in their order or by name. An instance cannot
    be changed (`replace` makes a changed copy) unless its class says `frozen=False`. Two are equal when they
    are of one class and their fields are equal; one that cannot be changed has a hash if its fields have.

    Raises:
        TypeError: a field is missing, is given twice, or is none of the class's.

    >>> class Point(Data):
    ...     x: float
    ...     y: float = 0.0
    >>> Point(3, y=4)
    Point(x=3, y=4)
    >>> Point(3) == Point(x=3, y=0.0)
    True
    """

    __fields__: ClassVar[tuple[str, ...]] = ()
    __names__: ClassVar[frozenset[str]] = frozenset()  # the same, to be compared with
    __defaults__: ClassVar[dict[str, Any]] = {}
    __made__: ClassVar[tuple[tuple[str, _Made], ...]] = ()  # of them, those that are
    __takes__: ClassVar[bool] = True  # no more than its fields: there is no other `__init__`
    __left__: ClassVar[int] = 0  # instances until one is compiled, 0: never

    def __init_subclass__(cls, *, frozen: bool = True, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = tuple(
            name
            for name, kind in cls.__annotations__.items()
            if getattr(kind, "__origin__", kind) is not ClassVar
        )
        cls.__fields__ = tuple(dict.fromkeys((*cls.__fields__, *own)))
        cls.__names__ = frozenset(cls.__fields__)
        type.__setattr__(cls, "__match_args__", cls.__fields__)
        given = {name: vars(cls)[name] for name in own if name in vars(cls)}
        kept = {name: one for name, one in cls.__defaults__.items() if name not in own}
        cls.__defaults__ = kept | given
        cls.__made__ = tuple(
            (name, one) for name, one in cls.__defaults__.items() if type(one) is _Made
        )
        owner = next(one for one in cls.__mro__ if "__init__" in vars(one))
        cls.__takes__ = owner is Data or (owner is not cls and getattr(owner, "__takes__", False))
        cls.__left__ = _OFTEN if cls.__takes__ else 0
        if cls.__takes__:
            type.__setattr__(cls, "__init__", Data.__init__)
        elif own:  # it hands more to one of those than that has fields
            for base in cls.__mro__[1:]:
                if issubclass(base, Data) and base.__takes__ and base is not Data:
                    base.__left__ = 0
                    type.__setattr__(base, "__init__", Data.__init__)
        if not frozen:
            cls.__setattr__ = object.__setattr__  # type: ignore[method-assign, assignment]
            cls.__delattr__ = object.__delattr__  # type: ignore[method-assign]
            cls.__hash__ = None  # type: ignore[method-assign, assignment]

    def __init__(self, *values: Any, **named: Any) -> None:
        into = vars(self)
        into.update(self.__defaults__)
        if values:
            fields = self.__fields__
            into.update(zip(fields, values, strict=False))
            twice = named and not named.keys().isdisjoint(fields[: len(values)])
            if twice or len(values) > len(fields):
                raise TypeError(_wrong(type(self), len(values), named))
        into.update(named)
        for name, default in self.__made__:
            if into[name] is default:
                into[name] = default.make()
        if into.keys() != self.__names__:
            raise TypeError(_wrong(type(self), len(values), named))
        if (left := self.__left__) > 0:
            kind = type(self)
            kind.__left__ = left - 1
            if left == 1 and vars(kind)["__init__"] is Data.__init__:
                type.__setattr__(kind, "__init__", _compiled(kind))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"`{name}` cannot be set: {type(self).__name__} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"`{name}` cannot be deleted: {type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__fields__))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__fields__)
        return f"{type(self).__qualname__}({fields})"


def replace[Kind: Data](data: Kind, **changes: Any) -> Kind:
    """A copy of `data` in which some fields are others.

    >>> class Size(Data):
    ...     width: int
    ...     height: int = 1
    >>> replace(Size(1), height=3)
    Size(width=1, height=3)
    """
    kind = type(data)
    if not kind.__takes__:
        return kind(**{**vars(data), **changes})
    if not changes.keys() <= kind.__names__:
        raise TypeError(_wrong(kind, 0, {**vars(data), **changes}))
    made = object.__new__(kind)
    vars(made).update(vars(data), **changes)
    return made


def asdict(data: Data) -> dict[str, Any]:
    """The fields by name, and the same for all data within them, in lists, tuples and dictionaries too."""
    return {name: _plain(getattr(data, name)) for name in data.__fields__}


def _plain(value: Any) -> Any:
    if value is None or type(value) in _PLAIN:  # most are
        return value
    if isinstance(value, Data):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [*map(_plain, value)] if isinstance(value, list) else tuple(map(_plain, value))
    return value


def _compiled(kind: type[Data]) -> Callable[..., None]:
    """The same `__init__` for one class alone, which says what is wrong in the same words."""
    fields = kind.__fields__
    needed = [name for name in fields if name not in kind.__defaults__]
    known: dict[str, Any] = {"__kind": kind, "__missing": _MISSING, "__refused": _refused}
    taken, put = [], []
    for name in fields:
        known[f"__of_{name}"] = kind.__defaults__.get(name, _MISSING)
        taken.append(f"{name}=__of_{name}")
        made = f" if {name} is not __of_{name} else __of_{name}.make()"
        put.append(f"__into[{name!r}] = {name}" + made * (type(known[f"__of_{name}"]) is _Made))
    wrong = ["__more", "__rest", *(f"{name} is __missing" for name in needed)]
    exec(  # noqa: S102 - of names of fields alone
        f"""def __init__({", ".join(("__self", *taken, "*__more", "**__rest"))}):
    if {" or ".join(wrong)}:
        raise __refused(__kind, ({" ".join(f"{name}," for name in fields)}), __more, __rest)
    __into = __self.__dict__
    {"; ".join(put) or "pass"}
""",
        known,
    )
    compiled: Callable[..., None] = known["__init__"]
    return compiled


def _refused(
    kind: type[Data], values: tuple[Any, ...], more: tuple[Any, ...], rest: dict[str, Any]
) -> TypeError:
    fields = kind.__fields__
    if more:
        return TypeError(_wrong(kind, len(fields) + len(more), rest))
    given = {name: one for name, one in zip(fields, values, strict=True) if one is not _MISSING}
    return TypeError(_wrong(kind, 0, given | rest))


def _wrong(kind: type[Data], given: int, named: dict[str, Any]) -> str:
    fields = kind.__fields__
    optional = kind.__defaults__.keys()
    twice = [name for name in fields[:given] if name in named]
    unknown = [name for name in named if name not in fields]
    missing = [name for name in fields[given:] if name not in named and name not in optional]
    found = (
        f"{given} given where there are {len(fields)}" if given > len(fields) else "",
        f"given twice: {', '.join(twice)}" if twice else "",
        f"no such field: {', '.join(unknown)}" if unknown else "",
        f"missing: {', '.join(missing)}" if missing else "",
    )
    return f"{kind.__qualname__}: {'; '.join(one for one in found if one)}"
