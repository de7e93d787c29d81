"""Handlers that are functions once unwrapped."""

import functools

import kedge


def log(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        print("called")
        return function(*args, **kwargs)

    return wrapper


@functools.lru_cache(maxsize=None)
def cached(x: int) -> int:
    return x + 1


@log
def logged(x: int) -> int:
    return x + 2


@kedge.function
def marked(x: int) -> int:
    return x + 3
