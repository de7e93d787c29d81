"""Dates, times and durations: ISO 8601 text on the wire, Python's objects at the edges."""

import re
from datetime import date, datetime, timedelta
from typing import Any, Final

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*", re.ASCII)
_DURATION: Final = re.compile(
    r"[+-]?P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)", re.ASCII
)


def iso_text(kind: str, value: Any) -> str | None:
    """`value` as the ISO text of `kind` (`date`, `date-time`, `duration`), None when it is not one.

    Text comes back in the one spelling that every Python from 3.8 up reads.

    >>> iso_text("date-time", "2024-05-01T12:00Z")
    '2024-05-01T12:00:00+00:00'
    """
    if isinstance(value, str):
        return _from_text(kind, value)
    if kind == "date" and isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if kind == "date-time" and isinstance(value, datetime):
        return value.isoformat()
    if kind == "duration" and isinstance(value, timedelta):
        return _duration_text(value)
    return None


def is_iso(kind: str, text: str) -> bool:
    """Whether `text` is ISO text of that kind."""
    return _from_text(kind, text) is not None


def _from_text(kind: str, text: str) -> str | None:
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat() if _DATE.fullmatch(text) else None
        if kind == "date-time":
            return datetime.fromisoformat(text).isoformat() if _DATE_TIME.fullmatch(text) else None
    except ValueError:
        return None
    return text if _DURATION.fullmatch(text) else None


def _duration_text(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = f"{value.seconds}.{value.microseconds:06d}".rstrip("0").rstrip(".")
    if value.microseconds == 0:
        seconds = str(value.seconds)
    days = f"{value.days}D" if value.days else ""
    return f"{sign}P{days}T{seconds}S"
