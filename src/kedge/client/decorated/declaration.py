"""What the options of `kedge.function` say, checked and as plain data."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kedge.client.decorated import copies
from kedge.client.decorated.authored import authored
from kedge.client.decorated.copies import Copy
from kedge.data import Data, replace
from kedge.engine import KINDS
from kedge.errors import Problem, UsageError, Where
from kedge.package import names

_MOST: Final = 10**9  # of any number that limits a run
_UNPICKLE: Final = ("safe", "any")
_EXECUTORS: Final = ("auto", "sandbox", "process", *KINDS)
_NO_NAME: Final = "function"  # of what has none that can be one

# Of what each function was declared to need so far.
_numbers: Final[dict[str, dict[object, int]]] = {}


class Declaration(Data):
    """What a decorated function needs.

    Args:
        name: of function, package and image.
        python: minor version, "3.12".
        pip: requirement strings, or the path of a file of them.
        apt, run_commands: Debian packages, and shell commands, of the image.
        base_image: what that is built on; None for Kedge's choice.
        copy: what is shipped.
        resources: as in a manifest.
        settings: other fields of the function as a manifest has them.
        executor: its kind.
        unpickle: `safe`, or `any` class that comes back.
        where: the function's file and line.
        folder: what relative paths are relative to.
        identity: names the function itself, and which of its declarations this is, whatever it needs.
    """

    name: str
    python: str
    pip: tuple[str, ...] | str
    apt: tuple[str, ...]
    run_commands: tuple[str, ...]
    base_image: str | None
    copy: tuple[Copy, ...]
    resources: Mapping[str, Any]
    settings: Mapping[str, Any]
    executor: str
    unpickle: str
    where: Where
    folder: str
    identity: str

    @property
    def needs_container(self) -> bool:
        """Whether it runs in a container only."""
        return bool(self.apt or self.run_commands or self.base_image is not None)


def declared(function: Callable[..., Any], options: Mapping[str, Any]) -> Declaration:
    """The declaration that options make.

    Args:
        function: the function.
        options: by the names that `kedge.function` has for them.

    Raises:
        UsageError: all that is wrong with them.
    """
    checks = _Checks(function, options)
    made = Declaration(
        name=checks.name(),
        python=checks.python(),
        pip=checks.pip(),
        apt=checks.apt(),
        run_commands=checks.texts("run_commands", 'run_commands=["make -C /opt/solver"]'),
        base_image=checks.text("base_image", 'base_image="debian:bookworm"'),
        copy=checks.copy(),
        resources=checks.resources(),
        settings=checks.settings(),
        executor=checks.choice("executor", _EXECUTORS),
        unpickle=checks.choice("unpickle", _UNPICKLE),
        where=checks.where,
        folder=checks.folder,
        identity=checks.identity(),
    )
    if made.needs_container and made.executor in ("sandbox", "process"):
        checks.wrong(
            "executor",
            f"`executor` is {made.executor!r}, and `apt`, `run_commands` and `base_image` need a container",
            f"one of: {', '.join(KINDS)}, or leave the choice to `auto`",
        )
    if checks.problems:
        raise UsageError.of(checks.problems, f"the options of `{made.name}`")
    return replace(made, identity=f"{made.identity}:{_number(made)}")


def _number(made: Declaration) -> int:
    """Which of the images that this process has declared for one function is that of `made`, from 0.

    A program declares them in one order each time. So what a function needs now takes the place of what it
    needed before, and one that is declared in two ways does not take away its own image.
    """
    known = _numbers.setdefault(made.identity, {})
    return known.setdefault((made.pip, made.apt, made.run_commands, made.base_image), len(known))


class _Checks:
    """The options one by one, and what is wrong with them so far."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self._function = function
        self._options = options
        code = getattr(authored(function), "__code__", None)
        file = code.co_filename if code is not None else ""
        is_file = os.path.isfile(file)
        self.where = Where(file, code.co_firstlineno) if code is not None else Where()
        self.place = os.path.abspath(file) if is_file else os.getcwd()  # of a session: its folder
        self.folder = os.path.dirname(self.place) if is_file else self.place
        self.problems: list[Problem] = []

    def wrong(self, option: str, message: str, hint: str) -> None:
        place = Where(self.where.file, self.where.line, path=option)
        self.problems.append(Problem(message, place, hint))

    def name(self) -> str:
        given = self._options["name"]
        if given is None:
            return proposed_name(getattr(self._function, "__name__", ""))
        if not isinstance(given, str):
            self.wrong("name", f"`name` is {given!r}, which is no text", 'name="solver"')
            return _NO_NAME
        for rule in (names.function_name, names.package_name):
            if refusal := rule(given):
                self.wrong("name", f"`name` is {given!r}, expected {refusal[0]}", refusal[1])
                break
        return given

    def identity(self) -> str:
        name = getattr(self._function, "__qualname__", "")
        if "<lambda>" in name:  # of which a file has many
            name += f":{self.where.line}"
        return f"{self.place}:{name}:{self._options['name'] or ''}"

    def python(self) -> str:
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        given = self._options["python_version"]
        if given is None or given == own:
            return own
        if not isinstance(given, str):
            self.wrong(
                "python_version", f"`python_version` is {given!r}; a text is expected", f'"{own}"'
            )
            return own
        self.wrong(
            "python_version",
            f"`python_version` is {given!r}, and this is Python {own}: a function that is sent as it"
            " stands runs on the version that it was compiled by",
            f"run this program with Python {given}, or make a package with a handler, which runs on any",
        )
        return own

    def pip(self) -> tuple[str, ...] | str:
        given = self._options["pip"]
        if isinstance(given, str | os.PathLike):
            path = os.path.join(self.folder, os.path.expanduser(os.fspath(given)))
            if not os.path.isfile(path):
                hint = f'for packages give a list: pip=["numpy"]; files are looked for in {self.folder}'
                self.wrong("pip", f"`pip` names the file `{given}`, which is not there", hint)
            return path
        found = self.texts("pip", 'pip=["numpy>=2", "pandas"]')
        if found:
            from kedge.environment.specifications import problem_with

            for refusal in filter(None, map(problem_with, found)):
                self.wrong("pip", *refusal)
        return found

    def apt(self) -> tuple[str, ...]:
        found = self.texts("apt", 'apt=["ffmpeg"]')
        for one in found:
            if refusal := names.debian_package(one):
                self.wrong("apt", f"`apt` has {one!r}, expected {refusal[0]}", refusal[1])
        return found

    def texts(self, option: str, example: str) -> tuple[str, ...]:
        """A list of texts."""
        given = self._options[option]
        if isinstance(given, str) or not isinstance(given, Iterable):
            self.wrong(option, f"`{option}` is {given!r}; a list is expected", f"write {example}")
            return ()
        found = tuple(given)
        for one in found:
            if not isinstance(one, str) or not one.strip() or "\0" in one:
                message = f"`{option}` has {one!r}, which is no text that means something"
                self.wrong(option, message, f"write {example}")
                return ()
        return found

    def text(self, option: str, example: str) -> str | None:
        """A text that may be left out."""
        given = self._options[option]
        if given is not None and not (isinstance(given, str) and given):
            self.wrong(option, f"`{option}` is {given!r}; a text is expected", f"write {example}")
            return None
        return given

    def choice(self, option: str, known: tuple[str, ...]) -> str:
        """One of a few words."""
        given = self._options[option]
        if given not in known:
            self.wrong(option, f"`{option}` is {given!r}", f"one of: {', '.join(known)}")
            return known[0]
        return str(given)

    def copy(self) -> tuple[Copy, ...]:
        try:
            return copies.declared(self._options["copy"], self.folder)
        except UsageError as error:
            for problem in error.problems:
                self.wrong("copy", problem.message, problem.hint or "")
            return ()

    def resources(self) -> dict[str, Any]:
        fields = {"cpu": "cpu", "memory": "memory_mb", "timeout": "timeout", "gpu": "gpu"}
        found = {}
        for option, field in fields.items():
            value = self._options[option]
            if value is None:
                continue
            whole = option in ("memory", "gpu")
            wanted = int if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, wanted) or not 0 < value < _MOST:
                what = "a whole number" if whole else "a number"
                unit = {"memory": " of MiB", "timeout": " of seconds"}.get(option, "")
                self.wrong(
                    option,
                    f"`{option}` is {value!r}",
                    f"give {what}{unit} above 0 and below {_MOST}",
                )
            else:
                found[field] = value
        return found

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not isinstance(self._options["network"], bool):
            self.wrong("network", f"`network` is {self._options['network']!r}", "True or False")
        elif self._options["network"]:
            found["network"] = True
        variables = self._variables()
        if variables:
            found["env"] = variables
        retries, cache = self._options["retries"], self._options["cache"]
        is_number = isinstance(retries, int) and not isinstance(retries, bool) and retries >= 0
        if is_number or isinstance(retries, Mapping):
            found["retries"] = retries
        elif retries is not None:
            self.wrong("retries", f"`retries` is {retries!r}", "give a whole number from 0")
        if isinstance(cache, bool):
            found["cache"] = cache
        elif cache is not None:
            self.wrong("cache", f"`cache` is {cache!r}", "True or False")
        return found

    def _variables(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        env, secrets = self._options["env"] or {}, self._options["secrets"]
        if not isinstance(env, Mapping):
            self.wrong("env", f"`env` is {env!r}", 'write env={"MODE": "fast"}')
            env = {}
        for name, value in env.items():
            if not isinstance(name, str) or names.variable_name(name):
                self.wrong("env", f"`env` has {name!r}, which no variable can be called", "A_NAME")
            elif not isinstance(value, str) or "\0" in value:
                self.wrong("env", f"`{name}` of `env` is {value!r}; a text is expected", 'like "1"')
            else:
                found[name] = value
        if isinstance(secrets, str) or not isinstance(secrets, Iterable):
            self.wrong("secrets", f"`secrets` is {secrets!r}", 'write secrets=["API_KEY"]')
            return found
        pairs = secrets.items() if isinstance(secrets, Mapping) else ((one, one) for one in secrets)
        for variable, secret in pairs:
            if any(
                not isinstance(one, str) or names.variable_name(one) for one in (variable, secret)
            ):
                message = f"`secrets` has {variable!r}, which no variable can be called"
                self.wrong("secrets", message, 'write secrets=["API_KEY"]')
            else:
                found[variable] = {"secret": secret}
        return found


def proposed_name(text: str) -> str:
    """A name for a function, package and image, as near as can be to what the function is called.

    >>> proposed_name("_monte_carlo"), proposed_name("<lambda>")
    ('monte_carlo', 'lambda')
    """
    found = re.sub(r"[^A-Za-z0-9_-]", "", names.without_accents(text)).strip("_-")[:63].rstrip("_-")
    if not found or names.function_name(found) or names.package_name(found):
        found = f"{_NO_NAME}-{found}"[:63].rstrip("_-") if found else _NO_NAME
    return found
