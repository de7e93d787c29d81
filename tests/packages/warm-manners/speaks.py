"""Writes in every way there is: when it is imported, when it is called, at the end."""

import atexit
import os
import sys

import kedge

print("imported")
print("a line without its end", end="")
print("imported, too", file=sys.stderr)
os.write(1, b"\nby the system\n")
atexit.register(print, "at the end")


def speaks(n: int) -> int:
    print("ümläut \udcff", n)
    sys.stdout.write("without its end")
    sys.stderr.write("without its end")
    kedge.progress(n, 10, "spoken")
    return n
