"""The errors people meet, in one tree.

    KedgeError                    code, exit_code, message, where, hint, problems
    ├── RequestError              2: the request was wrong; nothing was started
    │   ├── UsageError            usage           the command line or a call's arguments
    │   ├── UnknownName           unknown-name    a function, run, package that is not there
    │   ├── ConfigError           config          kedge.toml or a KEDGE_* variable
    │   ├── PackageError          package         files of a package
    │   │   └── ManifestError     manifest        its manifest or signatures
    │   ├── TypeExpressionError   type            a type expression
    │   ├── UnitError             unit            a unit, or a conversion between dimensions
    │   ├── InputError            input           values given to a function; a ValueError too
    │   ├── LockError             lock            a lock that is missing or out of date with --locked
    │   ├── PrimerError           primer          a repository's entry scripts and their configuration
    │   ├── TaskError             task            parts that do not fit each other; a ValueError too
    │   └── PluginError           plugin          a kind that is unknown, doubled or broken: kedge.registry
    ├── Unavailable               3, unavailable: this machine lacks an engine, a tool or a permission
    ├── StoreError                3, store: Kedge's own folder cannot be read or written
    └── RunFailed                 a run that did not succeed; one subclass a kind
        ├── FunctionError         1   function_error
        ├── ContractError         1   contract_error
        ├── OutOfMemory           1   out_of_memory
        ├── OutOfDisk             1   out_of_disk
        ├── Lost                  1   lost
        ├── RunTimeout            124 timeout
        ├── RunCancelled          130 cancelled
        ├── StartFailed           3   start_failed
        └── EnvironmentFailed     3   environment_error

Library code raises these; only faces print and exit. An error is data: a sentence about the value in
question, where it was found, a hint that says what to do, and, when several things are wrong, all of
them as `problems`. Wording for terminals and JSON is made elsewhere from these fields.
"""

from typing import Any, ClassVar


