from pathlib import Path
from typing import TypedDict

import kedge


class Copied(TypedDict):
    copy: Path
    lines: int


def upper(source: Path) -> Copied:
    """Writes to its scratch folder and returns the path: it is moved to its port."""
    text = source.read_text().upper()
    copy = Path("scratch/anything.txt")
    copy.write_text(text)
    return {"copy": copy, "lines": len(text.splitlines())}


def direct(source: Path) -> Copied:
    """Writes straight to where the output belongs."""
    copy = kedge.out_path("copy", ".txt")
    copy.write_bytes(source.read_bytes())
    return {"copy": copy, "lines": 0}


def forgets() -> dict:
    return {}


def wrong_extension() -> dict:
    kedge.out_path("copy", ".txt").write_text("not a pdf")
    return {}
