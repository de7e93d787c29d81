"""What a package declares that it needs, in any of the forms a manifest allows, as one flat list.

A declaration may name packages of an index, and wheels by https address. It may not name an index (that
is the machine's business), a folder outside the package, or anything that would have to be built or
fetched by running commands on this machine: each is refused with the line it stands on.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kedge import digest
from kedge.data import Data
from kedge.errors import ManifestError, Problem, Where

FORMAT: Final = 1  # of the declaration's digest: another number makes every lock out of date
# Of one requirements file: the largest lock files in use are a tenth of it.
MAX_BYTES: Final = 1 << 20
_SHOWN: Final = 200  # characters of a line that a message shows
_OPTIONS_OF_KEDGE: Final = ("--require-hashes", "--prefer-binary", "--only-binary")
_INDEX_OPTIONS: Final = (
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host",
    "--pypi-url", "--index", "--default-index", "--index-strategy",
)  # fmt: skip
_FILES: Final = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}


class Requirements(Data):
    """A declaration: what is needed, for which Python.

    Args:
        strings: requirement strings, with their declared hashes where a file gives them
            ("six==1.17.0 --hash=sha256:…").
        python: the minor version, "3.12".
        constraints: requirement strings that limit versions without asking for a package.
        uv_lock: the text of the project's `uv.lock` when that is what decides, else None.
        pyproject: the text of its `pyproject.toml`, with `uv_lock`.
        source: the file that the strings come from, relative to the package; None for a list.
        notices: sentences for the user about what was found and not used.
    """

    strings: tuple[str, ...]
    python: str
    constraints: tuple[str, ...] = ()
    uv_lock: str | None = None
    pyproject: str | None = None
    source: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names the declaration's content: order, doubled lines and where it stands do not matter."""
        return digest.of_json(
            [
                FORMAT,
                self.python,
                sorted(set(self.strings)),
                sorted(set(self.constraints)),
                self.uv_lock,
                self.pyproject if self.uv_lock is not None else None,
            ]
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is needed."""
        return not self.strings and self.uv_lock is None

    def to_json(self) -> dict[str, Any]:
        """The declaration as data."""
        return {name: _plain(getattr(self, name)) for name in self.__fields__}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Requirements":
        """The declaration that `to_json` described."""
        return Requirements(
            tuple(data["strings"]),
            data["python"],
            tuple(data["constraints"]),
            data["uv_lock"],
            data["pyproject"],
            data["source"],
            tuple(data["notices"]),
        )


def declared(
    root: str,
    requirements: bool | str | Sequence[str] | None,
    python: str,
    *,
    manifest: str = "kedge.yml",
) -> Requirements:
    """Read a package's declaration.

    Args:
        root: the package's folder.
        requirements: the manifest's field: False, True (the root's requirements.txt), a path relative
            to the root, a list of requirement strings, or None when it is not given: then a `uv.lock`
            or `pyproject.toml` at the root is used where there is one.
        python: the minor version, "3.12".
        manifest: the file that the field stands in, for the places of problems.

    Raises:
        ManifestError: with every problem, each with its file and line.

    Example:
        >>> declared("/tmp", ["numpy<3"], "3.12").strings
        ('numpy<3',)
    """
    found = _Found(os.path.realpath(root))
    if requirements is False:
        return Requirements((), python)
    if requirements is None:
        return _from_project(found, python)
    if requirements is True or isinstance(requirements, str):
        name = "requirements.txt" if requirements is True else requirements
        at = Where(manifest, path="runtime.requirements")
        if os.path.basename(name) == "pyproject.toml":
            return _from_pyproject(found, name, python, at)
        _read_file(found, name, at, constraint=False, within=())
        source: str | None = name
    else:
        source = None
        for number, text in enumerate(requirements):
            at = Where(manifest, path=f"runtime.requirements[{number}]")
            if not isinstance(text, str):
                found.refuse(f"`{text!r}` is not a requirement", at, "write a string: 'numpy>=2'")
            else:
                _add(found, text.strip(), at, constraint=False)
    found.raise_problems(source or manifest)
    return Requirements(tuple(found.strings), python, tuple(found.constraints), source=source)


class _Found:
    """What has been read so far, and everything that is wrong with it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.strings: list[str] = []
        self.constraints: list[str] = []
        self.problems: list[Problem] = []

    def refuse(self, message: str, where: Where, hint: str) -> None:
        self.problems.append(Problem(f"{message}.", where, hint))

    def raise_problems(self, what: str) -> None:
        if self.problems:
            raise ManifestError.of(self.problems, what)


def _from_project(found: _Found, python: str) -> Requirements:
    if os.path.isfile(os.path.join(found.root, "uv.lock")):
        where = Where("uv.lock")
        lock = _text(found, "uv.lock", where)
        project = _text(found, "pyproject.toml", where)
        found.raise_problems("uv.lock")
        return Requirements((), python, uv_lock=lock, pyproject=project, source="uv.lock")
    if os.path.isfile(os.path.join(found.root, "pyproject.toml")):
        return _from_pyproject(found, "pyproject.toml", python, Where("pyproject.toml"))
    unused = "requirements.txt"
    notices: tuple[str, ...] = ()
    if os.path.isfile(os.path.join(found.root, unused)):
        notices = (
            f"{unused} is there and not used: the manifest does not say `requirements: true`",
        )
    return Requirements((), python, notices=notices)