class Where:
    """A place: a file with an optional line and column (both from 1), a path inside it, or both.

    `Where("kedge.yml", 4, 3, "functions.sizing")` reads `kedge.yml:4:3 (functions.sizing)`.
    """

    __slots__ = ("column", "file", "line", "path")

    def __init__(
        self,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.path = path

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
            if self.column is not None:
                place += f":{self.column}"
        if not place:
            return self.path or ""
        return f"{place} ({self.path})" if self.path else place

    def __repr__(self) -> str:
        return f"Where({self.file!r}, {self.line!r}, {self.column!r}, {self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str | None, int | None, int | None, str | None]:
        return (self.file, self.line, self.column, self.path)


class Problem:
    """One thing that is wrong: a sentence, where, and what to do about it."""

    __slots__ = ("hint", "message", "where")

    def __init__(self, message: str, where: Where | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint

    def __repr__(self) -> str:
        return f"Problem({self.message!r}, {self.where!r}, {self.hint!r})"

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}"

    def to_json(self) -> dict[str, Any]:
        """The problem as data: `message`, `where` and `hint`, the last two null when unknown."""
        where = str(self.where) if self.where else None
        return {"message": self.message, "where": where, "hint": self.hint}


class KedgeError(Exception):
    """Base of every error that Kedge raises on purpose.

    Of a class are `code`, by which programs tell it, and `exit_code`, with which a command ends.

    Args:
        message: a sentence about the value in question.
        where: where it was found.
        hint: what to do about it.
        problems: everything that is wrong, one entry for each; an error made from a message alone has one
            problem, itself.

    >>> from kedge import CommandRuntime, KedgeError, Task
    >>> try:
    ...     Task(runtime=CommandRuntime("true"), executor="sandbx")
    ... except KedgeError as error:
    ...     print(error.code, error.hint.partition("?")[0])
    plugin-unknown did you mean 'sandbox'
    """

    code: ClassVar[str] = "kedge"
    exit_code: ClassVar[int] = 3

    def __init__(
        self,
        message: str,
        *,
        where: Where | None = None,
        hint: str | None = None,
        problems: "list[Problem] | None" = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.problems = problems or [Problem(message, where, hint)]

    @classmethod
    def of(cls, problems: list[Problem], what: str) -> "KedgeError":
        """One error for all `problems`.

        Args:
            problems: everything that is wrong.
            what: what they were found in, such as `kedge.yml`.
        """
        if len(problems) == 1:
            only = problems[0]
            return cls(only.message, where=only.where, hint=only.hint, problems=problems)
        return cls(f"{len(problems)} problems in {what}", problems=problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = [self.message]
        for problem in self.problems:
            lines.append(f"  {problem}")
            if problem.hint:
                lines.append(f"    hint: {problem.hint}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The error as data: `code`, `message`, `where`, `hint`, `problems`."""
        return {
            "code": self.code,
            "message": self.message,
            "where": str(self.where) if self.where else None,
            "hint": self.hint,
            "problems": [problem.to_json() for problem in self.problems],
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> "KedgeError":
        """The error that `to_json` described, in the class of its kind or code.

        Args:
            data: what `to_json` gave; of a code that nothing imported here has, it may say the `exit_code`.
        """
        given: dict[str, Any] = {
            "where": _where(data["where"]),
            "hint": data["hint"],
            "problems": [
                Problem(entry["message"], _where(entry["where"]), entry["hint"])
                for entry in data["problems"]
            ],
        }
        if "kind" in data:
            given |= {
                "type": data["type"],
                "traceback": data["traceback"],
                "run_id": data["run"],
                "evidence": data["evidence"],
            }
            return FAILURES[data["kind"]](data["message"], **given)
        return _of_code(data["code"], data.get("exit_code"))(data["message"], **given)


def _where(text: str | None) -> Where | None:
    return Where(path=text) if text else None


def _of_code(code: str, exit_code: int | None) -> type[KedgeError]:
    waiting: list[type[KedgeError]] = [KedgeError]
    for found in waiting:
        if found.code == code:
            return found
        waiting += found.__subclasses__()
    facts = {"code": code, "exit_code": exit_code or KedgeError.exit_code}
    return type("KedgeError", (KedgeError,), facts)


class RequestError(KedgeError):
    """The request was wrong: nothing was started, and asking again the same way fails the same way."""

    code = "request"
    exit_code = 2


class UsageError(RequestError):
    """A command line or a call that does not make sense."""

    code = "usage"


class UnknownName(RequestError):
    """A name that nothing answers to: a function, a run, a package."""

    code = "unknown-name"


class ConfigError(RequestError):
    """A configuration file or variable that cannot be read."""

    code = "config"


class PackageError(RequestError):
    """A package whose files cannot be used."""

    code = "package"


class ManifestError(PackageError):
    """A manifest, or a signature it points to, that is not valid."""

    code = "manifest"


class TypeExpressionError(RequestError):
    """A type expression that does not mean anything."""

    code = "type"


class UnitError(RequestError):
    """An unknown unit, or a conversion between two dimensions."""

    code = "unit"


class InputError(RequestError, ValueError):
    """Inputs that the function's ports do not admit."""

    code = "input"


class LockError(RequestError):
    """A lock that is missing or older than its declaration where that is not allowed."""

    code = "lock"


class PrimerError(RequestError):
    """A repository whose entry scripts, proto file or `primer.json` cannot be made or used."""

    code = "primer"


class TaskError(RequestError, ValueError):
    """A runtime, an executor and a target that do not fit each other."""

    code = "task"


class PluginError(RequestError):
    """A kind that is unknown, registered twice, or that could not be loaded."""

    code = "plugin"


class Unavailable(KedgeError):
    """An engine, a tool or a permission that was asked for is not on this machine."""

    code = "unavailable"
    exit_code = 3


class StoreError(KedgeError):
    """Kedge's own folder cannot be read or written."""

    code = "store"
    exit_code = 3


class StoreBusy(StoreError):
    """Another process writes to Kedge's store."""


class RunFailed(KedgeError):
    """A run that did not succeed.

    `kind` is what code branches on: one of the kinds of failed runs, each a subclass.

    Args:
        message: a sentence about what happened.
        type: of the user's exception, its name.
        traceback: of the user's exception, as text.
        run_id: the run it belongs to, None when none was recorded yet.
        evidence: what the kind was concluded from.
        where: where it was found.
        hint: what to do about it.
        problems: everything that is wrong, one entry for each.

    >>> from kedge import CommandRuntime, RunFailed, Task
    >>> try:
    ...     Task(runtime=CommandRuntime("exit 3")).run_sync().outputs
    ... except RunFailed as failure:
    ...     print(failure.kind)
    function_error
    """

    code = "run"
    exit_code = 1
    kind: ClassVar[str] = "function_error"

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        traceback: str | None = None,
        run_id: str | None = None,
        evidence: dict[str, Any] | None = None,
        where: Where | None = None,
        hint: str | None = None,
        problems: list[Problem] | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint, problems=problems)
        self.type = type
        self.traceback = traceback
        self.run_id = run_id
        self.evidence = evidence or {}

    def to_json(self) -> dict[str, Any]:
        """The error as data, with `kind`, `type`, `traceback`, `evidence` and `run` besides."""
        return super().to_json() | {
            "kind": self.kind,
            "type": self.type,
            "traceback": self.traceback,
            "evidence": self.evidence,
            "run": self.run_id,
        }


class FunctionError(RunFailed):
    """The code failed: an exception or a non-zero exit."""

    code = kind = "function_error"


class ContractError(RunFailed):
    """It ended well, but its outputs do not honour the contract."""

    code = kind = "contract_error"


class OutOfMemory(RunFailed):
    """It was killed at its memory limit."""

    code = kind = "out_of_memory"


class OutOfDisk(RunFailed):
    """It used more disk than it may."""

    code = kind = "out_of_disk"


class Lost(RunFailed):
    """The machine, engine or worker under it went away."""

    code = kind = "lost"


class RunTimeout(RunFailed):
    """It outlived its timeout."""

    code = kind = "timeout"
    exit_code = 124


class RunCancelled(RunFailed):
    """It was asked to stop."""

    code = kind = "cancelled"
    exit_code = 130


class StartFailed(RunFailed):
    """The program could not be started."""

    code = kind = "start_failed"
    exit_code = 3


class EnvironmentFailed(RunFailed):
    """Its environment or image could not be built or pulled."""

    code = kind = "environment_error"
    exit_code = 3


FAILURES: dict[str, type[RunFailed]] = {
    failure.kind: failure
    for failure in (
        FunctionError, ContractError, OutOfMemory, OutOfDisk, Lost,
        RunTimeout, RunCancelled, StartFailed, EnvironmentFailed,
    )
}  # fmt: skip


def nearest(name: str, known: "list[str] | tuple[str, ...]") -> str | None:
    """The known name that `name` was most likely meant to be, None when nothing is close."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else None
