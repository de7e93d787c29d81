"""What this machine would not do, as an error with its hint."""

import errno
import os

from kedge.errors import KedgeError, StoreError, Unavailable
from kedge.home import home


def refusal(error: OSError) -> KedgeError:
    """What the system did not do, where nothing below could say more about it."""
    reason = error.strerror or str(error)
    path = error.filename if isinstance(error.filename, str) else None
    message = f"`{path}`: {reason}" if path else reason
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Unavailable(message, hint="raise the number of open files, with `ulimit -n`")
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return Unavailable(message, hint="let this account have more processes or memory")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(message, hint="make room, or set KEDGE_HOME to a folder on another disk")
    try:
        os.getcwd()
    except OSError:
        return Unavailable("the working directory is gone", hint="change to another folder")
    if path and path.startswith(home()):
        return StoreError(message, hint="set KEDGE_HOME to a folder that you can write to")
    return Unavailable(message, hint="look whether it is there and whether you may use it")