def _from_pyproject(found: _Found, name: str, python: str, at: Where) -> Requirements:
    import tomllib

    text = _text(found, name, at)
    found.raise_problems(name)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(
            f"{name} is not valid TOML: {error}.",
            where=Where(name),
            hint="correct the file, or give `requirements` in the manifest",
        ) from error
    project = content.get("project", {})
    listed = project.get("dependencies", []) if isinstance(project, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ManifestError(
            f"`project.dependencies` in {name} is not a list of strings.",
            where=Where(name, path="project.dependencies"),
            hint='write it like `dependencies = ["numpy>=2"]`',
        )
    if "dependencies" in (project.get("dynamic") or []):
        found.refuse(
            "`dependencies` is dynamic: only running the build code of the package could tell them",
            Where(name, path="project.dynamic"),
            "list them under `project.dependencies`, or in the manifest's `runtime.requirements`",
        )
    lines = text.splitlines()
    for number, requirement in enumerate(listed):
        line = next((row for row, content in enumerate(lines, 1) if requirement in content), None)
        where = Where(name, line, path=f"project.dependencies[{number}]")
        _add(found, requirement.strip(), where, constraint=False)
    found.raise_problems(name)
    return Requirements(tuple(found.strings), python, source=name)


def _read_file(
    found: _Found, name: str, at: Where, *, constraint: bool, within: tuple[str, ...]
) -> None:
    from kedge.environment import specifications

    text = _text(found, name, at)
    path = os.path.normpath(name)
    if path in within:
        return  # files that include each other say nothing new the second time
    for line, content in specifications.logical_lines(text):
        where = Where(path, line)
        option, _, value = content.partition(" ")
        if option.startswith("-") and "=" in option:
            option, _, value = content.partition("=")
        value = value.strip()
        attached = next((name for name in ("-r", "-c") if _is_attached(content, name)), None)
        if attached:
            option, value = attached, content[2:].strip()
        if option in _FILES:
            inner = os.path.join(os.path.dirname(path), value)
            _read_file(
                found,
                inner,
                where,
                constraint=constraint or _FILES[option],
                within=(*within, path),
            )
        elif option.startswith("-"):
            _option(found, option, content, where)
        else:
            _add(found, content, where, constraint=constraint)


def _is_attached(content: str, option: str) -> bool:
    """Whether a line gives a short option and its value without a space, `-rother.txt`."""
    return content.startswith(option) and len(content) > len(option) and content[2] not in " ="


def _option(found: _Found, option: str, content: str, where: Where) -> None:
    option, content = option[:_SHOWN], content[:_SHOWN]
    if option in ("-e", "--editable"):
        found.refuse(
            f"`{content}` is an editable install, which runs the build code of a folder",
            where,
            "put the modules into the package: its root is on the import path",
        )
    elif option in _INDEX_OPTIONS or option[:2] in ("-i", "-f"):
        found.refuse(
            f"`{option}` names a place to find packages, which a package may not choose",
            where,
            "remove the line and set UV_INDEX, UV_DEFAULT_INDEX or pip's configuration on the machine",
        )
    elif option == "--only-binary" and ":all:" not in content:
        found.refuse(
            f"`{content}` is not `--only-binary :all:`, which always holds",
            where,
            "remove the line: wheels only is the rule",
        )
    elif option not in _OPTIONS_OF_KEDGE:
        hint = "remove the line"
        if option == "--pre":
            hint = "ask for the pre-release in the requirement itself, like `name>=2.0rc1`"
        elif option == "--no-binary":
            hint = "remove the line; building is the machine owner's decision (environment.allow_builds)"
        found.refuse(f"The option `{option}` has no meaning here", where, hint)


def _add(found: _Found, text: str, where: Where, *, constraint: bool) -> None:
    from kedge.environment import specifications

    problem = specifications.problem_with(text)
    if problem is not None:
        found.refuse(*_placed(problem, where))
    else:
        kept = found.constraints if constraint else found.strings
        kept.append(" ".join(text.split()))


def _placed(problem: tuple[str, str], where: Where) -> tuple[str, Where, str]:
    message, hint = problem
    return message, where, hint


def _text(found: _Found, name: str, at: Where) -> str:
    """The text of a file inside the package; what keeps it from being read is noted, and then empty."""
    message, hint = "", "name a file inside the package, relative to its root"
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    path = "" if "\0" in name else os.path.realpath(os.path.join(found.root, name))
    if not name.strip() or "\0" in name:
        message = f"`{shown}` is not the name of a file"
    elif "://" in name:
        message, hint = (
            f"`{shown}` is an address, not a file of the package",
            "keep a copy of it inside",
        )
    elif os.path.commonpath([path, found.root]) != found.root:
        message = f"`{shown}` is outside the package"
    elif not os.path.isfile(path):
        message, hint = f"`{shown}` is not there", "create it, or correct the name"
    elif os.path.getsize(path) > MAX_BYTES:
        message, hint = f"`{shown}` is larger than {MAX_BYTES} bytes", "is it a requirements file?"
    else:
        try:
            with open(path, "rb") as file:
                return file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message, hint = f"`{shown}` is not UTF-8 text: {error.reason}", "save it as UTF-8"
        except OSError as error:
            message, hint = f"`{shown}` cannot be read: {error.strerror}", "give it read permission"
    found.refuse(message, at, hint)
    return ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
