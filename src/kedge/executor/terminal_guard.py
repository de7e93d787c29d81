"""The guard of one debug session without a sandbox: the program keeps the terminal, nothing is left behind.

Run as `python -I -S -B terminal_guard.py CONTROL SPEC`, two descriptors. As `guard.py`, of which it is made,
but that the program stays in the caller's session, where the terminal is, and that its exit status is the
guard's own: 128 and the signal's number when a signal ended it.
"""

import importlib.util
import marshal
import os
import signal
import sys

TYPE_CHECKING = False  # as typing's, which is not imported
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# What a terminal sends to everybody in front of it is meant for the program.
_TERMINAL = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
)


def main(control: int, spec_file: int) -> int:
    """Start what the specification says, obey until it has ended, and end the rest; its exit status."""
    guard = _guard()
    for descriptor in (control, spec_file):
        os.set_inheritable(descriptor, False)
    guard.prctl(guard.PR_SET_CHILD_SUBREAPER, 1)
    with os.fdopen(spec_file, "rb") as file:
        first, spec = marshal.load(file), marshal.load(file)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in _TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    program = os.fork()
    if program == 0:
        try:
            _become(guard, first, spec)
            guard.execute(spec["argv"], spec["env"])
        except OSError as error:
            print(f"{spec['argv'][0]}: {error.strerror}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)
    ended = guard.obey(control, woken, program)
    killed = guard.kill_all(program)
    status = killed if ended is None else ended
    return 128 + signal.SIGKILL if status is None else _code(status)


def _guard() -> "ModuleType":
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")
    spec = importlib.util.spec_from_file_location("guard", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _become(guard: "ModuleType", first: "dict[str, Any]", spec: "dict[str, Any]") -> None:
    signal.set_wakeup_fd(-1)
    for number in (*_TERMINAL, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    guard.give_up(spec, guard.come_under(first))


def _code(status: int) -> int:
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


if __name__ == "__main__":
    os._exit(main(*(int(argument) for argument in sys.argv[1:])))
