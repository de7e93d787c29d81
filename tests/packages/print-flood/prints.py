import os
import sys


def lines(n: int = 100_000) -> int:
    for number in range(n):
        print(f"line {number}")
    return n


def long_line(mb: int = 4) -> int:
    sys.stdout.write("x" * (mb << 20))
    return mb


def both(n: int = 10) -> int:
    for number in range(n):
        print(f"out {number}", flush=True)
        print(f"err {number}", file=sys.stderr, flush=True)
    return n


def raw() -> None:
    """Bytes that are not UTF-8, and terminal control sequences."""
    os.write(1, b"caf\xe9 \xff\xfe \x1b[31mred\x1b[0m\n")
