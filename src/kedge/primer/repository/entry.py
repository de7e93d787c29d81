"""Entry scripts: `./app` for POSIX shells and `app.cmd` for Windows, made from templates.

The scripts hold three words, by which one is read back: the helper of the proto file that it calls, what
that is to call in turn, and the environment.
"""

import os
import re
from dataclasses import dataclass
from typing import Literal

from kedge.primer.repository.seal import sealed

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_BY = "`kedge primer`"  # no version: a script changes when its template does
_WORDS = re.compile(
    r'^set -- (?P<helper>start|boot) (?P<target>\S+) (?P<environment>\S+) "\$0" "\$@"$'
    r'|proto\.py" (?P<helper2>start|boot) (?P<target2>\S+) (?P<environment2>\S+) "%~f0" %\*\r?$',
    re.MULTILINE,
)
_SIZE = 20_000  # An entry script is small; nothing else in a repository's root is read further.


@dataclass(frozen=True)
class Entry:
    """What an entry script does.

    `start` calls a function, `boot` reaches the states of a module.
    """

    helper: Literal["start", "boot"]
    target: str
    environment: str


def shell_script(entry: Entry) -> str:
    """The text of an entry script for POSIX shells."""
    return sealed(_filled("entry.sh", entry), "#", _BY)


def batch_file(entry: Entry) -> str:
    """The text of the same for Windows, whose shell wants its own line ends."""
    return sealed(_filled("entry.cmd", entry), "rem", _BY).replace("\n", "\r\n")


def parsed(text: str) -> Entry | None:
    """What an entry script of either sort does; None when the text is none."""
    found = _WORDS.search(text)
    if found is None:
        return None
    helper, target, environment = (
        found[name] or found[name + "2"] for name in ("helper", "target", "environment")
    )
    return Entry("boot" if helper == "boot" else "start", target, environment)


def entries(root: str) -> dict[str, Entry]:
    """The entry scripts in a folder, by their names; those for Windows besides."""
    found = {}
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if not os.path.isfile(path) or os.path.getsize(path) > _SIZE:
            continue
        entry = parsed(text_of(path) or "")
        if entry is not None:
            found[name] = entry
    return found


def text_of(path: str) -> str | None:
    """A file's text as it stands, line ends kept; None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return None


def _filled(template: str, entry: Entry) -> str:
    with open(os.path.join(_TEMPLATES, template), encoding="utf-8") as file:
        text = file.read()
    for word, value in (
        ("@HELPER@", entry.helper),
        ("@TARGET@", entry.target),
        ("@ENVIRONMENT@", entry.environment),
    ):
        text = text.replace(word, value)
    return text
