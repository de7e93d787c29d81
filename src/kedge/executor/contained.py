"""A program in its container, from its start to its end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, final

from kedge.engine.look import Engine
from kedge.engine.programs import call, dies_with_us, start
from kedge.errors import Lost, StartFailed
from kedge.executor import processes
from kedge.executor.container_command import FIRST_FILE, ID_FILE
from kedge.executor.container_group import ContainerGroup
from kedge.executor.containers import name_of, note_left, remove_container
from kedge.executor.descriptors import Descriptors
from kedge.executor.lifeline import Lifeline
from kedge.executor.watch import KILL_PATIENCE_S, Outcome
from kedge.task.published import Published

# What an engine's program ends with when the container could not start.
REFUSED: Final = (125, 126, 127)
_UNKNOWN: Final = 125  # also when it does not know how the container ended
_REASONS: Final = ("docker: ", "Error: ")  # before the words that say why, among others

# What engines say of a port that somebody took since it was looked at.
_IN_USE: Final = ("port is already allocated", "address already in use")
_OOM_FILE: Final = "oom"
_NEVER: Final = "0001-01-01T00:00:00"  # when a container was started that never was
_EAGER_S: Final = 0.01  # a look goes through the processes of the machine
_EAGER_FOR_S: Final = 5.0


@final
class Contained:
    """A program in its container, and the engine's program that passes on what it writes."""

    def __init__(
        self,
        descriptors: Descriptors,
        engine: Engine,
        arguments: list[str],
        environment: Mapping[str, str],
        run_id: str,
        group: ContainerGroup,
        folder: str,
        publish: Published | None = None,
    ) -> None:
        self._descriptors = descriptors
        self._engine = engine
        self._run_id = run_id
        self._name = name_of(run_id)
        self._stopped = False  # by Kedge
        self._group = group
        self._folder = folder
        self._publish = publish
        self._removal: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []
        self.stdout, stdout_end = descriptors.pipe()
        self.stderr, stderr_end = descriptors.pipe()
        self._lifeline = Lifeline(descriptors, engine, self._name)
        try:
            self._client = subprocess.Popen(
                [*dies_with_us(), engine.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout_end,
                stderr=stderr_end,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            self._lifeline.release()
            raise StartFailed(
                f"{engine.path} could not be started: {error.strerror}", hint="install it anew"
            ) from error
        descriptors.close(stdout_end, stderr_end)
        self.ended = descriptors.add(os.pidfd_open(self._client.pid))
        self.began: float | None = None
        self.eager_s = _EAGER_S
        self._eager_until = time.monotonic() + _EAGER_FOR_S
        self.on_changed: Callable[[list[str]], None] | None = None
        self.on_writable: Callable[[list[str]], None] | None = None

    def found(self) -> bool:
        """Whether its processes are known, or can only be looked for now and then.

        Those of an engine that runs in a machine of its own are never found.
        """
        if self._group.container is None:
            with suppress(OSError), open(os.path.join(self._folder, ID_FILE)) as file:
                self._group.container = file.read().strip() or None
        if self._group.first is None and not self._group.enforces:
            with (
                suppress(OSError, ValueError),
                open(os.path.join(self._folder, FIRST_FILE)) as file,
            ):
                self._group.first = int(file.read())
        known = self._group.find()
        if known and self.began is None:
            self.began = time.monotonic()
        if known and self.on_writable is not None and (folders := self._group.writable()):
            self.on_writable(folders)
            self.on_writable = None
        return known or time.monotonic() > self._eager_until

    def is_done(self) -> bool:
        """Never before it has ended: a program that closes its streams may have more to do."""
        return False

    def ask(self) -> bool:
        """SIGTERM to its process group, by the engine where that is not known."""
        self.found()
        self._stopped = True
        program = self._program()
        if program is None:
            self._helpers.append(start(self._engine.path, "kill", "--signal", "TERM", self._name))
            return True
        with suppress(ProcessLookupError):
            processes.ask_to_end(os.getpgid(program))
        return True

    def ask_all(self) -> None:
        """SIGTERM to all of its processes."""
        for process in self.processes():
            processes.send(process, signal.SIGTERM)
            processes.send(process, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the container, by the kernel where that may be and by the engine in any case."""
        self._stopped = True
        self._group.kill()
        if self.began is None:
            self._client.kill()  # it may still be asking for the container
        self._helpers.append(start(self._engine.path, "kill", self._name))

    def processes(self) -> list[int]:
        """The host's numbers of its processes that live now."""
        self.found()
        return self._group.processes()

    def network(self) -> str | None:
        """The folder of /proc that tells of its network, None where its processes are not seen."""
        return f"/proc/{self._group.first}/net" if self._group.find() else None

    def shared_memory(self) -> str | None:
        """The engine counts it."""
        return None

    def settle(self) -> Outcome:
        """How the program ended, in the engine's words; the container is being removed from then on."""
        code = self._client.wait()
        if self._is_clear(code):
            self._group.settle(killed_for_memory=self._monitor_saw_it())
            self._remove()
            return Outcome(True, *processes.told_apart(code), None, None, None, None)
        state = self._state()
        if state is None:
            self._remove()
            if self._stopped:
                remove_container(self._engine.kind, self._run_id)  # it may just be on its way
            if self._stopped or (code in REFUSED and self.began is None):
                return Outcome(False, code, None, None, None, None, None)
            self._group.kill()  # by the kernel: it outlives its engine
            raise Lost(
                f"{self._engine.kind} lost the container of this run",
                hint=f"see whether its service was restarted, then run it again; it ended with {code}",
            )
        began = str(state.get("StartedAt", _NEVER))
        if state.get("Running") and not self._stopped:
            # Only the engine's program has ended: killed, or cut off from its service.
            call(self._engine.path, "kill", self._name)
            self._remove()
            raise Lost(
                f"the connection to {self._engine.kind} was lost while the container ran",
                hint="see whether its service was restarted, then run it again",
            )
        if code == _UNKNOWN != int(state["ExitCode"]) and self.began is not None:
            self._remove()
            raise Lost(
                f"{self._engine.kind} went away while the container ran",
                hint="see whether its service was restarted, then run it again",
            )
        exit_code, number = processes.told_apart(int(state["ExitCode"]))
        self._group.settle(killed_for_memory=bool(state.get("OOMKilled")) or self._monitor_saw_it())
        if self.on_changed is not None:
            self.on_changed(call(self._engine.path, "diff", self._name).out.splitlines())
        self._remove()
        if began.startswith(_NEVER):
            if self._stopped or not state.get("Error"):  # Podman only writes why
                return Outcome(False, code, None, None, None, None, None)
            raise self._could_not_start(str(state["Error"]))
        wall = _seconds(began, str(state.get("FinishedAt", "")))
        return Outcome(True, exit_code, number, None, None, None, None, wall)

    def refused(self, said: bytes) -> StartFailed:
        """The error for what its engine wrote instead of starting it."""
        lines = [
            line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()
        ]
        why = [line for line in lines if line.startswith(_REASONS)]
        return self._could_not_start((why or lines or [""])[0])

    def _could_not_start(self, said: str) -> StartFailed:
        if self._publish is not None and any(words in said for words in _IN_USE):
            from kedge.executor import publishing

            return StartFailed(
                publishing.in_use(self._publish), hint=publishing.way_out(self._publish)
            )
        return could_not_start(said)

    def _is_clear(self, code: int) -> bool:
        """Whether nothing is to be asked: Podman's program ends as the container did, and is no service's."""
        return (
            self._engine.kind == "podman"
            and self.began is not None
            and self.on_changed is None
            and code >= 0
            and code not in REFUSED
        )

    def _monitor_saw_it(self) -> bool:
        """Whether a process was killed for memory: Podman's monitor leaves a file where it was started.

        Podman 4 looks for that file elsewhere.
        """
        return os.path.exists(os.path.join(self._folder, _OOM_FILE))

    def close(self) -> None:
        """Remove the container, whatever it does, and let go of the descriptors."""
        if self._removal is None:
            self.kill()
            self._remove()
        until = time.monotonic() + KILL_PATIENCE_S
        for helper in (*self._helpers, self._client):
            try:
                helper.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()
        if self._removal is not None:
            with suppress(subprocess.TimeoutExpired):  # a busy engine goes on without us
                self._removal.wait(max(0.1, until - time.monotonic()))
            if self._removal.returncode != 0:
                note_left(self._engine.kind, self._run_id)
        self._lifeline.release()
        self._descriptors.close()

    def _program(self) -> int | None:
        """The program's own process: the first one's child; None where it cannot be seen or signalled."""
        first = self._group.first if self._group.find() else None
        program = processes.first_child(first) if first is not None else None
        if program is None:
            return None
        try:
            os.kill(program, 0)
        except OSError:
            return None
        return program

    def _state(self) -> dict[str, Any] | None:
        done = call(
            self._engine.path, "container", "inspect", "--format", "{{json .State}}", self._name
        )
        try:
            found: dict[str, Any] | None = json.loads(done.out) if done.code == 0 else None
        except ValueError:
            return None
        return found

    def _remove(self) -> None:
        if self._removal is None:
            self._removal = start(
                self._engine.path, "rm", "--force", "--volumes", self._name, outlives_us=True
            )


def _seconds(began: str, ended: str) -> float | None:
    """Seconds between two of an engine's times, None where they say nothing: a quick end may be noted first."""
    try:
        passed = (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except ValueError:
        return None
    return passed if passed > 0 else None


def could_not_start(said: str) -> StartFailed:
    """The error for what an engine or a container's first process says of a program."""
    why = said.rpartition("unable to start container process: ")[2] or said
    return StartFailed(
        f"the program could not be started in the image: {why or 'no reason given'}",
        hint="see `entrypoint` in the manifest, and that the image has this program",
    )
