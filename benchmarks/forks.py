"""What fork(2) itself costs: a process that has imported a module, and forks for each call of it.

Nothing is kept apart, limited or watched: it is what a warm call would cost without any of that.
"""

import subprocess
import time
from types import TracebackType
from typing import Self

from figure import LeftOutError

from kedge.contract.workspace import Workspace

# Told how often, it says how many seconds that took: the pipes to it are not counted.
_PROGRAM = """\
import gc, json, os, sys, time
sys.path.insert(0, sys.argv[1])
import code_of_it
gc.collect()
gc.freeze()
gc.disable()
while asked := os.read(0, 1):
    began = time.perf_counter()
    for _ in range(asked[0]):
        process = os.fork()
        if process == 0:
            with open("in/data.json") as file:
                values = json.load(file)
            value = code_of_it.main(**values)
            with open("out/data.json", "w") as file:
                json.dump({"result": value}, file)
            os._exit(0)
        if os.waitpid(process, 0)[1]:
            sys.exit("a call failed")
    os.write(1, b"%.9f\\n" % (time.perf_counter() - began))
"""
MOST = 255  # calls asked for at once: a byte


class Forking:
    """Such a process. Ended at the end of a `with` block.

    Args:
        python: its interpreter.
        module: the folder that holds `code_of_it.py`.
        made: a workspace, of which its calls read the inputs and write the outputs.
    """

    def __init__(self, python: str, module: str, made: Workspace) -> None:
        self._process = subprocess.Popen(
            [python, "-I", "-B", "-c", _PROGRAM, module],
            cwd=made.folder,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def process(self) -> int:
        """Its number."""
        return self._process.pid

    def called(self) -> float:
        """Seconds that one call takes."""
        self.ask(1)
        return self.taken()

    def ask(self, calls: int) -> None:
        """Have it make so many calls, one after the other."""
        assert self._process.stdin is not None
        self._process.stdin.write(bytes([calls]))

    def taken(self) -> float:
        """Seconds that the calls took which it was asked for."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise LeftOutError("the process that only forks ended")
        return float(said)


def at_once(several: list[Forking], calls: int) -> float:
    """Seconds until each of them has made so many calls, all at the same time."""
    began = time.perf_counter()
    for one in several:
        one.ask(calls)
    for one in several:
        one.taken()
    return time.perf_counter() - began
