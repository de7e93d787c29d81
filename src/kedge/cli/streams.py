"""The standard streams that Kedge was started with."""

import os
import sys


def open_closed_streams() -> None:
    """Give a standard stream that the caller closed the null device.

    Else its number goes to the next file that is opened, and what is printed goes into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
