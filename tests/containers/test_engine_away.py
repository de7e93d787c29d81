"""An engine that goes away in the middle of a run, and comes back."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine

SHELL = Path(__file__).parents[1] / "packages" / "shell-image"
# Passes everything on until the file is there; then it ends as an engine's program does without its service.
FRONT = """\
#!/bin/sh
away={away}
cannot() {{ echo "Cannot connect to the engine. Is its service running?" >&2; exit "$1"; }}
if [ -e "$away" ]; then
    cannot 1
fi
if [ "$1" != run ]; then
    exec {engine} "$@"
fi
{engine} "$@" &
until [ -e "$away" ] || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
if [ -e "$away" ]; then
    kill -9 $!
    cannot 125
fi
wait $!
"""


def test_the_run_is_lost_and_its_container_goes_when_the_engine_is_back(
    kedge_alone: Any,
    engine: Engine,
    containers: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = tmp_path / "away"
    programs = tmp_path / "programs"
    programs.mkdir()
    front = programs / engine.kind
    front.write_text(FRONT.format(away=away, engine=engine.path))
    front.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    process = kedge_alone.start("run", SHELL, "deaf", "--executor", engine.kind, "--json")
    for raw in process.stderr:
        if raw.startswith(b"progress: 1/1"):
            break
    away.touch()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and b'"lost"' in out, out
    away.unlink()
    kedge_alone("run", SHELL, "probe", "--executor", engine.kind)
    until = time.monotonic() + 30
    while containers():
        assert time.monotonic() < until
    assert not subprocess.run(["pgrep", "-f", str(front)], capture_output=True, check=False).stdout
