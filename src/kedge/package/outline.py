"""What importing a package can execute: everything but the bodies of functions that nobody calls meanwhile.

Two packages with the same outline have the same signatures, so that a change of a line in a function is no
reason to import the package and read them again. Whatever cannot be told from the source counts as executed:
a function whose name occurs anywhere in code that an import executes, methods of classes that occur there,
special methods, decorated functions. A package whose import looks at its own source or at names that it
makes up has no outline. `parameters` tells of one function what calling it takes, just as carefully.
"""

import ast
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from kedge import digest

_MOST_BYTES: Final = 4 << 20  # of source; a larger package is imported sooner than it is read
# Decorators that call nothing: the built-in ones, and others by their modules.
_BUILT_IN: Final = frozenset({"classmethod", "property", "staticmethod"})
_PLAIN: Final[Mapping[str, frozenset[str]]] = {
    "abc": frozenset({"abstractmethod"}),
    "functools": frozenset({"cache", "lru_cache"}),
    "kedge": frozenset({"function"}),
    "typing": frozenset({"final", "override"}),
}
_OPAQUE: Final = frozenset(
    {
        "__builtins__",
        "__code__",
        "__dict__",
        "__import__",
        "__loader__",
        "__spec__",
        "ast",
        "compile",
    }
    | {"currentframe", "delattr", "dir", "dis", "eval", "exec", "gc", "getattr", "getmembers"}
    | {"getsource", "globals", "inspect", "linecache", "locals", "modules", "runpy", "setattr"}
    | {"tokenize", "tracemalloc", "vars", "_getframe"}
)

# What is executed where it stands, and may hold functions and classes.
_BLOCKS: Final = (
    ast.ExceptHandler,
    ast.For,
    ast.If,
    ast.Try,
    ast.TryStar,
    ast.While,
    ast.With,
    ast.withitem,
)

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)

type _Function = ast.FunctionDef | ast.AsyncFunctionDef


def outline(folder: str) -> str | None:
    r"""A digest of the outline of the package in `folder`; None where it has none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = []
    ...     for body in ("x + 1", "x + 2"):
    ...         with open(f"{folder}/m.py", "w") as file:
    ...             _ = file.write(f"def f(x: int):\n    return {body}\n")
    ...         found.append(outline(folder))
    >>> found[0] == found[1]
    True
    """
    others: list[tuple[str, str]] = []
    modules: dict[str, ast.Module] = {}
    read = 0
    for path, full in _files(folder):
        if not path.endswith(".py") or os.path.islink(full):
            target = f"link {os.readlink(full)}" if os.path.islink(full) else digest.of_file(full)
            others.append((path, target))
            continue
        with open(full, "rb") as file:
            source = file.read()
        read += len(source)
        if read > _MOST_BYTES:
            return None
        try:
            modules[path] = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None  # another Python's: what it calls cannot be told
    plain = _plain(modules.values(), [*modules, *(path for path, _ in others)])
    used = _Used(modules.values(), plain)
    if used.names & _OPAQUE or any(_is_opaque(path) for path, _ in others):
        return None
    try:
        outlines = {
            path: ast.dump(_Emptied(used.names, plain).visit(tree))
            for path, tree in modules.items()
        }
    except RecursionError:
        return None
    return digest.of_json(["outline", 2, others, outlines])


def parameters(folder: str, handler: str) -> set[str] | None:
    """The parameters of `module:function`, where the source leaves no doubt and all go by name; else None.

    Args:
        folder: the package's.
        handler: as in a manifest.
    """
    module, _, name = handler.partition(":")
    try:
        with open(os.path.join(folder, *module.split(".")) + ".py", "rb") as file:
            tree = ast.parse(file.read())
            nodes = list(ast.walk(tree))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    meant = [node for node in nodes if {name, "*"} & {*_defined(node), *_imported(node)}]
    here = [node for node in tree.body if node in meant]
    if len(meant) != 1 or not here or not isinstance(here[0], _FUNCTIONS):
        return None
    given = here[0].args
    if here[0].decorator_list or given.posonlyargs or given.vararg or given.kwarg:
        return None
    return {one.arg for one in (*given.args, *given.kwonlyargs)}


def _files(folder: str) -> Iterator[tuple[str, str]]:
    for inside, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name != "__pycache__")
        links = [name for name in names if os.path.islink(os.path.join(inside, name))]
        for name in sorted((*files, *links)):
            full = os.path.join(inside, name)
            yield os.path.relpath(full, folder), full


def _is_opaque(path: str) -> bool:
    """Whether it is code whose calls cannot be read."""
    return path.endswith((".so", ".pyc"))


