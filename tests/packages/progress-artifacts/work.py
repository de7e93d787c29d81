import json
import os
from pathlib import Path

import kedge


def steps(n: int) -> int:
    for step in range(1, n + 1):
        kedge.progress(step, n, f"step {step}")
    return n


def flood(n: int = 20000) -> int:
    for step in range(1, n + 1):
        kedge.progress(step, n, "flood")
    return n


def malformed() -> None:
    """Progress never fails a run, whatever is written."""
    with open("out/progress.jsonl", "a") as file:
        file.write("not json\n")
        file.write("[1, 2]\n")
        file.write("\x00\x01\n")
        file.write(json.dumps({"message": "y" * 100_000}) + "\n")
        file.write(json.dumps({"step": 1, "total": 1, "message": "good"}) + "\n")
        file.write('{"step": 2')


def artifacts() -> int:
    folder = Path("out/artifacts")
    (folder / "plots").mkdir(parents=True)
    (folder / "log.txt").write_text("hello\n")
    (folder / "plots" / "a.svg").write_text("<svg/>\n")
    return 2


def links() -> None:
    """Neither links nor special files are followed or collected."""
    folder = Path("out/artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "root").symlink_to("/")
    (folder / "real.txt").write_text("real\n")
    os.mkfifo(folder / "pipe")
