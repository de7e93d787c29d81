"""Inside a box for programs: forks that wait in namespaces which are ready, and execute one when told to.

Nothing is imported for anybody: until its program is executed, a fork is Kedge's own code alone, as the keeper is,
which it is a fork of. So nothing of Kedge, nor its interpreter, has to be seen in the box.
"""

import errno
import marshal
import os
import socket
from typing import Final, NoReturn

from kedge.executor.guard import execute
from kedge.executor.warm import zygote

_NOT_EXECUTED: Final = 127


class Command(zygote.Fork):
    """A fork that becomes a program."""

    def prepare(self) -> None:
        """To no effect but that what `make` needs of memory is this process's own by then."""
        order = marshal.dumps({"argv": ("/",), "env": {"PATH": ""}, "folder": "."})
        found = marshal.loads(order)
        os.chdir(found["folder"])
        try:
            execute(found["argv"], found["env"])
        except OSError:
            return

    def make(self, data: bytes, line: int) -> NoReturn:
        """Execute what is ordered; where that fails, say why on the line, which is closed where it does not."""
        os.set_inheritable(line, False)
        try:
            found = marshal.loads(data)
            os.chdir(found["folder"])
            execute(found["argv"], found["env"])
        except Exception as error:  # noqa: BLE001 - what cannot be passed on is a ValueError
            number = error.errno if isinstance(error, OSError) else None
            os.write(line, b"%d" % (number or errno.EINVAL))
        finally:
            os._exit(_NOT_EXECUTED)


def serve(line: int, rules: bytes) -> None:
    """Fork a process for each message on this line to the keeper, until that has gone.

    Args:
        line: its descriptor.
        rules: a program's own system-call filter.
    """
    with socket.socket(fileno=line) as asked:
        command = Command(rules, line)
        asked.send(b"ready")
        zygote.serve(asked, command)
