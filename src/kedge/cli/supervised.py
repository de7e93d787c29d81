"""Work that outlives a kill of the command that asked for it, to be ended and tidied up at once.

The command forks once, before it has loaded what only one of the two needs. The child is the supervisor:
in a session of its own, it prepares, runs and records. The parent is the face: it shows what it is told and
passes on the wish to stop. Between them is a pipe each way. When the face is killed its pipe ends, and the
supervisor ends the run; when the supervisor is killed the face settles what it left.

Messages are `length, marshal.dumps((name, payload))`. The supervisor gets one, what it is to do, and then
single letters.
"""

import marshal
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kedge.cli.refusal import refusal
from kedge.errors import KedgeError, Lost, RunFailed
from kedge.home import agent_socket

if TYPE_CHECKING:
    from kedge.executor import Cancel
    from kedge.run.execution import Observer

Show = Callable[[str, Any], None]

_ASK, _KILL = b"t", b"k"
_LENGTH: Final = struct.Struct("<I")
_CHUNK: Final = 1 << 18
_WAITING_BYTES: Final = 4 << 20  # told to a face that is behind, before the supervisor waits for it
_PATIENT: Final = 2  # requests to stop that are passed on, the second with force
_STALL_S: Final = 0.25  # a face that takes nothing for so long is stopped, or its terminal is
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# Loaded by the supervisor while its face still reads the command line.
_READY_MADE: Final = ("kedge.run.core", "kedge.executor.sandbox", "kedge.executor.bounds")

_begun: "_Face | None" = None


def make_ready() -> None:
    """Load what a supervisor needs for nearly every run."""
    for module in _READY_MADE:
        import_module(module)


