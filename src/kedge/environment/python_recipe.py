"""What a Python image is made by: the declaration, the Dockerfile that Kedge writes of it, and its errors."""

import re
from collections.abc import Mapping
from typing import Any, Final

from kedge.data import Data
from kedge.environment.base_python import CONFIGURED, DECLARED
from kedge.environment.interpreters import Interpreter
from kedge.errors import EnvironmentFailed, Where

FOLDER: Final = "/opt/kedge/environment"  # of the environment, in the image
SOURCES: Final = "sources.txt"  # in the context: what is built inside
COMMANDS: Final = "commands"  # in the context: a file for each, named by its number from 1

_DEBIAN: Final = """\
USER root
RUN apt-get update && apt-get install -y --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*
"""
_ENVIRONMENT: Final = f"""\
COPY environment {FOLDER}
ENV PATH={FOLDER}/bin:$PATH
"""
_FROM_SOURCE: Final = f"""\
USER root
COPY {SOURCES} /opt/kedge/{SOURCES}
RUN {{python}} -m pip install --no-deps --require-hashes --no-cache-dir --disable-pip-version-check \\
    --target {{site}} -r /opt/kedge/{SOURCES} \\
    && if [ -d {{site}}/bin ]; then \\
        sed -i '1s|^#!.*|#!{FOLDER}/bin/python|' {{site}}/bin/* && mv {{site}}/bin/* {FOLDER}/bin/; \\
    fi
"""
_COMPILED_INSIDE: Final = """\
USER root
RUN ["{folder}/bin/python", "-m", "compileall", "-q", "-j", "0", "{folder}/{purelib}"]
"""
# A file each: whatever is in a command, nothing of it is the Dockerfile's, and those before the first that
# changed are not run again. The shell stops at the first line that fails, and names the file and the line.
_COMMAND: Final = f"""\
COPY {COMMANDS}/{{number}} /opt/kedge/{COMMANDS}/{{number}}
RUN ["/bin/sh", "-e", "/opt/kedge/{COMMANDS}/{{number}}"]
"""
_COMMAND_STEP: Final = re.compile(
    rf'RUN (?:\["/bin/sh", "-e", "|/bin/sh -e )/opt/kedge/{COMMANDS}/(\d+)(?:"\])?'
)
# What apt says of a package, or of the version of one, that its release does not have.
_NO_PACKAGE: Final = re.compile(
    r"E: (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate"
    r"|Version '\S+' for '(\S+)' was not found)"
)
_NO_APT: Final = re.compile(r"apt-get: (?:command )?not found")
_LAST_LINES: Final = 8  # of what a program wrote


class Recipe(Data):
    """What a Python image is made of, besides a lock.

    Args:
        base: the image to build on, by its reference.
        minor: the Python version that it must have, "3.12".
        is_declared: whether the package names the base: nothing is assumed to be in it then. Of a base that
            Kedge chose, packages that it has in just the locked version are used.
        system: Debian packages.
        commands: shell commands that are run in it at last, each a text.
    """

    base: str
    minor: str
    is_declared: bool = False
    system: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """Where the base image is named."""
        return DECLARED if self.is_declared else CONFIGURED

    def decides(self) -> tuple[object, ...]:
        """What of it decides the content of the image, besides the base itself."""
        return (self.is_declared, sorted(set(self.system)), self.commands)


def dockerfile(
    recipe: Recipe, inside: Interpreter, *, sources: tuple[str, ...], compiled_before: bool
) -> str:
    """The text of the Dockerfile.

    Args:
        recipe: what the image is made of.
        inside: the base's Python.
        sources: the packages that must be built in the image.
        compiled_before: whether what is laid in is compiled.
    """
    lines = f"FROM {recipe.base}\n"
    if recipe.system:
        lines += _DEBIAN.format(packages=" ".join(sorted(set(recipe.system))))
    lines += _ENVIRONMENT
    if sources:
        lines += _FROM_SOURCE.format(python=inside.path, site=f"{FOLDER}/{inside.purelib}")
    if not compiled_before:
        lines += _COMPILED_INSIDE.format(folder=FOLDER, purelib=inside.purelib)
    if recipe.commands:
        lines += "USER root\n"
    for number in range(1, len(recipe.commands) + 1):
        lines += _COMMAND.format(number=number)
    return lines


