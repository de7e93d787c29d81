"""A function of a package, called as a function of Python."""

import math
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, final

from kedge.client import awaiting, hints, notices, sweep
from kedge.client.carrying import carried
from kedge.client.handle import Run
from kedge.client.opened import Opened
from kedge.client.values import attribute, given, returned, staged
from kedge.data import Data, replace
from kedge.errors import InputError, UsageError
from kedge.executor import Cancel
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.ports import check_inputs
from kedge.run import core
from kedge.run.sweep import fitting

if TYPE_CHECKING:
    import inspect


class _Options(Data):
    """What a caller wants of the runs of a function; None is as the package has it."""

    executor: str | None = None
    network: bool = False
    timeout: float | None = None
    cpu: float | None = None
    memory_mb: int | None = None

    def request(self, function: str, values: Mapping[str, Any]) -> core.Request:
        """What is asked of one run."""
        overrides = {"timeout": self.timeout, "cpu": self.cpu, "memory_mb": self.memory_mb}
        return core.Request(function, values, overrides, self.executor, self.network)


@final
class Function:
    """A function of a loaded package. To call it is to run it, in the runtime that it needs.

    Inputs go by name, or by place in the order of the ports. What comes back is the value that the
    function returned; files are `pathlib.Path`s, and several outputs a dictionary.

    >>> package.area(width="2 cm", height=3)
    60.0
    """

    def __init__(self, opened: Opened, name: str, options: _Options | None = None) -> None:
        self._opened = opened
        self._name = name
        self._options = options or _Options()

    def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run it and wait for its result. To interrupt the wait (Ctrl-C) cancels the run.

        Raises:
            InputError: inputs that its ports do not admit, all of them; nothing was started.
            RunFailed: the run failed; the subclass says how.
            KedgeError: it could not be run.
        """
        run = self._made(args, inputs)
        if threading.current_thread() is not threading.main_thread():  # no Ctrl-C gets here
            run.execute()
            return run.result()
        with hints.shown():
            self._opened.session.calls.submit(run.execute)
        return run.wait_or_cancel()

    def submit(self, /, *args: Any, **inputs: Any) -> Run:
        """Run it and go on; some at once, the others when it is their turn.

        Raises:
            InputError: inputs that its ports do not admit, all of them; nothing was started.
            KedgeError: it cannot be run.
        """
        run = self._checked(args, inputs)
        self._submitted(run)
        return run

    def map(
        self,
        cases: sweep.Cases,
        *,
        jobs: int | None = None,
        progress: bool = True,
        return_exceptions: bool = False,
    ) -> Iterator[Any]:
        """Run it for each of many inputs, some at once; their results in order, as they come.

        Nothing is run before the first result is asked for. When the last one was given, or whoever asks
        leaves, nothing runs any more. All run the package as it is when the first begins.

        Args:
            cases: dictionaries of inputs, or one dictionary of columns. They are taken one by one.
            jobs: how many at once; None: as many as have the CPUs that the function may use.
            progress: whether to show a bar where standard error is a terminal; elsewhere, lines in the log.
            return_exceptions: whether an error takes the place of a result; else the first that fails is
                raised, once the others were cancelled; a note says which case it was.

        Raises:
            KedgeError: as a call does.
        """
        _check_jobs(jobs)
        return carried(self._results(cases, jobs, Cancel(), progress, return_exceptions))

    async def acall(self, /, *args: Any, **inputs: Any) -> Any:
        """Run it, and await its result. To cancel the task cancels the run, and a second time at once.

        Raises:
            KedgeError: as a call does.
        """
        with hints.shown():
            making = self._opened.session.making.submit(self._checked, args, inputs)
        run = await awaiting.ended(making, lambda _: making.cancel())
        self._submitted(run)
        return await run

    def amap(
        self,
        cases: sweep.Cases,
        *,
        jobs: int | None = None,
        progress: bool = True,
        return_exceptions: bool = False,
    ) -> AsyncIterator[Any]:
        """`map` for `async for`. To cancel the task cancels all that runs, and a second time at once."""
        _check_jobs(jobs)
        cancel = Cancel()
        results = carried(self._results(cases, jobs, cancel, progress, return_exceptions))
        return awaiting.each(results, cancel.request, self._opened.session.calls)

    def options(
        self,
        *,
        executor: str | None = None,
        network: bool | None = None,
        timeout: float | None = None,
        cpu: float | None = None,
        memory_mb: int | None = None,
    ) -> "Function":
        """The same function, to be run differently; what is not given stays as it is.

        Args:
            executor: `auto`, `sandbox`, `process`, `docker` or `podman`.
            network: whether to allow the network although the package does not ask for it.
            timeout: seconds that a run may take.
            cpu: CPUs that it may use.
            memory_mb: MiB of memory that it may use.

        Raises:
            UsageError: an amount that is none.
        """
        amounts = {"timeout": timeout, "cpu": cpu, "memory_mb": memory_mb}
        with hints.shown():
            for name, value in amounts.items():
                if value is not None and not _is_amount(value, whole=name == "memory_mb"):
                    what = "a whole number" if name == "memory_mb" else "a number"
                    raise UsageError(f"`{name}` is {value!r}", hint=f"give {what} above 0")
        told = amounts | {"executor": executor, "network": network}
        changes = {name: value for name, value in told.items() if value is not None}
        return Function(self._opened, self._name, replace(self._options, **changes))

    @property
    def __name__(self) -> str:
        """The name as Python spells it."""
        return attribute(self._name)

    @property
    def __signature__(self) -> "inspect.Signature":
        """The inputs and what comes back, as the package was last seen."""
        from kedge.client.signature import signature_of

        return signature_of(self._opened.description.function(self._name))

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
        """The types of the signature, as `typing.get_type_hints` takes them."""
        signature = self.__signature__
        found = {name: one.annotation for name, one in signature.parameters.items()}
        return found | {"return": signature.return_annotation}

    def __repr__(self) -> str:
        return f"<kedge function {self._opened.description.name}#{self._name}>"

    def _made(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Run:
        """A run that has not begun."""
        with hints.shown(), ExitStack() as after:
            ready, values = self._bound(args, inputs, after)
            return self._run(ready, values, after.pop_all())

    def _checked(self, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Run:
        """A run that has not begun, of inputs that are right and its own: who gave them may change theirs."""
        with hints.shown(), ExitStack() as after:
            ready, values = self._bound(args, inputs, after)
            ports = ready.prepared.description.function(self._name).input_ports
            values, problems = check_inputs(ports, values)
            if problems:
                raise InputError.of(problems, f"the inputs of `{self._name}`")
            return self._run(ready, values, after.pop_all())

    def _bound(
        self, args: tuple[Any, ...], inputs: Mapping[str, Any], after: ExitStack
    ) -> tuple[core.Ready, dict[str, Any]]:
        """The package as it is now, and the inputs by its ports."""
        ready = self._opened.ready(self._name, self._options.executor)
        ports = ready.prepared.description.function(self._name).input_ports
        return ready, staged(ports, given(ports, args, inputs, self._name), after)

    def _run(self, ready: core.Ready, values: Mapping[str, Any], after: ExitStack) -> Run:
        outputs = ready.prepared.description.function(self._name).output_ports
        request = self._options.request(self._name, values)
        return Run(
            self._opened, ready, request, partial(returned, outputs), after, notices.OBSERVER
        )

    def _submitted(self, run: Run) -> None:
        """Have it run when it is its turn."""
        with hints.shown():
            self._opened.session.background.submit(run.execute)

    def _results(
        self,
        cases: sweep.Cases,
        jobs: int | None,
        cancel: Cancel,
        progress: bool,
        return_exceptions: bool,
    ) -> Generator[Any]:
        opened, options = self._opened, self._options
        with hints.shown():
            ready = opened.ready(self._name, options.executor)
            description = ready.prepared.description
            function = description.function(self._name)
            ports = function.input_ports
            if jobs is None:
                machine = this_machine()
                asked = options.request(self._name, {}).overrides
                limits, _, _ = resources.effective(
                    description.resources, function.resources, asked, machine
                )
                jobs = fitting(limits, machine.cpu)

            def one(case: Mapping[str, Any]) -> Any:
                with hints.shown(), ExitStack() as after:
                    values = staged(ports, given(ports, (), case, self._name), after)
                    request = options.request(self._name, values)
                    ended = opened.run(ready, request, Cancel(cancel))
                return returned(function.output_ports, ended)

            yield from sweep.results(
                one,
                cases,
                jobs,
                cancel,
                opened.session.calls,
                name=self._name,
                progress=progress,
                return_exceptions=return_exceptions,
            )


class _Documentation:
    """The docstring of a function of a package; that of the class where the class is asked."""

    def __init__(self, of_class: str | None) -> None:
        self._of_class = of_class

    def __get__(self, function: Function | None, _: type) -> str | None:
        if function is None:
            return self._of_class
        from kedge.client.signature import documentation_of

        return documentation_of(function._opened.description.function(function._name))


Function.__doc__ = _Documentation(Function.__doc__)  # type: ignore[assignment]


@hints.shown()
def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"`jobs` is {jobs!r}", hint="give a whole number above 0")


def _is_amount(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return value > 0 and math.isfinite(value)
