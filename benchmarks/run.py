"""Measures the figures that Kedge promises, beside their peers, in one run on this machine.

    ./kedge python benchmarks/run.py [--quick] [--json] [NAME ...]

Without names all of them. Results go to standard output, what is being done to standard error. Everything
is made in a temporary folder and removed. A figure that misses its goal is printed as missed; the exit code
is 0 when everything that was asked for was measured or left out with its reason, 1 when something broke.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator

import boxes
import cancels
import changes
import environments
import files
import functions
import looks
import machine
import primed
import progress
import report
import starts
import tasks
import upkeep
import warm
from figure import Figure, LeftOutError
from programs import ProgramFailedError
from surroundings import Surroundings, surroundings

import containers
from kedge.errors import KedgeError

FIGURES: dict[str, Callable[[Surroundings], Iterator[Figure]]] = {
    "help": starts.help_shown,
    "run": starts.run_of_nothing,
    "agent": starts.through_an_agent,
    "primer": starts.primer,
    "primer-app": primed.app,
    "primer-boot": primed.boot,
    "primer-first": primed.first,
    "import": starts.imported,
    "environment": environments.built,
    "compile": environments.compiled,
    "found": environments.found,
    "file": files.staged,
    "cancel": cancels.cancelled,
    "progress": progress.seen,
    "sandbox": boxes.cold,
    "container": containers.cold,
    "change": changes.line,
    "warm": warm.nothing,
    "warm-numpy": warm.importing,
    "warm-throughput": warm.throughput,
    "warm-memory": upkeep.memory,
    "warm-many": upkeep.many,
    "package": looks.unchanged,
    "function": functions.called,
    "function-array": functions.arrays,
    "function-map": functions.many,
    "function-first": functions.first,
    "tasks": tasks.in_process,
    "shell-tasks": tasks.shell,
}


def main() -> int:
    """Measure what the command line asks for; the exit code."""
    asked = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # what was made is removed
    measured: list[Figure] = []
    left_out: dict[str, str] = {}
    broken: dict[str, str] = {}
    try:
        with surroundings(asked.quick) as place:
            on = machine.described(place)
            if machine.is_busy(on["load"]):
                _say(f"this machine is busy (load {on['load']:.2f}): read ratios, not times")
            for name in asked.names or FIGURES:
                _say(f"measuring: {name}")
                try:
                    measured += FIGURES[name](place)
                except LeftOutError as error:
                    left_out[name] = str(error)
                except (KedgeError, ProgramFailedError) as error:
                    broken[name] = str(error)
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    if asked.json:
        document = {
            "machine": on,
            "quick": asked.quick,
            "figures": [report.data(figure) for figure in measured],
            "left_out": left_out,
            "broken": broken,
        }
        print(json.dumps(document, indent=1))
        return int(bool(broken))
    if asked.quick:
        print("--quick: this shows that everything can be measured; the figures mean nothing")
    for line in (*report.head(on), "", *report.table(measured)):
        print(line)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    for name, reason in broken.items():
        print(f"broken: {name}: {reason}")
    return int(bool(broken))


def _arguments() -> argparse.Namespace:
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=about)
    parser.add_argument("--quick", action="store_true", help="only show that all of it works")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"what to measure: {', '.join(FIGURES)}"
    )
    asked = parser.parse_args()
    for name in asked.names:
        if name not in FIGURES:
            parser.error(f"there is no figure `{name}`; choose from {', '.join(FIGURES)}")
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
