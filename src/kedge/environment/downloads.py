"""Fetching an interpreter that this machine does not have, by uv."""

import os
import re
from typing import Final

from kedge import home
from kedge.environment import folders, reasons, uv, versions

_MINORS: Final = re.compile(r"3\.\d+(?:\.\d+)?")


def fetch(version: str, timeout: float) -> tuple[str | None, str]:
    """Have uv install a Python of `version`; (the folder it is in, "") or (None, why not).

    It goes where uv keeps its Pythons, so that uv and Kedge share one copy.
    """
    if not (_MINORS.fullmatch(version) or versions.accepts(version)):
        return None, f"`{version}` is not a version"
    with (
        folders.writing("a downloaded Python"),
        folders.temporary(home.folder("downloads")) as here,
    ):
        folders.write_file(os.path.join(here, "uv.toml"), "")
        ended = uv.run(
            ["python", "install", "--no-bin", version],
            folder=here,
            timeout=timeout,
            doing=f"downloading Python {version}",
        )
        if ended.code:
            return None, reasons.condensed(ended.error).replace("\n", ": ")
        asked = uv.run(["python", "dir"], folder=here, timeout=timeout, doing="asking uv")
    found = asked.output.strip()
    return (found, "") if os.path.isdir(found) else (None, "uv does not say where it put it")
