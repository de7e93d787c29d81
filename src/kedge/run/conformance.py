"""Whether a function honours the contract: it is run a few times, and what can be seen of it is judged.

Every one is an ordinary run. What no record tells is looked at from outside while it goes on
(`conformance_sight`), and judged by plain functions (`conformance_checks`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, final

from kedge.data import Data, field, replace
from kedge.executor import Cancel
from kedge.run import conformance_checks as checks
from kedge.run import core
from kedge.run.conformance_checks import Check, Tried
from kedge.run.conformance_sight import Sight
from kedge.run.execution import Observer, stopped
from kedge.run.ground import ImageGround

__all__ = ["Check", "Trial", "conform"]

_AT_WORK_S: Final = 1.0  # after which a program has most likely said how it takes a SIGTERM


class Trial(Data):
    """What a function is tried with.

    Args:
        function: its name.
        values: inputs that it takes, by port.
        failing: inputs that it fails on, None when nobody gave any.
        long: inputs that keep it busy for seconds, None when nobody gave any.
        executor: its kind; None: as configured.
        overrides: the caller's own limits, as in a `core.Request`.
    """

    function: str
    values: Mapping[str, Any]
    failing: Mapping[str, Any] | None = None
    long: Mapping[str, Any] | None = None
    executor: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def conform(
    ready: core.Ready, trial: Trial, observer: Observer, cancel: Cancel
) -> tuple[Check, ...]:
    """Try a function, and say of each rule of the contract whether it was seen to hold.

    Args:
        ready: its package.
        trial: what it is tried with.
        observer: told how far it is, and what the runs say.
        cancel: the request to stop.

    Raises:
        InputError, TaskError, Unavailable: as `core.run`.
        RunCancelled, Lost: a stop was asked for.
    """
    trials = _Trials(ready, trial, observer, cancel)
    first = trials.run("its inputs", trial.values)
    if first.kind == "start_failed":
        return checks.not_started(first)
    second = freed = failing = asked = None
    if first.answered:
        second = trials.run("the same inputs again", trial.values)
    elif first.kind == "function_error":
        freed = trials.freed()
    if trial.failing is not None:
        failing = trials.run("inputs that it fails on", trial.failing)
    after = _when_to_ask(first, trial)
    if after is not None:
        values = trial.values if trial.long is None else trial.long
        asked = trials.run("a request to stop", values, ask_after_s=after)
    every = [one for one in (first, second, failing, asked) if one is not None]
    return (
        checks.starts(first),
        checks.inputs(first, second, freed),
        checks.outputs(first, second, trials.function.output_ports),
        checks.failure(failing),
        checks.sigterm(first, asked, long=trial.long is not None),
        checks.writes(every, freed, asked_for=trials.asks_to_write),
        checks.user(every, freed, as_its_user=trials.as_its_user),
        checks.progress(every),
    )


def _when_to_ask(first: Tried, trial: Trial) -> float | None:
    """How many seconds after its processes are first seen a run is asked to stop; None: not at all."""
    if trial.long is not None:
        return _AT_WORK_S
    if not first.answered or first.sight.seen_s is None:
        return None
    return min(_AT_WORK_S, first.sight.seen_s / 2)


@final
class _Trials:
    """The runs of one trial, one after the other."""

    def __init__(self, ready: core.Ready, trial: Trial, observer: Observer, cancel: Cancel) -> None:
        self.function = ready.prepared.description.function(trial.function)
        runtime = ready.prepared.description.runtime
        self.as_its_user = runtime.get("user") == "image"
        self.asks_to_write = bool(runtime.get("writable"))
        self._ready = ready
        self._trial = trial
        self._observer = observer
        self._cancel = cancel
        self._said: set[str] = set()

    def run(
        self, what: str, values: Mapping[str, Any], *, ask_after_s: float | None = None
    ) -> Tried:
        """Run the function once, and look at it; asked to stop so long after it was first seen."""
        self._observer.progress({"message": f"trying {what}"})
        asking = Cancel(self._cancel)
        sight = Sight(asking, ask_after_s)
        observer = Observer(
            started=lambda run: self._started(run, sight),
            tick=sight.tick,
            processes=sight.processes,
            changed=sight.changed_by_it,
            ended=sight.ended,
            notice=lambda text: self._once(text, self._observer.notice, sight),
            lacking=lambda text: self._once(text, self._observer.lacking, sight),
        )
        request = core.Request(
            self._trial.function, values, self._trial.overrides, self._trial.executor
        )
        result = core.run(self._ready, request, observer, asking)
        self._ready = replace(self._ready, entry=None)
        if self._cancel.requested:
            raise result.failure or stopped(self._cancel)
        return Tried(result.run, result.failure, sight)

    def freed(self) -> Tried | None:
        """The first run again, of an image that may be written to, by its own user; None if that fails too."""
        prepared = self._ready.prepared
        if not isinstance(prepared.ground, ImageGround):
            return None
        before = self._ready
        runtime = dict(prepared.description.runtime) | {"writable": True, "user": "image"}
        description = replace(prepared.description, runtime=runtime)
        self._ready = replace(before, prepared=replace(prepared, description=description))
        what = "its inputs as the image's own user, who may write to it"
        tried = self.run(what, self._trial.values)
        self._ready = before
        return tried if tried.answered else None

    def _started(self, run: Any, sight: Sight) -> None:
        sight.run = run
        self._observer.started(run)

    def _once(self, text: str, tell: Callable[[str], None], sight: Sight) -> None:
        """Pass on what a run says before its end; what it says of its results is judged."""
        if text not in self._said and not sight.over:
            self._said.add(text)
            tell(text)
