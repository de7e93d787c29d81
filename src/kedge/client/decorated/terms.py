"""Errors about the manifest that Kedge wrote, told of the options that it was made from."""

import re
from collections.abc import Callable
from typing import Any, Final

from kedge.errors import (
    EnvironmentFailed,
    KedgeError,
    ManifestError,
    Problem,
    TaskError,
    UsageError,
    Where,
)

# Where a field of the manifest that Kedge writes comes from.
_OPTIONS: Final = {
    "runtime.requirements": "pip",
    "runtime.system": "apt",
    "runtime.commands": "run_commands",
    "runtime.base_image": "base_image",
    "runtime.version": "python_version",
}
# Fields of which the package has an order of its own.
_SORTED: Final = re.compile(r"(runtime\.(?:requirements|system))\[\d+\]")


class InTheirTerms:
    """A block whose errors about the manifest that Kedge wrote are about the options it was made from."""

    def __init__(self, where: Callable[[str], Where]) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _where: Any) -> None:
        if isinstance(error, UsageError) and error.where is None:
            problems = [
                Problem(one.message, one.where or self._where("copy"), one.hint)
                for one in error.problems
            ]
            raise UsageError.of(problems, "`copy`") from None
        if isinstance(error, EnvironmentFailed | TaskError):
            self._tell(error)
        if not isinstance(error, ManifestError):
            return
        problems = []
        for problem in error.problems:
            path = problem.where.path or "" if problem.where is not None else ""
            option = _in_options(path)
            if option == path:
                option = _option_in(path)
            message = problem.message.replace(f"`{path}`", f"`{option}`")
            problems.append(Problem(message, self._where(option), problem.hint))
        raise UsageError.of(problems, "the options") from None

    def _tell(self, error: KedgeError) -> None:
        """Have an error about the runtime speak of options."""
        error.problems = [
            Problem(
                _in_options(one.message),
                self._of_runtime(one.where),
                _in_options(one.hint) if one.hint else None,
            )
            for one in error.problems
        ]
        first = error.problems[0]
        error.where, error.hint = self._of_runtime(error.where), first.hint
        if len(error.problems) == 1:
            error.message = first.message

    def _of_runtime(self, where: Where | None) -> Where | None:
        path = where.path or "" if where is not None else ""
        return self._where(_in_options(path)) if path.startswith("runtime.") else where


def _in_options(text: str) -> str:
    """A text with the options in place of the fields of `runtime` that they become."""
    text = _SORTED.sub(r"\1", text)
    for field, option in _OPTIONS.items():
        text = text.replace(field, option)
    return text


def _option_in(path: str) -> str:
    """The option that a path of a function in a manifest comes from."""
    known = ("retries", "cache", "env", "network", "resources")
    return next((one for one in path.split(".") if one in known), "options")