def readable(text: str, recipe: Recipe) -> str:
    """What is told of a build, with a command in its own words."""
    match = _COMMAND_STEP.search(text)
    if match is None or int(match[1]) > len(recipe.commands):
        return text
    return text[: match.start()] + _shown(recipe.commands[int(match[1]) - 1], 60)


def in_their_terms(
    error: EnvironmentFailed, recipe: Recipe, sources: tuple[str, ...]
) -> EnvironmentFailed:
    """The error of a build that failed, in terms of what the manifest says."""
    evidence: Mapping[str, Any] = error.evidence
    wrote = [str(line) for line in evidence.get("wrote", ())]
    instruction = str(evidence.get("instruction") or "")
    if (match := _COMMAND_STEP.search(instruction)) and int(match[1]) <= len(recipe.commands):
        return _command_failed(int(match[1]) - 1, recipe, wrote, evidence)
    if "apt-get install" in instruction:
        return _debian_failed(recipe, wrote, evidence)
    if "pip install" in instruction:
        return _source_failed(sources, wrote, evidence)
    return error


def _command_failed(
    index: int, recipe: Recipe, wrote: list[str], evidence: Mapping[str, Any]
) -> EnvironmentFailed:
    command = recipe.commands[index]
    before = " | ".join(wrote[-_LAST_LINES:-1])
    hint = (
        f"before that it wrote: {before}" if before else f"try it in a container of `{recipe.base}`"
    )
    return EnvironmentFailed(
        f"the command `{_shown(command, 100)}` failed in the image"
        + (f": {wrote[-1]}" if wrote else ""),
        where=Where(path=f"runtime.commands[{index}]"),
        hint=hint if wrote else "it wrote nothing; try `set -x`",
        evidence={**evidence, "command": command},
    )


def _debian_failed(
    recipe: Recipe, wrote: list[str], evidence: Mapping[str, Any]
) -> EnvironmentFailed:
    where, of = Where(path="runtime.system"), f"`{recipe.base}` (`{recipe.named}`)"
    found = [match for line in wrote if (match := _NO_PACKAGE.match(line))]
    if missing := dict.fromkeys(name for match in found for name in match.groups() if name):
        named = ", ".join(f"`{name}`" for name in missing)
        return EnvironmentFailed(
            f"there {'is no Debian package' if len(missing) == 1 else 'are no Debian packages'} {named}"
            f" for the release of {of}: {found[0].string[3:]}",
            where=where,
            hint="check the spelling, and what that release calls it",
            evidence=dict(evidence),
        )
    if any(_NO_APT.search(line) for line in wrote):
        return EnvironmentFailed(
            f"the base image {of} has no apt-get, which installs {', '.join(recipe.system)}",
            where=where,
            hint="name a base image of Debian or Ubuntu",
            evidence=dict(evidence),
        )
    reasons = [line[3:] for line in wrote if line.startswith("E: ")]
    return EnvironmentFailed(
        f"the Debian packages {', '.join(recipe.system)} cannot be installed in {of}:"
        f" {(*reasons, *wrote[-1:], 'no reason given')[0]}",
        where=where,
        hint=f"the last lines that apt-get wrote: {' | '.join(wrote[-_LAST_LINES:])}",
        evidence=dict(evidence),
    )


def _source_failed(
    sources: tuple[str, ...], wrote: list[str], evidence: Mapping[str, Any]
) -> EnvironmentFailed:
    spoken = [line for line in wrote if line.lower().startswith("error: ")]
    of_compiler = [line for line in spoken if line.startswith("error: ")]  # pip shouts
    why = (*of_compiler, *spoken, *wrote[-1:], "no reason given")[0]
    return EnvironmentFailed(
        f"{', '.join(f'`{name}`' for name in sources)}: there is no wheel, and the image cannot build"
        f" one: {why}",
        hint="name what that build needs in `runtime.system` (gcc, libc6-dev, python3-dev); -v shows all it"
        " says",
        evidence=dict(evidence),
    )


def _shown(command: str, most: int) -> str:
    """The first line of a command, cut when it is long."""
    first, *more = command.strip().splitlines()
    return f"{first[:most]}…" if more or len(first) > most else first