def _plain(modules: Iterable[ast.Module], paths: Iterable[str]) -> frozenset[str]:
    """The decorators that call nothing, as they stand in the source: `cache`, `functools.cache`.

    A name that means something else anywhere in the package is none.
    """
    nodes = [node for module in modules for node in ast.walk(module)]
    own = {part.partition(".")[0] for path in paths for part in path.split(os.sep)}
    standard = {name: plain for name, plain in _PLAIN.items() if name not in own}
    found = set(_BUILT_IN)
    defined = {name for node in nodes for name in _defined(node)}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is None and alias.name in standard:
                    found |= {f"{alias.name}.{name}" for name in standard[alias.name]}
                else:
                    defined.add(alias.asname or alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            known = standard.get(node.module or "", frozenset()) if not node.level else frozenset()
            for alias in node.names:
                if alias.name == "*":
                    return frozenset()  # it may be any
                if alias.asname is None and alias.name in known:
                    found.add(alias.name)
                else:
                    defined.add(alias.asname or alias.name)
    return frozenset(name for name in found if defined.isdisjoint(name.split(".")))


def _defined(node: ast.AST) -> Collection[str]:
    """The names to which this node gives a meaning, but for what it imports."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return (name,) if isinstance(node.ctx, ast.Store) else ()
    if isinstance(node, ast.MatchMapping):
        return (node.rest or "",)
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)
    if isinstance(node, (*named, ast.MatchAs, ast.MatchStar)):
        return (node.name or "",)
    return ()


def _imported(node: ast.AST) -> Collection[str]:
    """The names that this node imports; `*` is any."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return ()


class _Used:
    """Every name that stands in code which an import executes, directly or by what it may call."""

    def __init__(self, modules: Iterable[ast.Module], plain: frozenset[str]) -> None:
        self._plain = plain
        self.names: set[str] = set()
        self._waiting: list[tuple[frozenset[str], list[ast.stmt]]] = []  # who calls it, its body
        self._aliases: list[tuple[str, str]] = []
        for module in modules:
            self._execute(module.body, ())
        self._settle()

    def _settle(self) -> None:
        changed = True
        while changed:
            changed = False
            for given, own in self._aliases:
                if given in self.names and own not in self.names:
                    self.names.add(own)
                    changed = True
            left = []
            for callers, body in self._waiting:
                if callers & self.names:
                    self._take(body)
                    changed = True
                else:
                    left.append((callers, body))
            self._waiting = left

    def _take(self, nodes: Iterable[ast.AST]) -> None:
        """All names of these nodes count, wherever they stand."""
        for top in nodes:
            for node in ast.walk(top):
                if isinstance(node, ast.Name):
                    self.names.add(node.id)
                elif isinstance(node, ast.Attribute):
                    self.names.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    self.names.update(node.value.split(".") if node.value.isascii() else ())
                elif isinstance(node, (ast.Import, ast.ImportFrom)):
                    self._import(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self._aliases.append((alias.asname or alias.name, alias.name))
            if alias.name in _OPAQUE:
                self.names.add(alias.name)

    def _execute(self, body: Iterable[ast.AST], classes: tuple[str, ...]) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._function(node, classes)
            elif isinstance(node, ast.ClassDef):
                self._take((*node.decorator_list, *node.bases, *node.keywords))
                self._execute(node.body, (*classes, node.name))
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node)
            elif isinstance(node, _BLOCKS):
                self._execute(ast.iter_child_nodes(node), classes)
            elif not _is_docstring(node):
                self._take([node])

    def _function(self, node: _Function, classes: tuple[str, ...]) -> None:
        arguments = node.args
        self._take((*node.decorator_list, *arguments.defaults))
        self._take(one for one in arguments.kw_defaults if one is not None)
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        varied = (arguments.vararg, arguments.kwarg)
        for one in (*every, *(one for one in varied if one is not None)):
            self._take([one.annotation] if one.annotation is not None else [])
        self._take([node.returns] if node.returns is not None else [])
        if _is_called(node, self._plain):
            self._take(node.body)
        else:
            self._waiting.append((frozenset({node.name, *classes}), node.body))


class _Emptied(ast.NodeTransformer):
    """Leaves of a function that is not executed its docstring, and whether it yields."""

    def __init__(self, used: set[str], plain: frozenset[str]) -> None:
        self._plain = plain
        self._used = used
        self._classes: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: _Function) -> ast.AST:
        if _is_called(node, self._plain) or {node.name, *self._classes} & self._used:
            return node
        left = [ast.get_docstring(node, clean=False), _yields(node)]
        node.body = [ast.Expr(ast.Constant(left))]  # type: ignore[arg-type]
        return node


def _is_called(node: _Function, plain: frozenset[str]) -> bool:
    """Whether an import may call it without naming it."""
    special = node.name.startswith("__") and node.name.endswith("__")
    return special or not all(_is_plain(one, plain) for one in node.decorator_list)


def _is_plain(decorator: ast.expr, plain: frozenset[str]) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(target) in plain


def _yields(node: _Function) -> bool:
    """Whether it is a generator; functions within it are others."""
    waiting: list[ast.AST] = [*node.body]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (ast.Yield, ast.YieldFrom)):
            return True
        inside: list[ast.AST] = []
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside += one.body
        elif isinstance(one, ast.Lambda):
            inside.append(one.body)
        waiting += [below for below in ast.iter_child_nodes(one) if below not in inside]
    return False


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
