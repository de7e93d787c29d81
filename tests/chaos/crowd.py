"""Starts many `kedge run` of one package that was never prepared, at once: a program, and what a test calls.

    python tests/chaos/crowd.py --runs 200

The environment must be built once, and every run must succeed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 1800.0

MANIFEST = """\
name: crowd
runtime: {kind: python, version: "3.12", requirements: ["tomli-w==1.2.0"]}
functions:
  answer: {handler: "answers:answer", resources: {cpu: 1, memory_mb: 256}}
"""
CODE = "import tomli_w\n\n\ndef answer(number: int) -> int:\n    return number * 2\n"


@dataclass(frozen=True)
class Crowd:
    """What came of it: seconds, results, what the others said, and how often it was built and resolved."""

    seconds: float
    results: list[int]
    errors: list[str]
    built: int
    resolved: int


def crowd(runs: int, folder: Path, home: Path) -> Crowd:
    """Start `runs` at once and wait for all."""
    package = folder / "package"
    package.mkdir()
    (package / "kedge.yml").write_text(MANIFEST)
    (package / "answers.py").write_text(CODE)
    env = os.environ | {"KEDGE_HOME": str(home)}
    outputs = [(folder / f"{number}.out", folder / f"{number}.err") for number in range(runs)]
    began = time.monotonic()
    started = []
    for number, (out, err) in enumerate(outputs):
        words = ["run", str(package), "answer", f"number={number}", "--json"]
        with out.open("wb") as out_file, err.open("wb") as err_file:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "kedge", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=out_file,
                    stderr=err_file,
                    env=env,
                )
            )
    codes = [process.wait(timeout=LIMIT_S) for process in started]
    seconds = time.monotonic() - began
    results, errors, built, resolved = [], [], 0, 0
    for code, (out, err) in zip(codes, outputs, strict=True):
        said = err.read_text()
        built += "preparing: installing" in said
        resolved += "preparing: resolving" in said
        if code:
            errors.append(out.read_text() + said)
        else:
            results.append(json.loads(out.read_text())["result"])
    return Crowd(seconds, results, errors, built, resolved)


def main() -> None:
    """Run it and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kedge-crowd-") as folder:
        os.chmod(folder, 0o755)
        found = crowd(asked.runs, Path(folder), Path(folder) / "home")
    sys.stdout.write(
        f"{len(found.results)} of {asked.runs} succeeded in {found.seconds:.1f} s;"
        f" resolved {found.resolved} times, built {found.built} times\n"
    )
    for error in found.errors[:3]:
        sys.stdout.write(error)


if __name__ == "__main__":
    main()
