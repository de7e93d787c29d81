"""Rules for the names and short texts of a manifest: each answers why a text is refused, or None."""

import re
from typing import Final

from kedge.errors import nearest

_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_RESERVED: Final = frozenset({"list", "task"})
_PACKAGE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# Semantic Versioning 2.0.0, the expression given there.
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_LICENSE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*\+?")
_LICENSES: Final = (
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "GPL-2.0-only", "GPL-2.0-or-later",
    "GPL-3.0-only", "GPL-3.0-or-later", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "AGPL-3.0-or-later",
    "MPL-2.0", "ISC", "EUPL-1.2", "CECILL-2.1", "Unlicense", "CC0-1.0", "CC-BY-4.0", "Zlib",
)  # fmt: skip
_TAG: Final = re.compile(r"[^\s,](?:[^,\n\r]{0,48}[^\s,])?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEBIAN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.:=~_/-]*")
_OWN_VARIABLES: Final = ("KEDGE_", "MECAPY_")

type Refusal = tuple[str, str]
"""What was expected, and a hint."""


def function_name(name: str) -> Refusal | None:
    """Function names are what ports' are: letters, digits, `_`, `-`."""
    if name in _RESERVED or name.startswith("_"):
        return (
            "a name that is not reserved",
            "`list`, `task` and names that start with `_` are taken",
        )
    if not _FUNCTION.fullmatch(name):
        return (
            "letters, digits, `_` and `-`, at most 63, not a digit or `-` first",
            f"for example `{_proposal(name)}`",
        )
    return None


def package_name(name: str) -> Refusal | None:
    """Package names are letters, digits, `.`, `_`, `-`: free of what `name@version#function` needs."""
    if _PACKAGE.fullmatch(name):
        return None
    return (
        "letters, digits, `-`, `_` and `.`, at most 64, a letter or digit at both ends",
        f"for example `{_proposal(name)}`",
    )


def semantic_version(version: str) -> Refusal | None:
    """Versions of packages are semantic versions."""
    if _SEMVER.fullmatch(version):
        return None
    numbers = re.findall(r"\d{1,9}", version)[:3] or ["0", "1", "0"]
    example = ".".join(str(int(number)) for number in [*numbers, "0", "0"][:3])
    return "a semantic version: major.minor.patch", f'for example "{example}"'


def license_expression(text: str) -> Refusal | None:
    """A licence is an SPDX expression; identifiers are checked for form, not against the whole list."""
    expected = "an SPDX licence expression"
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    depth, wants_id = 0, True
    for word in words:
        if wants_id and word == "(":
            depth += 1
        elif wants_id and _LICENSE_ID.fullmatch(word) and word not in ("AND", "OR", "WITH"):
            wants_id = False
        elif not wants_id and word == ")" and depth:
            depth -= 1
        elif not wants_id and word in ("AND", "OR", "WITH"):
            wants_id = True
        else:
            break
    else:
        if words and not wants_id and not depth:
            return None
    known = nearest(text.replace(" ", "-"), _LICENSES) or "Apache-2.0"
    return expected, f"for example `{known}`"


def tag(text: str) -> Refusal | None:
    """A tag is a short text without commas."""
    if _TAG.fullmatch(text):
        return None
    return "1 to 50 characters on one line, without commas or spaces at the ends", "shorten the tag"


def variable_name(name: str) -> Refusal | None:
    """Environment variables: the form that every shell knows, and none of the contract's own."""
    if name.startswith(_OWN_VARIABLES):
        return "a name that Kedge does not set itself", "choose one without that prefix"
    if _VARIABLE.fullmatch(name):
        return None
    return "letters, digits and `_`, not a digit first", f"for example `{_proposal(name, '_')}`"


def debian_package(name: str) -> Refusal | None:
    """Debian packages, as apt takes them: also with a version, an architecture or a release."""
    if _DEBIAN.fullmatch(name):
        return None
    return "the name of a Debian package", "for example libgl1"


def attribute(name: str) -> str:
    """A function or port name as an attribute in Python: `-` reads `_`."""
    return name.replace("-", "_")


def without_accents(text: str) -> str:
    """A text with plain letters for those that have accents.

    >>> without_accents("größe_é")
    'große_e'
    """
    from unicodedata import normalize

    return re.sub(r"[\u0300-\u036f]", "", normalize("NFD", text))


def _proposal(name: str, dash: str = "-") -> str:
    kept = re.sub(r"[^A-Za-z0-9]+", dash, without_accents(name[:63])).strip(dash)
    if not kept:
        return "name"
    return kept if not kept[0].isdigit() else f"f{dash}{kept}"[:63].rstrip(dash)
