"""Requirement strings (PEP 508) and the lines of requirements files: what is one, what is wrong with it."""

import re
from collections.abc import Iterator
from typing import Final

MAX_LENGTH: Final = 2000  # characters of one requirement without its hashes; no real one has 500
_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION: Final = r"[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_CLAUSE: Final = rf"(?:===|==|~=|!=|<=|>=|<|>)\s*{_VERSION}"
_CLAUSES: Final = rf"{_CLAUSE}(?:\s*,\s*{_CLAUSE})*\s*,?"
_REQUIREMENT: Final = re.compile(
    rf"(?P<name>{_NAME})\s*"
    rf"(?:\[\s*(?P<extras>{_NAME}(?:\s*,\s*{_NAME})*)?\s*\])?\s*"
    rf"(?:@\s*(?P<url>[^\s;]+)|\(\s*{_CLAUSES}\s*\)|{_CLAUSES})?\s*"
    rf"(?:;\s*(?P<marker>.+))?",
    re.ASCII,
)
_MARKER_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<value>"[^"]*"|'[^']*')|(?P<word>[A-Za-z_]+)|(?P<operator>===|==|~=|!=|<=|>=|<|>)|[()])""",
    re.ASCII,
)
_MARKER_WORDS: Final = frozenset(
    {
        "and",
        "or",
        "not",
        "in",
        "python_version",
        "python_full_version",
        "os_name",
        "sys_platform",
        "platform_release",
        "platform_system",
        "platform_version",
        "platform_machine",
        "platform_python_implementation",
        "implementation_name",
        "implementation_version",
        "extra",
    }
)
_HASH: Final = re.compile(
    r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})", re.ASCII
)
_VCS: Final = re.compile(r"(?:git|hg|svn|bzr)(?:\+|:)")
_WHEEL: Final = re.compile(
    r"https://[^\s/@]+/[^\s?#@]+\.whl(?:#sha(?:256|384|512)=[0-9a-f]+)?", re.ASCII
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]+@")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file that say something, each with its number (from 1).

    Lines that continue are joined; comments and blank lines are left out.
    """
    pending, start = "", 0
    for number, row in enumerate(text.splitlines(), 1):
        if not pending:
            start = number
        if row.rstrip().endswith("\\") and not row.lstrip().startswith("#"):
            pending += row.rstrip()[:-1] + " "
            continue
        content = _COMMENT.sub("", pending + row).strip()
        pending = ""
        if content:
            yield start, content
    if content := _COMMENT.sub("", pending).strip():
        yield start, content


def problem_with(text: str) -> tuple[str, str] | None:
    """Why a requirement string cannot be used and what to do about it; None when it can.

    >>> problem_with("numpy>=2 ; python_version >= '3.10'") is None
    True
    >>> problem_with("git+https://example.org/x")[0]
    '`git+https://example.org/x` is fetched and built by running commands on this machine'
    """
    requirement, *hashes = re.split(r"\s+--hash(?:=|\s+)", text)
    public = _CREDENTIALS.sub("***@", requirement)
    shown = f"`{public if len(public) <= 120 else public[:117] + '…'}`"
    if not requirement.strip() or len(requirement) > MAX_LENGTH:
        return f"{shown} is not a requirement", "write a name and a version, like `numpy>=2`"
    if "${" in text:
        return f"{shown} takes its value from a variable of the machine", "write the value itself"
    for one in hashes:
        if not _HASH.fullmatch(one.strip()):
            return f"`{one.strip()[:80]}` in {shown} is not a hash", "write it as `--hash=sha256:…`"
    if " --" in requirement:
        return (
            f"{shown} has options that have no meaning here",
            "keep the requirement and its hashes",
        )
    if _VCS.match(requirement) or _VCS.match(_address(requirement)):
        return (
            f"{shown} is fetched and built by running commands on this machine",
            "name a released version, or the https address of a wheel",
        )
    if requirement.startswith((".", "/", "~", "file:")) or re.search(
        r"\.(?:whl|zip|tar\.gz|tar\.bz2|tgz)\s*$", requirement.split("@")[0]
    ):
        return (
            f"{shown} is a file or folder of this machine",
            "put its modules into the package, or its wheel into an index of the machine (UV_FIND_LINKS)",
        )
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None:
        return f"{shown} is not a requirement", "write it like `numpy>=2,<3` (PEP 508)"
    if match["url"] is not None and not _WHEEL.fullmatch(match["url"]):
        return (
            f"{shown} is not the https address of a wheel without credentials in it",
            "write `name @ https://…/name-1.0-py3-none-any.whl`",
        )
    if match["marker"] and (found := _marker_problem(match["marker"])):
        return (
            f"{shown} has a condition that is not one: {found}",
            "write it like `; python_version >= '3.10'`",
        )
    return None


def normalized(name: str) -> str:
    """A package's name as indexes compare it (PEP 503).

    >>> normalized("Foo.Bar_baz")
    'foo-bar-baz'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """The normalized name that a requirement string starts with; empty when there is none."""
    match = re.match(_NAME, requirement)
    return normalized(match.group()) if match else ""


def hashes_of(requirement: str) -> tuple[str, ...]:
    """The hashes that a requirement string carries: ("sha256:…",)."""
    return tuple(re.findall(r"--hash(?:=|\s+)(\S+)", requirement))


def without_hashes(requirement: str) -> str:
    """A requirement string without the hashes that it carries."""
    return re.sub(r"\s+--hash(?:=|\s+)\S+", "", requirement)


def _address(requirement: str) -> str:
    return requirement.partition("@")[2].strip()


def _marker_problem(marker: str) -> str | None:
    position = 0
    while position < len(marker.rstrip()):
        match = _MARKER_TOKEN.match(marker, position)
        if match is None:
            return f"`{marker[position:].strip()[:40]}`"
        if match["word"] and match["word"] not in _MARKER_WORDS:
            return f"`{match['word']}` is not known"
        position = match.end()
    return None
