"""The function that an author wrote, below what was made of it."""

import inspect
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any


def authored(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below wrappers (`functools.wraps`), partial functions and methods.

    Its file, module and kind are what counts; what is called is still what was given.

    >>> authored(partial(int, base=2)) is int
    True
    """
    while (below := _below(function)) is not function:
        function = below
    return function


def _below(function: Callable[..., Any]) -> Callable[..., Any]:
    found: Callable[..., Any] = inspect.unwrap(function)
    if isinstance(found, partial):
        return found.func
    if isinstance(found, MethodType | staticmethod):
        return found.__func__
    return found
