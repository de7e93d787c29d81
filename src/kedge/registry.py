"""Kinds: how a word in a definition (`sandbox`, `python`) finds its class, also one from a plug-in.

A room declares its base class once; after that, a class body is enough:

    executors: Registry["Executor"] = Registry("executor", "kedge.executor", {"process": "kedge…"})

    class Executor(Registered, registry=executors): ...

    class Mine(Executor):
        kind = "mine"          # registered from here on

Built-in kinds are a table of modules, imported when asked for. Kinds of other distributions are entry
points named like the kind; they are looked for once, when a kind is asked for that nothing else answers
to, since `importlib.metadata` costs as much to import as the whole of a short run.
"""

import re
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

from kedge.errors import PluginError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_KIND = re.compile(r"[a-z][a-z0-9_-]*\Z")


class UnknownKindError(PluginError):
    """A kind that neither Kedge nor any installed plug-in answers to."""

    code = "plugin-unknown"


class DuplicateKindError(PluginError):
    """One kind, two classes that claim it."""

    code = "plugin-duplicate"


class AbstractKindError(PluginError):
    """A kind whose class leaves out what a class of that sort must have."""

    code = "plugin-abstract"


class BrokenPluginError(PluginError):
    """A plug-in that could not be loaded; `traceback` is what its import said, None if it imported."""

    code = "plugin-broken"

    def __init__(self, message: str, *, hint: str, traceback: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.traceback = traceback


class FinalMethodError(PluginError, TypeError):
    """A class that overrides a method which is not for subclasses."""

    code = "plugin-final"


class Plugin:
    """One entry point that was found: its kind, its group, where it is from, what is wrong with it."""

    __slots__ = ("group", "kind", "origin", "problem")

    def __init__(self, kind: str, group: str, origin: str, problem: PluginError | None) -> None:
        self.kind = kind
        self.group = group
        self.origin = origin
        self.problem = problem

    def __repr__(self) -> str:
        return f"Plugin({self.kind!r}, {self.group!r}, {self.origin!r}, {self.problem!r})"


@final
class Registry[T]:
    """The kinds of one sort of object.

    Args:
        noun: what a member is called in messages (`executor`).
        group: the entry-point group of plug-ins (`kedge.executor`).
        builtin: kind → module, for those that come with Kedge.
    """

    def __init__(self, noun: str, group: str, builtin: Mapping[str, str]) -> None:
        self.noun = noun
        self.group = group
        self._builtin = dict(builtin)
        self._classes: dict[str, type[T]] = {}
        self._abstract: dict[str, type[T]] = {}
        self._origins: dict[str, str] = {}
        self._found: dict[str, list[EntryPoint]] | None = None
        self._broken: dict[str, PluginError] = {}
        self._loading: str | None = None
        self._lock = threading.RLock()

    def register(self, cls: type[T]) -> None:
        """Take `cls` in under its own `kind`; a class without one, or an abstract one, stays out.

        A class of the same module and name replaces the earlier one, as when a notebook's cell or a
        reloaded module defines it again.

        Raises:
            DuplicateKindError: the kind belongs to another class.
            BrokenPluginError: the kind is not a word (`a-z`, then `a-z 0-9 _ -`).
        """
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        if not isinstance(kind, str) or not _KIND.match(kind):
            raise BrokenPluginError(
                f"{kind!r} is not a kind that {self._describe(cls)} can have",
                hint='a kind is a short word in lower case, such as kind = "slurm"',
            )
        with self._lock:
            if _abstract_methods(cls):
                if kind not in self._classes:
                    self._abstract[kind] = cls
                return
            self._refuse_double(kind, cls)
            self._abstract.pop(kind, None)
            self._classes[kind] = cls
            if self._loading is not None and kind not in self._builtin:
                self._origins[kind] = self._loading

    def unregister(self, kind: str) -> None:
        """Forget the class of `kind`, unless it comes with Kedge; an unknown one is no error."""
        if kind in self._builtin:
            return
        with self._lock:
            for table in (self._classes, self._abstract, self._origins, self._broken):
                table.pop(kind, None)

    def get(self, kind: str) -> type[T]:
        """The class of `kind`.

        Raises:
            UnknownKindError: nothing answers to it; names the nearest that there is.
            DuplicateKindError: two plug-ins claim it.
            AbstractKindError: its class leaves something out.
            BrokenPluginError: its plug-in could not be loaded.
        """
        with self._lock:
            found = self._classes.get(kind)
            if found is not None:
                return found
            if kind in self._builtin:
                import_module(self._builtin[kind])
                return self._classes[kind]
            if kind not in self._abstract and self._entry_points().get(kind):
                return self._load(kind)
            if kind in self._abstract:
                raise self._is_abstract(kind)
            near = nearest(kind, self.kinds())
            raise UnknownKindError(
                f"there is no {self.noun} of kind {kind!r}",
                hint=f"did you mean {near!r}? " * bool(near)
                + f"known kinds: {', '.join(self.kinds())}; a plug-in adds one by installing it",
            )

    def kinds(self) -> list[str]:
        """Every kind there is, by name, without loading any."""
        with self._lock:
            return sorted({*self._builtin, *self._classes, *self._entry_points()})

    def origin(self, kind: str) -> str:
        """Where the class of a loaded `kind` came from, for people."""
        return self._describe(self.get(kind))

    def unclaimed(self) -> list[str]:
        """Every kind that is there without its plug-in: it comes with Kedge, or was just written as a class."""
        with self._lock:
            return sorted({*self._builtin, *(self._classes.keys() - self._entry_points().keys())})

    def plugins(self) -> list[Plugin]:
        """Every plug-in of this sort, loaded to see whether it works; a broken one harms no other."""
        with self._lock:
            found = []
            for kind, points in sorted(self._entry_points().items()):
                for point in sorted(points, key=_describe_point):
                    place, problem = _describe_point(point), None
                    try:
                        if kind in self._builtin:
                            raise self._double_of_builtin(kind, place)
                        self.get(kind)
                    except PluginError as error:
                        problem = error
                    found.append(Plugin(kind, self.group, place, problem))
            unreadable = [kind for kind in self._broken if kind.startswith("distribution ")]
            found += [Plugin("", self.group, name, self._broken[name]) for name in unreadable]
            return found

    def _entry_points(self) -> "dict[str, list[EntryPoint]]":
        if self._found is None:
            self._found = _find_entry_points(self.group, self._broken)
        return self._found

    def _load(self, kind: str) -> type[T]:
        if kind in self._broken:
            raise self._broken[kind]
        points = self._entry_points()[kind]
        place = _describe_points(points)
        try:
            if len(points) > 1:
                raise self._double(kind, *(_describe_points([one]) for one in points[:2]))
            self._loading, before = place, self._loading
            try:
                points[0].load()
            finally:
                self._loading = before
            if kind in self._abstract and kind not in self._classes:
                raise self._is_abstract(kind)
            if kind not in self._classes:
                raise BrokenPluginError(
                    f"{place} was loaded but brings no {self.noun} of kind {kind!r}",
                    hint=f"the entry point's name must be the kind of the {self.noun} it loads",
                )
        except PluginError as error:
            self._broken[kind] = error
            raise
        except BaseException as error:
            if not isinstance(error, Exception | SystemExit):
                raise
            self._broken[kind] = _could_not_load(f"the {self.noun} {kind!r}", place, error)
            raise self._broken[kind] from error
        return self._classes[kind]

    def _refuse_double(self, kind: str, cls: type[T]) -> None:
        owner = self._builtin.get(kind)
        if owner is not None and cls.__module__ != owner:
            raise self._double_of_builtin(kind, self._describe(cls))
        other = self._classes.get(kind)
        if other is not None and _identity(other) != _identity(cls):
            raise self._double(kind, self._describe(other), self._describe(cls))

    def _double_of_builtin(self, kind: str, other: str) -> DuplicateKindError:
        return self._double(kind, f"{self._builtin[kind]}, which comes with Kedge", other)

    def _double(self, kind: str, one: str, other: str) -> DuplicateKindError:
        return DuplicateKindError(
            f"the {self.noun} kind {kind!r} is claimed twice: by {one} and by {other}",
            hint="give one of them another kind, or uninstall the plug-in that is not wanted",
        )

    def _is_abstract(self, kind: str) -> AbstractKindError:
        cls = self._abstract[kind]
        return AbstractKindError(
            f"the {self.noun} kind {kind!r} is abstract: {self._describe(cls)} does not define"
            f" {', '.join(_abstract_methods(cls))}",
            hint="define what is missing, or leave `kind` out of a class that others build on",
        )

    def _describe(self, cls: type[T]) -> str:
        module = sys.modules.get(cls.__module__)
        file = getattr(module, "__file__", None)
        text = f"{cls.__module__}.{cls.__qualname__}"
        text += f" ({file})" if file else ""
        came = self._origins.get(str(cls.__dict__.get("kind"))) or self._loading
        return f"{text} of {came}" if came else text


class Registered:
    """Base of a room's base class: its subclasses register by being written.

    A method that the room's classes mark with `typing.final` cannot be overridden, also not through a
    mixin: the class statement fails.
    """

    registry: ClassVar[Registry[Any]]
    kind: ClassVar[str]

    def __init_subclass__(cls, registry: Registry[Any] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if registry is not None:
            cls.registry = registry
            return
        _refuse_overrides(cls)
        cls.registry.register(cls)


def _refuse_overrides(cls: type) -> None:
    for base in reversed(cls.__mro__[1:]):
        for name, method in vars(base).items():
            if not getattr(method, "__final__", False):
                continue
            if (now := getattr(cls, name)) is not method:
                raise FinalMethodError(
                    f"{cls.__module__}.{cls.__qualname__} overrides {name}(), which is final in"
                    f" {base.__module__}.{base.__qualname__}"
                    + (
                        ""
                        if name in vars(cls)
                        else f" (through {getattr(now, '__qualname__', now)})"
                    ),
                    hint=f"write _{name}() instead, or a middleware to act around it",
                )


def _abstract_methods(cls: type) -> list[str]:
    # Not cls.__abstractmethods__: ABCMeta fills that in only after __init_subclass__ has run.
    names = {name for base in cls.__mro__ for name in vars(base)}
    return sorted(
        name for name in names if getattr(getattr(cls, name, None), "__isabstractmethod__", False)
    )


def _identity(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _describe_points(points: "list[EntryPoint]") -> str:
    return " and ".join(_describe_point(point) for point in points)


def _describe_point(point: "EntryPoint") -> str:
    made = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"
    return f"entry point {point.value!r} of {made}"


def _find_entry_points(group: str, broken: dict[str, PluginError]) -> "dict[str, list[EntryPoint]]":
    # Not importlib.metadata.entry_points(): one unreadable distribution would hide all the others.
    from importlib.metadata import distributions

    found: dict[str, list[EntryPoint]] = {}
    seen: set[str] = set()
    for distribution in distributions():
        place = "distribution at " + str(getattr(distribution, "_path", "an unknown place"))
        try:
            name = cast(Callable[[], str | None], lambda one=distribution: one.metadata["Name"])()
            key = re.sub(r"[-_.]+", "-", name or place).lower()
            if key in seen:
                continue  # an older copy further down sys.path, which an import would not see either
            seen.add(key)
            for point in distribution.entry_points:
                if point.group == group:
                    found.setdefault(point.name, []).append(point)
        except Exception as error:  # noqa: BLE001 - kept, and shown by `plugins()`
            broken[place] = _could_not_load("the plug-ins", place, error)
    return found


def _could_not_load(what: str, place: str, error: BaseException) -> BrokenPluginError:
    import traceback

    return BrokenPluginError(
        f"{what} of {place} could not be loaded: {type(error).__name__}: {error}",
        hint="`kedge plugins` shows the traceback; update or uninstall that distribution",
        traceback="".join(traceback.format_exception(error)),
    )
