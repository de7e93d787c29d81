"""What may come out of Kedge when anything at all goes in, and how everything else is shown."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from kedge.cli.report import write_error
from kedge.errors import KedgeError, Problem

LONGEST: Final = 3000  # characters of one problem's message, or hint: no one reads more

# What a person must never meet: how Python shows objects, and names of Kedge's own classes. What is
# put into cases holds none of it.
_INTERNAL: Final = re.compile(
    r"<[\w.]+ object|<(?:class|function|module) | at 0x[0-9a-f]{6}|Traceback \(most recent|"
    r"PydanticUndefined|\b(?:Where|Place|Problem|Document|Ports|Coercion|Scale|Reduced|Fraction|Decimal|"
    r"ValidationError|\w+Block|PosixPath|mappingproxy|frozenset|OrderedDict)\("
)
_ACTING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Finding(Exception):
    """Something came out that the rule does not allow."""


class _Stream(io.TextIOWrapper):
    """A standard stream that keeps what is written; UTF-8, as terminals are."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def taken(self) -> str:
        kept = self.buffer.getvalue()  # type: ignore[attr-defined]
        self.buffer.seek(0)
        self.buffer.truncate()
        return kept.decode()


_OUT, _ERR = _Stream(), _Stream()


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _OUT, _ERR
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def require(condition: object, what: str) -> None:
    """Raises Finding with `what` unless `condition` holds."""
    if not condition:
        raise Finding(what)


def judge_problems(problems: Iterable[Problem]) -> None:
    """Every problem says what is wrong and what to do, in words, of bounded length."""
    for problem in problems:
        require(problem.message and problem.message.strip(), "a problem without a message")
        require(problem.hint and problem.hint.strip(), f"no hint: {problem.message!r}")
        judge_text(problem.message)
        judge_text(problem.hint or "")
        judge_text(str(problem.where or ""))


def judge_text(shown: str) -> None:
    """A sentence for people shows no object of Python's and is not endless."""
    if (internal := _INTERNAL.search(shown)) is not None:
        raise Finding(f"shows `{internal[0]}`: {shown[:400]!r}")
    require(len(shown) <= LONGEST, f"{len(shown)} characters: {shown[:200]!r}")


def judge_error(error: KedgeError) -> None:
    """An error has a message, hints, and can be shown in every way: as text, as JSON, on a terminal."""
    require(error.problems, f"no problems in {error!r}")
    judge_problems(error.problems)
    judge_text(error.message)
    require(str(error).strip(), "an error without text")
    data = error.to_json()
    require(json.loads(json.dumps(data, allow_nan=False)) == data, "its JSON does not come back")
    with _streams():
        write_error(error, as_json=True)
        write_error(error, as_json=False)
    as_json, as_text = _OUT.taken(), _ERR.taken()
    require(json.loads(as_json)["error"] == data, "what is printed as JSON is another error")
    for shown in (as_json, as_text):
        if (acting := _ACTING.search(shown)) is not None:
            raise Finding(f"a terminal would obey {acting[0]!r}: {shown[:400]!r}")


def refused[Result](
    allowed: type[Exception], call: Callable[..., Result], *arguments: Any
) -> tuple[Result | None, Exception | None]:
    """What a call gives, or the `allowed` error that it raised; an error of Kedge's is judged.

    Any other exception is let through: the program that runs the cases shows it as a finding.
    """
    try:
        return call(*arguments), None
    except allowed as error:
        if isinstance(error, KedgeError):
            judge_error(error)
        else:
            require(str(error).strip(), "an error without text")
            judge_text(str(error))
        return None, error


def as_record(data: Any) -> None:
    """What is accepted can be written down as JSON in UTF-8, which records and caches do."""
    json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
