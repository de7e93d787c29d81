"""One version of a function that serves, in the process that imports it: it does what it is told, in letters.

What it has to say it says in lines of JSON: `{"is": "prepared"}` and the like, with `paths` where these are
known; `notice` and `step` for people. Errors it writes to standard error itself, before it says that there was one.
"""

import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, NoReturn, final, override

from kedge.cli.dev import loading
from kedge.cli.report import say, write_error
from kedge.client.decorated import decorator
from kedge.client.decorated.calls import Service
from kedge.client.handle import Run
from kedge.errors import KedgeError
from kedge.task import Published

SERVE: Final = b"s"  # begin to serve
PAUSE: Final = b"p"  # stop, and be ready to begin again
LEAVE: Final = b"q"

# What it says that it is.
FAILED: Final = "failed"  # it cannot be imported or prepared
PREPARED: Final = "prepared"
ANSWERS: Final = "answers"
PAUSED: Final = "paused"
ENDED: Final = "ended"  # by itself


def live(file: str, name: str | None, published: Published, orders: int, report: int) -> NoReturn:
    """The whole life of a version.

    Args:
        file, name: where the function is, and what it is called.
        published: where it serves; an empty host leaves that to the function.
        orders: letters come from there; at its end the command is gone.
        report: what it says goes there.
    """
    code = 1
    try:
        os.setsid()  # Ctrl-C is for the command, which asks for what is to be done then
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _Version(orders, report).live(file, name, published)
        code = 0
    except BaseException:  # noqa: BLE001 - a defect of Kedge's, which people must be able to read
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@final
class _Version:
    def __init__(self, orders: int, report: int) -> None:
        self._orders = orders
        self._report = report
        self._saying = threading.Lock()
        self._letters: SimpleQueue[bytes] = SimpleQueue()
        self._run: Run | None = None
        self._going = threading.Thread()
        self._paused = False

    def live(self, file: str, name: str | None, published: Published) -> None:
        threading.Thread(target=self._hear, daemon=True).start()
        logging.getLogger("kedge").addHandler(_Telling(self._say))
        on_terminal = sys.stderr.isatty()  # then what is prepared is shown there anyway
        logging.getLogger("kedge").setLevel(logging.WARNING if on_terminal else logging.INFO)
        service = self._made(file, name, published)
        while (letter := self._letters.get()) != LEAVE:
            if service is not None and letter == SERVE:
                self._begin(service)
            elif letter == PAUSE:
                self._paused = True
                self._end()
                self._say({"is": PAUSED})
        self._paused = True
        self._end()

    def _made(self, file: str, name: str | None, published: Published) -> Service | None:
        """What serves; None once it is said why there is nothing."""
        before = set(sys.modules)
        try:
            loaded = loading.load(file, name)
            paths = set(loaded.paths)
            found = decorator.service(loaded.function, published.port, published.host or None)
        except BaseException as error:  # noqa: BLE001 - also what ends an interpreter, as sys.exit() does
            paths = {file, *loading.local_files(before)}
            paths |= set(loading.files_of(error, os.path.dirname(file)))
            _show(error, file)
            self._say({"is": FAILED, "paths": sorted(paths)})
            return None
        at = f"http://{found.at.address}"
        self._say({"is": PREPARED, "paths": sorted(paths), "at": at})
        return found

    def _begin(self, service: Service) -> None:
        self._paused = False
        try:
            self._run = service.run(lambda: self._say({"is": ANSWERS}))
        except KedgeError as error:  # what it stood on is gone
            _show(error)
            self._say({"is": ENDED})
            return
        self._going = threading.Thread(target=self._go, args=(self._run,), daemon=True)
        self._going.start()

    def _go(self, run: Run) -> None:
        run.execute()
        if self._paused:
            return
        try:
            value = run.result()
            if value is not None:
                say(f"it returned {value!r}")
        except BaseException as error:  # noqa: BLE001 - whatever the function raised
            _show(error)
        self._say({"is": ENDED})

    def _end(self) -> None:
        if self._run is not None:
            self._run.cancel()
            self._going.join()

    def _hear(self) -> None:
        """Take letters. Without anybody there any more, whatever goes on is over."""
        while letter := os.read(self._orders, 1):
            self._letters.put(letter)
        self._paused = True
        if self._run is not None:
            self._run.cancel(force=True)
            self._going.join()
        os._exit(1)

    def _say(self, what: dict[str, Any]) -> None:
        with self._saying:
            try:
                os.write(self._report, json.dumps(what).encode() + b"\n")
            except BrokenPipeError:
                return  # nobody is there; `_hear` sees to the rest


@final
class _Telling(logging.Handler):
    """Passes on what a run has to say to people."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._say = say

    @override
    def emit(self, record: logging.LogRecord) -> None:
        kind = "notice" if record.levelno >= logging.WARNING else "step"
        self._say({kind: record.getMessage()})


def _show(error: BaseException, file: str | None = None) -> None:
    """Say what is wrong: with importing `file`, if one is named, else with a run."""
    if isinstance(error, KedgeError):
        write_error(error, as_json=False)
    elif file is None:  # what the function raised, with its traceback as a note
        say("error: " + "".join(traceback.format_exception_only(error)).rstrip("\n"))
    else:
        say(f"error: `{os.path.basename(file)}` cannot be imported\n{loading.shown(error)}")
