"""Words and JSON on the two streams: data on standard output, everything else on standard error."""

import json
import sys
from typing import Any

import click

from kedge.errors import KedgeError, Problem, RunFailed, UsageError


def wants_json(words: list[str]) -> bool:
    """Whether the command line asked for JSON; needed before, or although, it could be parsed."""
    if "--" in words:
        words = words[: words.index("--")]
    return "--json" in words


def write_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    write_text(text)


def write_text(text: str) -> None:
    """Lines on standard output; what the stream's encoding cannot show is escaped, never an error."""
    stream = sys.stdout
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def say(text: str) -> None:
    """A line for a person on standard error."""
    click.echo(text, err=True)


def safe_stderr(data: bytes) -> None:
    """Bytes of anything on standard error, as they are; a reader that went away is no error."""
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
    except (BrokenPipeError, ValueError):
        pass


def usage_error(error: click.ClickException) -> UsageError:
    """A wrong command line as one of Kedge's own errors."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "kedge"
    return UsageError(
        message[:1].lower() + message[1:], hint=f"`{path} --help` shows how it is used"
    )


def write_error(error: KedgeError, *, as_json: bool) -> None:
    """An error with everything it knows, as text on standard error or as JSON on standard output."""
    if as_json:
        write_json({"error": error.to_json()})
        return
    for problem in error.problems:
        say(f"error[{error.code}]: {problem.message}")
        _write_place(problem)
    if isinstance(error, RunFailed) and error.run_id:
        say(f"  run: {error.run_id}")


def _write_place(problem: Problem) -> None:
    if problem.where is not None:
        say(f"  at {problem.where}")
    if problem.hint:
        say(f"hint: {problem.hint}")


def table(rows: list[list[str]], header: list[str] | None = None) -> str:
    """Columns aligned with two spaces between them, the last one ragged.

    >>> print(table([["a", "1"], ["long", "2"]]))
    a     1
    long  2
    """
    every = ([header] if header else []) + rows
    if not every:
        return ""
    widths = [max(_width(row[column]) for row in every) for column in range(len(every[0]))]
    lines = []
    for row in every:
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    import unicodedata

    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
