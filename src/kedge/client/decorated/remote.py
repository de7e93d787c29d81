"""Exceptions that were raised in a runtime and are raised again here."""

from typing import Final

_TITLE: Final = "RemoteTraceback:"


def with_traceback(error: Exception, traceback: str, hint: str | None) -> Exception:
    """The exception, with where it was raised and what to do as notes."""
    add_note(error, f"{_TITLE}\n{traceback.rstrip()}")
    if hint:
        add_note(error, f"hint: {hint}")
    return error.with_traceback(None)


def add_note(error: Exception, text: str) -> None:
    """Add a note, whether the error's class lets attributes be set or not."""
    notes = vars(error).get("__notes__")
    known = notes if isinstance(notes, list) else []
    vars(error)["__notes__"] = [*(note for note in known if isinstance(note, str)), text]


def is_remote(error: BaseException) -> bool:
    """Whether an exception was raised in a runtime."""
    return any(note.startswith(_TITLE) for note in getattr(error, "__notes__", ()))
