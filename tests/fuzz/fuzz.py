"""Puts anything at all into what reads text and data of others, and looks at what comes out.

    python tests/fuzz/fuzz.py --cases 1000000 --seed 1 [--kind manifest]

What comes out is a value or one of Kedge's errors, in words with a hint, within a second. Everything
else is shown with the seed, the kind and the number of its case, by which it is found again:

    python tests/fuzz/fuzz.py --seed 1 --kind manifest --only 4711
"""

import argparse
import gc
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Final

from judging import Finding
from manifest_cases import manifest_case, requirement_case, testcase_case
from run_cases import cleared, failure_case, folder_case, progress_case
from type_cases import schema_case, type_case, unit_case
from value_cases import argument_case, input_case, output_case

from kedge.ports import Ports, check_inputs, parse_type

KINDS: Final[dict[str, Callable[[Random], None]]] = {
    "manifest": manifest_case,
    "requirement": requirement_case,
    "testcase": testcase_case,
    "type": type_case,
    "unit": unit_case,
    "schema": schema_case,
    "input": input_case,
    "argument": argument_case,
    "output": output_case,
    "progress": progress_case,
    "failure": failure_case,
    "folder": folder_case,
}
SLOWEST_S: Final = 1.0  # of the processor's time in one case: what a person notices as waiting
_HANGS_S: Final = 60.0  # of the clock, after which a case is ended: it waits for what never comes
_MOST: Final = 100  # findings of one kind, after which its cases end
_SHOWN: Final = 5  # findings of one sort that are shown in full


class Hang(BaseException):
    """A case that does not end; no handler of Exception may keep it."""


def run(kind: str, seed: int, numbers: range, slowest_s: float = SLOWEST_S) -> Counter[str]:
    """Run the cases `numbers` of one kind and show what they found, until that is too much.

    Args:
        kind: of the cases.
        seed: with a case's number, all that decides what it is.
        numbers: of the cases.
        slowest_s: seconds of the processor's time that a case may take.

    Returns how often each sort of finding was made.
    """
    signal.signal(signal.SIGALRM, _hang)
    case = KINDS[kind]
    random = Random()
    found: Counter[str] = Counter()
    for number in numbers:
        random.seed(f"{seed}:{kind}:{number}")
        signal.setitimer(signal.ITIMER_REAL, _HANGS_S)
        start = time.process_time()
        try:
            case(random)
        except Finding as finding:
            _show(found, kind, seed, number, _sort(finding), str(finding))
        except (Exception, Hang) as error:
            _show(found, kind, seed, number, _sort(error), traceback.format_exc())
        took = time.process_time() - start
        if took > slowest_s:
            _show(found, kind, seed, number, "slow", f"took {took:.1f} s")
        if found.total() >= _MOST:
            break
    signal.setitimer(signal.ITIMER_REAL, 0)
    return found


def _sort(error: BaseException) -> str:
    """What findings of one cause have in common: where the error was raised, and its class."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, Finding):
        return f"Finding {str(error).split(':')[0][:30]}"
    return f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"


def _show(found: Counter[str], kind: str, seed: int, number: int, sort: str, words: str) -> None:
    found[sort] += 1
    if found[sort] <= _SHOWN:
        print(f"--seed {seed} --kind {kind} --only {number}: {sort}\n{words[-3000:]}", flush=True)


def _warm() -> None:
    """Load what is loaded when it is first needed, so that no case pays for it."""
    parse_type("list[Length[furlong]]")
    check_inputs(Ports({"a": {"type": "string", "minLength": 3}}), {"a": "", "b": 1})
    manifest_case(Random(0))
    gc.freeze()


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"ended after {_HANGS_S} s")


def main(words: list[str]) -> int:
    """Run what the words ask for; 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append", help="one kind; all without it")
    parser.add_argument("--only", type=int, help="one case, by its number")
    options = parser.parse_args(words)
    numbers = range(options.cases)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    _warm()
    wrong = 0
    try:
        for kind in options.kind or KINDS:
            start = time.perf_counter()
            found = run(kind, options.seed, numbers)
            took = time.perf_counter() - start
            wrong += found.total()
            rate = len(numbers) / took
            print(f"{kind:12} {len(numbers):9,} cases {took:8.1f} s {rate:9,.0f}/s  {dict(found) or 'nothing found'}", flush=True)  # fmt: skip
    finally:
        cleared()
    print(f"seed {options.seed}: {wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
