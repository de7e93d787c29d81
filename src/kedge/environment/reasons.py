"""Why uv could not do it: its own reason, condensed, with its kind and what to do about it."""

import re
from typing import Final

from kedge.data import Data
from kedge.errors import EnvironmentFailed, Where

MAX_REASON = 1600  # characters of a resolver's reason that are shown; the conclusion is at its end
_MARKERS_IN_NAMES = re.compile(r"\{(?:python_full_version|sys_platform|platform_)[^}]*\}")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_DECORATION = re.compile(r"^(?:\s|[×│├└╰─▶])*(?:(?:error|cause|Caused by|warning):\s*)?")


class Reason(Data):
    """A class of failure: how it is recognised in uv's words, its sentence and its hint."""

    kind: str
    pattern: re.Pattern[str]
    sentence: str
    hint: str


def _reason(kind: str, pattern: str, sentence: str, hint: str) -> Reason:
    return Reason(kind, re.compile(pattern, re.IGNORECASE | re.DOTALL), sentence, hint)


_NAME = r"`?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)`?"

# In this order: the first that fits is the one shown. What the machine cannot do comes before what the
# requirements say, since an index that was not reached makes every package look unknown.
REASONS: Final = (
    _reason(
        "disk-full",
        r"no space left on device|disk quota exceeded|os error (?:28|122)\b",
        "the disk is full.",
        "free some space, or set KEDGE_HOME and UV_CACHE_DIR to folders on a larger disk",
    ),
    _reason(
        "offline",
        r"network was disabled|network connectivity is disabled|not found in the cache",
        "a package is not in uv's cache, and the network is switched off (UV_OFFLINE).",
        "unset UV_OFFLINE, or run once with the network so that the packages are kept",
    ),
    _reason(
        "credentials",
        r"\b(?:401 Unauthorized|403 Forbidden|status code:? \(?40[13]|lack of valid authentication)",
        "the package index refused the credentials.",
        "give this machine credentials for the index: netrc, keyring, or UV_INDEX_<NAME>_USERNAME "
        "and UV_INDEX_<NAME>_PASSWORD",
    ),
    _reason(
        "certificate",
        r"invalid peer certificate|certificate verify failed|UnknownIssuer",
        "the package index's certificate is not trusted on this machine.",
        "set SSL_CERT_FILE to the bundle that holds your organisation's certificate",
    ),
    _reason(
        "unreachable",
        r"error sending request|failed to fetch|request failed after|dns error|connection refused|"
        r"tcp connect error|operation timed out",
        "the package index could not be reached.",
        "look at the network and proxy of this machine; another index is chosen with "
        "UV_DEFAULT_INDEX or pip's configuration",
    ),
    _reason(
        "hash-mismatch",
        r"hash mismatch for " + _NAME,
        "what the index has for `{name}` is not what the lock's hashes say.",
        "make sure the index can be trusted; if the file was replaced on purpose, renew the lock "
        "with `kedge lock --upgrade {name}`",
    ),
    _reason(
        "permission",
        r"permission denied|read-only file system|failed to initialize cache",
        "a folder that is needed may not be written.",
        "give this account write access to KEDGE_HOME and to uv's cache, or set UV_CACHE_DIR",
    ),
    _reason(
        "unknown-package",
        r"because\s+" + _NAME + r"\s+was not found in the (?:package registry|provided)",
        "there is no package `{name}` in the package index.",
        "look for a misspelt name; a package of your own needs its index in UV_INDEX",
    ),
    _reason(
        "no-wheel",
        r"(?:because|and)\s+(?:all versions of\s+)?" + _NAME + r"[^\n]*?\s+ha(?:s|ve) no\s[^\n]*"
        r"wheels(?!.*\bdepends? on\b)",
        "`{name}` has no wheel that this Python can use.",
        "choose a version that has one, or another Python version; code that must be built from "
        "source needs `environment.allow_builds = true` in kedge.toml",
    ),
    _reason(
        "python-version",
        r"does not satisfy Python|requires-python|requires Python|Python requirement",
        "the requirements do not admit this Python version.",
        "choose another Python version in the manifest, or another version of the package",
    ),
    _reason(
        "no-version",
        r"because\s+(?:there (?:is|are) no versions? of|only)\s+(?:the following versions of\s+)?"
        + _NAME + r"(?!.*\bdepends? on\b)",
        "no version of `{name}` is what the requirements ask for.",
        "ask for a version that exists, or leave it out and let the lock pin it",
    ),
    _reason(
        "syntax",
        r"couldn't parse requirement",
        "a requirement cannot be read.",
        "write it like `numpy>=2,<3 ; python_version >= '3.10'` (PEP 508)",
    ),
    _reason(
        "build",
        r"failed to build|build backend|build_wheel",
        "a package could not be built from source.",
        "choose a version that has a wheel for this Python",
    ),
    _reason(
        "conflict",
        r"no solution found|unsatisfiable|incompatible|conflict",
        "the requirements contradict each other.",
        "loosen one of the requirements named above",
    ),
)  # fmt: skip
_UNKNOWN = _reason(
    "unknown", "", "uv could not do it.", "run again with `-v`, and look at what uv says"
)


def failed(stderr: str, doing: str, where: Where | None = None) -> EnvironmentFailed:
    """The error for a uv command that failed.

    Args:
        stderr: all that uv wrote to standard error.
        doing: what it was about, to begin the sentence ("The requirements of Python 3.12").
        where: the file that asked for it.

    Example:
        >>> failed("error: ... Because nope was not found in the package registry ...", "x").evidence
        {'reason': 'unknown-package', ...}
    """
    text = condensed(stderr)
    reason, name = classified(text)
    return EnvironmentFailed(
        f"{doing}: {reason.sentence.format(name=name)} {_shortened(text)}".rstrip(),
        where=where,
        hint=reason.hint.format(name=name),
        evidence={"reason": reason.kind, "package": name, "resolver": text},
    )


def classified(text: str) -> tuple[Reason, str]:
    """The class of a condensed reason, and the package it is about (empty where there is none)."""
    for reason in REASONS:
        if match := reason.pattern.search(text):
            return reason, match.groupdict().get("name") or ""
    return _UNKNOWN, ""


def condensed(stderr: str) -> str:
    """The reason that uv gives, without its decoration, its own hints, credentials, and the markers Kedge added."""
    lines: list[str] = []
    in_hint = False
    for line in stderr.splitlines():
        in_hint = line.startswith("hint:") or (in_hint and bool(line.strip()))
        if in_hint or line.startswith(("Resolved ", "Using ", "Prepared ", "Installed ")):
            continue
        text = _DECORATION.sub("", line).rstrip()
        if text and text != "^" * len(text) and text not in lines[-1:]:
            lines.append(text)
    joined = "\n".join(lines)
    joined = _CREDENTIALS.sub("***@", _MARKERS_IN_NAMES.sub("", joined))
    joined = re.sub(r"(?<=parse requirement) in `[^`]*` at position \d+", "", joined)
    return re.sub(r"No solution found when resolving dependencies[^\n]*\n(?=Because)", "", joined)


def _shortened(text: str) -> str:
    """The reason when it is short, else its end, where the conclusion is."""
    if len(text) <= MAX_REASON:
        return text
    end = text[-MAX_REASON:]
    return "… " + end[end.find("\n") + 1 :]