def begin() -> None:
    """Fork the supervisor of this process, which then makes itself ready for `supervised`."""
    global _begun
    wishes, wishing = os.pipe()
    told, telling = os.pipe()
    if os.path.exists(agent_socket()):
        from kedge.cli.agent import supervisor_of_agent

        if (lent := supervisor_of_agent(wishes, telling)) is not None:
            os.close(wishes)
            os.close(telling)
            _begun = _Face(told, wishing, *lent)
            return
        # An agent that answers too late has these, and must not hear what another is to do.
        for end in (wishes, wishing, told, telling):
            os.close(end)
        wishes, wishing = os.pipe()
        told, telling = os.pipe()
    # Nothing that was written and not yet flushed may be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # the terminal's are the face's
    supervisor = os.fork()
    if supervisor == 0:
        os.close(wishing)
        os.close(told)
        supervise(wishes, telling, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(wishes)
    os.close(telling)
    _begun = _Face(told, wishing, supervisor)


def supervised(command: str, given: Mapping[str, Any], show: Show) -> Mapping[str, Any]:
    """Have the supervisor do the work of a command, and show here what it tells.

    Args:
        command: a module of `kedge.cli.work`, whose `work` is called in the supervisor.
        given: its keyword arguments, plain data (`marshal`); what it returns is plain data too.
        show: called here with the name of each of an `Observer`'s calls and what was told.

    Raises:
        KedgeError: what the work raised; Lost when the supervisor was killed.
    """
    global _begun
    if _begun is None:
        begin()
    face, _begun = _begun, None
    assert face is not None
    try:
        return face.attend(command, given, show)
    finally:
        face.close()


class _Face:
    """The side that people see: reads from `told`, and wishes into `wishing`.

    `ended` is a descriptor that is readable once the supervisor has ended; -1 where that is a child.
    """

    def __init__(self, told: int, wishing: int, supervisor: int, ended: int = -1) -> None:
        self._told = told
        self._wishing = wishing
        self._supervisor = supervisor
        self._ended = ended
        self._asked = 0
        self._run: str | None = None

    def attend(self, command: str, given: Mapping[str, Any], show: Show) -> Mapping[str, Any]:
        """Say what is to be done, and show what comes back until it is done."""
        order = memoryview(_message(command, given))
        before = {
            number: signal.signal(number, self._ask)
            for number in _STOPPING
            if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
        }
        try:
            while order:
                order = order[os.write(self._wishing, order) :]
            return self._attend(show)
        except BrokenPipeError:
            raise self._lost() from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Let go of the supervisor."""
        os.close(self._told)
        os.close(self._wishing)
        if self._ended >= 0:
            os.close(self._ended)

    def _wait(self) -> int | None:
        """Wait for the supervisor's end; its wait status, None where that cannot be known."""
        if self._ended < 0:
            return os.waitpid(self._supervisor, 0)[1]
        from kedge.executor.processes import exit_status, wait_readable

        while not wait_readable(self._ended, 1.0):
            continue
        return exit_status(self._ended)

    def _attend(self, show: Show) -> Mapping[str, Any]:
        waiting = bytearray()
        while data := os.read(self._told, _CHUNK):
            waiting += data
            while (message := _taken(waiting)) is not None:
                name, payload = message
                if name == "answer":
                    self._wait()
                    answer: Mapping[str, Any] = payload
                    return answer
                if name == "error":
                    self._wait()
                    raise KedgeError.from_json(payload)
                if name == "broken":
                    self._wait()
                    raise RuntimeError(f"in the supervisor:\n{payload}")
                if name == "started":
                    self._run = payload["id"]
                show(name, payload)
        raise self._lost()

    def _ask(self, *_: object) -> None:
        self._asked += 1
        if self._asked > _PATIENT:
            raise KeyboardInterrupt  # whatever the supervisor is at: it ends when this side is closed
        try:
            os.write(self._wishing, _ASK if self._asked == 1 else _KILL)
        except OSError:
            return  # it has gone, which the reading will tell

    def _lost(self) -> RunFailed:
        """The supervisor went away: settle what it left, as any later command would."""
        status = self._wait()
        signalled = status is not None and os.WIFSIGNALED(status)
        how = f"by signal {os.WTERMSIG(status or 0)}" if signalled else "without a word"
        from kedge.run import core, record

        core.settle()
        what = f"Kedge's supervisor was ended {how}"
        if self._run is None:
            return Lost(what, hint="give the command again")
        run = record.get(self._run)
        if run.failure is not None:
            found = KedgeError.from_json(dict(run.failure))
            if isinstance(found, Lost) and found.evidence.get("pid") == self._supervisor:
                return Lost(
                    f"{found.message}; that was Kedge's supervisor, ended {how}",
                    hint=found.hint,
                    run_id=found.run_id,
                    evidence=found.evidence,
                )
            if isinstance(found, RunFailed):
                return found
        return Lost(
            f"{what} after run `{run.id}` had {run.status}",
            hint=f"`kedge show {run.id}` shows its results",
            run_id=run.id,
        )


def _message(name: str, payload: Any) -> bytes:
    data = marshal.dumps((name, payload))
    return _LENGTH.pack(len(data)) + data


def _taken(waiting: bytearray) -> tuple[str, Any] | None:
    """The first message of what was received, taken from it; None while it is not complete."""
    if len(waiting) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(waiting)
    end = _LENGTH.size + length
    if len(waiting) < end:
        return None
    message: tuple[str, Any] = marshal.loads(bytes(waiting[_LENGTH.size : end]))
    del waiting[:end]
    return message


def supervise(wishes: int, telling: int, signals: set[signal.Signals | int]) -> NoReturn:
    """The supervisor's whole life: it hears from `wishes`, tells to `telling`, takes these `signals`."""
    code = 1
    mouth = _Mouth(wishes, telling)
    try:
        os.setsid()
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)  # until there is somebody to listen
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        _let_go_of_the_terminal()
        try:
            make_ready()
            order = mouth.order()
            if order is not None:
                mouth.tell("answer", _done(mouth, *order))
        except KedgeError as error:
            mouth.tell("error", error.to_json() | {"exit_code": error.exit_code})
        except OSError as error:
            refused = refusal(error)
            mouth.tell("error", refused.to_json() | {"exit_code": refused.exit_code})
        except BaseException:  # noqa: BLE001 - a defect of Kedge's, which people must be able to read
            import traceback

            mouth.tell("broken", traceback.format_exc())
        mouth.finish()
        code = 0
    finally:
        os._exit(code)


