"""What is done later, in the context of whoever asked for it: their middleware is around it, and no one else's."""

from collections.abc import Generator
from contextvars import Context, copy_context
from typing import Any, Final

_END: Final[Any] = object()


def carried[Value](values: Generator[Value]) -> Generator[Value]:
    """The values of a generator that runs in the context (`contextvars`) of now, whoever takes them later."""
    return _carried(values, copy_context())


def _carried[Value](values: Generator[Value], context: Context) -> Generator[Value]:
    try:
        while (value := context.run(next, values, _END)) is not _END:
            yield value
    finally:
        context.run(values.close)
