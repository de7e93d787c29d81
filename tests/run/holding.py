"""Holds a pool and calls a function in it, as a program that can be killed.

    python holding.py PACKAGE FUNCTION

It writes a line once the call has begun or, should it end, once it has; and then does nothing until it is killed.
"""

import json
import runpy
import signal
import sys
from pathlib import Path

from kedge.executor.warm.pool import Pool
from kedge.run.core import Request

HARNESS = runpy.run_path(str(Path(__file__).parent / "conftest.py"))


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    with Pool() as pool:
        calls = HARNESS["Package"](Path(sys.argv[1]), HARNESS["noted"](pool))
        called = calls.call(Request(sys.argv[2]), pool, on_ready=lambda: say(began=True))
        say(warm=called.is_warm, kind=called.kind, outputs=dict(called.result.run.outputs))
        signal.pause()


if __name__ == "__main__":
    main()
