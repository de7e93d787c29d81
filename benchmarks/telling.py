"""What a program does that is told what to measure: each line is a number, and the answer is seconds.

It runs on whatever Python the program has, beside whatever is installed there: standard library only.
"""

import sys
from collections.abc import Callable, Mapping


def obey(subjects: Mapping[str, Callable[[int], float]]) -> None:
    """Do the subject that the first argument names, with each number, until none comes any more."""
    subject = subjects[sys.argv[1]]
    for line in sys.stdin:
        print(subject(int(line)), flush=True)


def check(holds: bool) -> None:
    """End the program when what was done did not give what it should."""
    if not holds:
        sys.exit("it gave something else")
