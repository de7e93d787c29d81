from pathlib import Path

import kedge


def count(case: Path, parts: list) -> dict:
    files = sorted(str(path.relative_to(case)) for path in case.rglob("*") if path.is_file())
    return {"files": len(files), "text": "".join(part.read_text() for part in sorted(parts))}


def split(n: int) -> dict:
    case = kedge.out_path("case")
    (case / "constant").mkdir(parents=True)
    (case / "constant" / "mesh").write_text("mesh\n")
    parts = kedge.out_path("parts")
    parts.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        (parts / f"part{number}.txt").write_text(f"{number}\n")
    return {}
