"""Which functions of a file are decorated, by its text: nothing is imported."""

import ast
from collections.abc import Iterator
from typing import Final

_NAME: Final = "function"  # of what decorates, as `kedge.function` or imported from there


def decorated_functions(path: str) -> list[str]:
    """The names of the functions; none of a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return []
    return list(_names(tree))


def _names(tree: ast.Module) -> Iterator[str]:
    for one in tree.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in one.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if getattr(called, "attr", getattr(called, "id", None)) == _NAME:
                    yield one.name
