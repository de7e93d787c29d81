"""Resolving a declaration to versions and hashes, by uv."""

import os
from typing import Final

from kedge import home
from kedge.environment import folders, indexes, lockfile, reasons, specifications, uv
from kedge.environment.requirements import Requirements
from kedge.errors import EnvironmentFailed, LockError, Where

# One Python minor, every platform that has CPython processes: without emscripten, for which nearly no
# package has wheels, so that it would be what every conflict is about.
_PROJECT: Final = """\
[project]
name = "declaration"
version = "0"
requires-python = "=={minor}.*"
[tool.uv]
environments = ["{environment}"]
"""
_ENVIRONMENT: Final = "python_full_version < '{next}' and sys_platform != 'emscripten'"


def resolved(
    declaration: Requirements,
    python: str,
    kept: str,
    upgrade: bool | str,
    timeout: float,
    allow_builds: bool,
) -> str:
    """The pinned, hashed requirements that fulfil `declaration`.

    Args:
        declaration: what is needed.
        python: a Python to start from.
        kept: pins that are kept where they fit, as requirement lines.
        upgrade: a package's name, whose kept pin does not count.
        timeout: seconds.
        allow_builds: whether metadata may be had by running build code on this machine.

    Raises:
        EnvironmentFailed: with the resolver's reason.
    """
    environment = _ENVIRONMENT.format(next=_next(declaration.python))
    project = _PROJECT.format(minor=declaration.python, environment=environment)
    arguments = [
        "pip", "compile", "requirements.in", "--universal", "--generate-hashes", "--no-header",
        "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet",
        "--no-python-downloads", "--python", python, "--python-version", declaration.python,
        "--output-file", "resolved.txt",
    ]  # fmt: skip
    if declaration.constraints:
        arguments += ["--constraints", "constraints.in"]
    if not allow_builds:
        arguments += ["--only-binary", ":all:"]
    arguments += indexes.options(os.environ)
    if isinstance(upgrade, str):
        arguments += ["--upgrade-package", upgrade]
    with folders.temporary(home.folder("resolving")) as here:
        _write(here, "pyproject.toml", project)
        _write(here, "requirements.in", _lines(declaration.strings))
        _write(here, "constraints.in", _lines(declaration.constraints))
        if kept:
            _write(here, "resolved.txt", kept)
        ended = uv.run(arguments, folder=here, timeout=timeout, doing="resolving the requirements")
        if ended.code:
            where = Where(declaration.source) if declaration.source else None
            doing = f"The requirements cannot be resolved for Python {declaration.python}"
            raise reasons.failed(ended.error, doing, where)
        with open(os.path.join(here, "resolved.txt"), encoding="utf-8") as file:
            text = file.read()
    # The lock is for this Python: repeating that on every line would only hide the other conditions.
    return text.replace(f" ; {environment}", "")


def exported(declaration: Requirements, python: str, timeout: float) -> str:
    """The pinned, hashed requirements that a project's `uv.lock` says; nothing is resolved.

    Raises:
        EnvironmentFailed: uv cannot read it.
        LockError: it names something that is not a pinned package of an index.
    """
    arguments = [
        "export", "--frozen", "--no-dev", "--no-emit-project", "--no-emit-workspace", "--no-header",
        "--no-annotate", "--format", "requirements.txt", "--no-python-downloads", "--quiet",
        "--python", python,
    ]  # fmt: skip
    with folders.temporary(home.folder("resolving")) as here:
        _write(here, "pyproject.toml", declaration.pyproject or "")
        _write(here, "uv.lock", declaration.uv_lock or "")
        ended = uv.run(arguments, folder=here, timeout=timeout, doing="reading uv.lock")
    if ended.code:
        raise reasons.failed(ended.error, "uv.lock cannot be used", Where("uv.lock"))
    try:
        lockfile.entries(ended.output, "uv.lock")
    except LockError as error:
        raise EnvironmentFailed(
            error.message.replace("The lock is damaged", "uv.lock cannot be used"),
            where=Where("uv.lock"),
            hint="Kedge installs released packages only: list what is needed in the manifest's "
            "`runtime.requirements`",
            evidence={"reason": "not-a-package"},
        ) from error
    return ended.output


def _lines(strings: tuple[str, ...]) -> str:
    return "".join(f"{specifications.without_hashes(one)}\n" for one in strings)


def _write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _next(minor: str) -> str:
    major, _, number = minor.partition(".")
    return f"{major}.{int(number) + 1}"