def _done(mouth: "_Mouth", command: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    from kedge.executor import Cancel, Stopped, tell_by_signal
    from kedge.executor.processes import become_subreaper

    become_subreaper()
    cancel = Cancel(by_signal=True)

    def asked(*_: object) -> None:
        cancel.request(force=cancel.requested)

    def look(*_: object) -> None:
        mouth.hear(cancel)
        cancel.look()

    signal.signal(signal.SIGIO, look)
    tell_by_signal(mouth.wishes)
    for number in _STOPPING:
        signal.signal(number, asked)
    look()  # what came before anybody listened
    module = import_module(f"kedge.cli.work.{command}")
    try:
        answer: Mapping[str, Any] = module.work(mouth.observer(), cancel, **given)
    except Stopped:
        from kedge.run.execution import stopped

        raise stopped(cancel) from None
    return answer


def _let_go_of_the_terminal() -> None:
    """A reader of the face's output must not wait for the supervisor too."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


class _Mouth:
    """The supervisor's side. It never keeps the run waiting for a face that is stopped."""

    def __init__(self, wishes: int, telling: int) -> None:
        self.wishes = wishes
        self._telling = telling
        self._waiting = bytearray()
        self._stalled = False
        self._dropped = 0
        self._gone = False
        os.set_blocking(telling, False)

    def order(self) -> tuple[str, Any] | None:
        """What is to be done; None when the face went away without a word."""
        waiting = bytearray()
        while (order := _taken(waiting)) is None:
            # Not more than the order: letters may follow.
            wanted = _LENGTH.size - len(waiting)
            if wanted <= 0:
                wanted = _LENGTH.size + _LENGTH.unpack_from(waiting)[0] - len(waiting)
            data = os.read(self.wishes, wanted)
            if not data:
                return None
            waiting += data
        os.set_blocking(self.wishes, False)
        return order

    def observer(self) -> "Observer":
        from kedge.run.execution import Observer

        return Observer(
            step=lambda text: self.tell("step", text),
            started=lambda run: self.tell(
                "started", {"id": run.id, "function": run.function, "executor": run.executor}
            ),
            progress=lambda event: self.tell("progress", dict(event), may_drop=True),
            output=lambda stream, data: self.tell("output", (stream, data), may_drop=True),
            notice=lambda text: self.tell("notice", text),
            detail=lambda text: self.tell("detail", text),
            lacking=lambda text: self.tell("lacking", text),
            tick=self._flush,
        )

    def hear(self, cancel: "Cancel") -> None:
        """Read what the face wants."""
        try:
            letters = os.read(self.wishes, 64)
        except BlockingIOError:
            return
        if not letters:
            self._gone = True
            cancel.request(force=True, abandoned=True)
        else:
            cancel.request(force=_KILL in letters)

    def tell(self, name: str, payload: Any, *, may_drop: bool = False) -> None:
        """Pass something on, at once if the face takes it; with `may_drop`, not to one that does not."""
        if self._gone:
            return
        self._flush()
        if may_drop and len(self._waiting) > _WAITING_BYTES:
            if not self._stalled:
                self._wait()
            if len(self._waiting) > _WAITING_BYTES:
                self._stalled = True
                self._dropped += 1
                return
        if self._dropped:
            number, self._dropped = self._dropped, 0
            self._add(
                "notice", f"{number} pieces of output or progress are not shown here; see the log"
            )
        self._stalled = False
        self._add(name, payload)
        self._flush()

    def finish(self) -> None:
        """Wait until the face has taken everything."""
        os.set_blocking(self._telling, True)
        self._flush()

    def _add(self, name: str, payload: Any) -> None:
        self._waiting += _message(name, payload)

    def _flush(self) -> None:
        try:
            while self._waiting:
                sent = os.write(self._telling, self._waiting[:_CHUNK])
                del self._waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()

    def _wait(self) -> None:
        """Give the face the time that one which still reads needs."""
        import select

        until = time.monotonic() + _STALL_S
        while len(self._waiting) > _WAITING_BYTES and time.monotonic() < until:
            _, ready, _ = select.select((), (self._telling,), (), until - time.monotonic())
            before = len(self._waiting)
            self._flush()
            if ready and len(self._waiting) < before:
                until = time.monotonic() + _STALL_S
