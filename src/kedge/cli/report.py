"""Words and JSON on the two streams: data on standard output, everything else on standard error."""

import json
import sys
from typing import Any

import click

from kedge.cli.text import ACTING, indented, printable
from kedge.errors import KedgeError, Problem, RunFailed, Unavailable, UsageError


class ReaderGoneError(Exception):
    """Nobody reads standard output any more.

    In place of BrokenPipeError, which click answers itself, as if the command had failed.
    """


class OutputRefused(Unavailable):
    """Standard output takes nothing: neither the answer nor, in JSON, what was wrong."""


def wants_json(words: list[str]) -> bool:
    """Whether the command line asked for JSON; needed before, or although, it could be parsed."""
    if "--" in words:
        words = words[: words.index("--")]
    return "--json" in words


def write_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    # Escapes of JSON's own where the stream is not UTF-8: those of `write_text` are not JSON.
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    text = json.dumps(document, ensure_ascii=plain, indent=2, allow_nan=False)
    write_text(ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def write_text(text: str) -> None:
    """Lines on standard output; what the stream cannot show, or would act upon, is escaped."""
    write_bytes((printable(text) + "\n").encode(sys.stdout.encoding or "ascii", "backslashreplace"))


def write_bytes(data: bytes) -> None:
    """Bytes of anything on standard output, as they are."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except OSError as error:
        raise OutputRefused(
            f"standard output cannot be written: {error.strerror}",
            hint="what was to be printed is on record: `kedge show last`",
        ) from error


def say(text: str) -> None:
    """Lines for a person on standard error; what it cannot show, or would act upon, is escaped."""
    safe_stderr((printable(text) + "\n").encode(sys.stderr.encoding or "ascii", "backslashreplace"))


def safe_stderr(data: bytes) -> None:
    """Bytes of anything on standard error, as they are; a stream that takes nothing is no error."""
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
    except (OSError, ValueError):
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
        say(f"error[{error.code}]: {indented(problem.message)}")
        _write_place(problem)
    if isinstance(error, RunFailed) and error.run_id:
        say(f"  run: {error.run_id}")


def _write_place(problem: Problem) -> None:
    if problem.where is not None:
        say(f"  at {indented(str(problem.where))}")
    if problem.hint:
        say(f"hint: {indented(problem.hint)}")
