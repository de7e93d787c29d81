"""Exceptions that were raised in a runtime and are raised again here."""

from typing import Final

_TITLE: Final = "RemoteTraceback:"


def with_traceback(error: Exception, traceback: str, hint: str | None) -> Exception:
    """The exception, with where it was raised and what to do as notes."""
    error.__traceback__ = None
    error.add_note(f"{_TITLE}\n{traceback.rstrip()}")
    if hint:
        error.add_note(f"hint: {hint}")
    return error


def is_remote(error: BaseException) -> bool:
    """Whether an exception was raised in a runtime."""
    return any(note.startswith(_TITLE) for note in getattr(error, "__notes__", ()))
