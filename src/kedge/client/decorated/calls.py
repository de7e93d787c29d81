"""The calls of one decorated function: written down, run as every function is, their answers read."""

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, final

from kedge import settings
from kedge.client import hints, notices
from kedge.client.decorated import local, many, pickling, places, shipped, written
from kedge.client.decorated.answers import Reading
from kedge.client.decorated.declaration import Declaration
from kedge.client.decorated.items import Items
from kedge.client.decorated.streams import Printed, told
from kedge.client.decorated.terms import InTheirTerms
from kedge.client.decorated.unpickling import Known
from kedge.client.decorated.written import Written
from kedge.client.handle import Run
from kedge.client.opened import Opened
from kedge.client.session import session
from kedge.contract import pickled
from kedge.data import Data, replace
from kedge.engine import KINDS
from kedge.environment import folders
from kedge.errors import (
    EnvironmentFailed,
    Problem,
    Unavailable,
    UsageError,
    Where,
)
from kedge.executor import Cancel, choose
from kedge.executor.choice import AUTO
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.package.source import PackageSource
from kedge.run import core
from kedge.run.prepare import locked
from kedge.run.sweep import fitting
from kedge.task import Published


class Service(Data):
    """A function that is ready to serve, as often as it is wanted and whatever changes meanwhile.

    Args:
        at: where.
        run: makes a run that has not begun, given whom to tell once it answers.
    """

    at: Published
    run: Callable[[Callable[[], None]], Run]


@final
class Calls:
    """What runs a decorated function.

    Args:
        function: as it was written.
        declaration: what it needs.
        yields: whether it is a generator function.
    """

    def __init__(
        self, function: Callable[..., Any], declaration: Declaration, *, yields: bool
    ) -> None:
        self._function = function
        self._declaration = declaration
        self._yields = yields
        self._lock = threading.Lock()
        self._modules: frozenset[str] = frozenset()  # that calls have needed so far
        self._written: tuple[frozenset[str], Written] | None = None
        self._opened: Opened | None = None

    def run(
        self, args: tuple[Any, ...], named: Mapping[str, Any], publish: Published | None
    ) -> Any:
        """Run it and wait; of a generator, its items."""
        run, reading = self._made(args, named, publish, Printed().observer(publish))
        if self._yields:
            items = Items(
                run, reading
            )  # whoever is interrupted here lets go of them, and so of the run
            session().calls.submit(run.execute)
            return items
        if threading.current_thread() is not threading.main_thread():  # no Ctrl-C gets here
            run.execute()
            return run.result()
        try:
            with hints.shown():
                session().calls.submit(run.execute)
            return run.wait_or_cancel()
        except BaseException:
            run.cancel()  # nothing, unless it was interrupted before it was waited for
            raise

    def submit(
        self, args: tuple[Any, ...], named: Mapping[str, Any], publish: Published | None
    ) -> Run:
        """Run it when it is its turn."""
        run, _ = self._made(args, named, publish, told())
        with hints.shown():
            session().background.submit(run.execute)
        return run

    def map(
        self,
        cases: Iterable[Iterable[Any]],
        *,
        length: int | None,
        jobs: int | None,
        ordered: bool,
        return_exceptions: bool,
        progress: bool,
    ) -> Generator[Any]:
        """Run it for each of `cases`; see `Decorated.map`."""
        cancel = Cancel()
        with hints.shown():
            made = self._sent()
            executor = self._executor()
            self._current(made.modules, executor)  # what is wrong with it is wrong once
            if jobs is None:
                machine = this_machine()
                asked = dict(self._declaration.resources)
                limits, _, _ = resources.effective(None, None, asked, machine)
                jobs = fitting(limits, machine.cpu)

        def one(case: Iterable[Any]) -> Any:
            with hints.shown(), ExitStack() as after:
                sent = self._write(made, tuple(case), {}, after)
                opened = self._current(sent.modules, executor)
                ready, request, reading = self._call(opened, sent, executor, None)
                ended = opened.run(ready, request, Cancel(cancel), Printed().observer())
            return reading(ended)

        yield from many.results(
            one,
            cases,
            jobs,
            cancel,
            session().calls,
            name=self._declaration.name,
            length=length,
            ordered=ordered,
            progress=progress,
            return_exceptions=return_exceptions,
        )

    def build(
        self, args: tuple[Any, ...], named: Mapping[str, Any], publish: Published | None
    ) -> str:
        """The tag of an image that makes this one call."""
        from kedge.client.decorated import images, lasting

        with hints.shown(), ExitStack() as after:
            made = self._sent(lasting.sent)
            kind = self._declaration.executor
            if kind not in KINDS:
                configured = settings.get("executor")
                kind = configured if configured in KINDS else AUTO
            executor = choose(kind, image=True).executor
            sent = self._write(made, args, named, after)
            opened = self._current(sent.modules, executor.kind)
            ready, request, _ = self._call(opened, sent, executor.kind, publish)
            return images.built(
                executor,
                ready.prepared,
                self._declaration,
                request.values[pickled.CALL],
                None if publish is None else publish.port,
                told(),
            )

    def service(
        self, args: tuple[Any, ...], named: Mapping[str, Any], publish: Published
    ) -> "Service":
        """The function as it is now, made ready to serve."""
        with hints.shown(), ExitStack() as after:
            made = self._sent()
            stand = self._stand(self._write(made, args, named, after).modules, publish)

        def begin(ready: Callable[[], None]) -> Run:
            observer = replace(Printed().observer(), ready=ready)
            with hints.shown(), ExitStack() as after:
                sent = self._write(made, args, named, after)
                return self._begun(stand, sent, publish, observer, after)[0]

        return Service(publish, begin)

    def lock(self, upgrade: bool | str) -> str | None:
        """The path of the lock."""
        with hints.shown(), self._in_their_terms():
            folder = self._package(self._sent().modules).folder
            return locked(PackageSource(folder), told().step, upgrade=upgrade).path

    def _made(
        self,
        args: tuple[Any, ...],
        named: Mapping[str, Any],
        publish: Published | None,
        observer: core.Observer,
    ) -> tuple[Run, Reading]:
        """A run that has not begun."""
        with hints.shown(), ExitStack() as after:
            sent = self._write(self._sent(), args, named, after)
            stand = self._stand(sent.modules, publish)
            return self._begun(stand, sent, publish, observer, after)

    def _stand(self, modules: frozenset[str], publish: Published | None) -> "_Stand":
        """What it runs on, as the function is now."""
        executor = self._executor()
        if publish is not None and executor is None and (engine := _engine()) is not None:
            return self._in_container(modules, engine)
        return _Stand(self._current(modules, executor), executor)

    def _begun(
        self,
        stand: "_Stand",
        sent: "_Call",
        publish: Published | None,
        observer: core.Observer,
        after: ExitStack,
    ) -> tuple[Run, Reading]:
        """A run of a call that was written; `after` is its own from then on."""
        ready, request, reading = self._call(stand.opened, sent, stand.executor, publish)
        return Run(stand.opened, ready, request, reading, after.pop_all(), observer), reading

    def _executor(self) -> str | None:
        kind = self._declaration.executor
        return None if kind == AUTO else kind

    def _in_container(self, modules: frozenset[str], engine: str) -> "_Stand":
        """A container, where a port is best published; where none can be had what it would have without."""
        try:
            return _Stand(self._current(modules, engine), engine)
        except EnvironmentFailed as error:
            if self._declaration.needs_container:
                raise
            found = _Stand(self._current(modules, None), None)
            notices.notice(f"no container of {engine}'s can serve it: {error.message}")
            return found

    def _write(
        self,
        made: pickling.Sent,
        args: tuple[Any, ...],
        named: Mapping[str, Any],
        after: ExitStack,
    ) -> "_Call":
        """One call, written into a file that goes when `after` ends."""
        with folders.writing("a call"):
            path = places.new_file(after)
            passed = pickling.write_call(
                path,
                self._function,
                made,
                args,
                named,
                unpickle=self._declaration.unpickle,
                items=self._yields,
            )
        self._check_shipped(passed.modules)
        known = Known({**made.classes, **passed.classes}, made.modules | passed.modules)
        return _Call(path, made.modules | _installed(passed.modules), known)

    def _call(
        self, opened: Opened, sent: "_Call", executor: str | None, publish: Published | None
    ) -> tuple[core.Ready, core.Request, Reading]:
        """What is asked for by a call that was written."""
        declaration = self._declaration
        with self._in_their_terms():
            ready = opened.ready(declaration.name, executor)
        request = core.Request(
            declaration.name, {pickled.CALL: sent.path}, executor=executor, publish=publish
        )
        reading = Reading(declaration.name, sent.known, free=declaration.unpickle == "any")
        return ready, request, reading

    def _sent(
        self, sent: Callable[[Callable[..., Any]], pickling.Sent] = pickling.sent
    ) -> pickling.Sent:
        """The function as it is now, with what it refers to."""
        made = sent(self._function)
        self._check_shipped(made.modules, searches=made.searches)
        return made

    def _current(self, modules: frozenset[str], executor: str | None) -> Opened:
        """The function's package as it has to be now, with these modules imported before a call comes."""
        with self._lock, self._in_their_terms():
            before = self._opened
            package = self._package(modules)
            if before is None or before.root != package.folder:
                before = self._opened = Opened(
                    package.folder, session(), told(), executor, self._declaration.identity
                )
            return before

    def _package(self, modules: frozenset[str]) -> Written:
        modules = self._modules = self._modules | modules
        known = self._written
        before = known[1] if known is not None and known[0] == modules else None
        ahead = [name for name in modules if not local.is_local(name) and name != "kedge"]
        found = written.written(self._declaration, ahead, items=self._yields, before=before)
        self._written = modules, found
        return found

    def _check_shipped(self, names: Iterable[str], *, searches: bool = False) -> None:
        """Refuse to run without a module of the caller's that would not be found.

        Raises:
            UsageError: such modules, all of them.
        """
        problems = []
        for one in shipped.missing(names, self._declaration.copy, searches=searches):
            top = os.path.basename(one.place)
            shown = os.path.relpath(one.place, self._declaration.folder)
            if shown == one.inside:
                hint = f'copy=["./{shown}"]'
            else:
                source = f"../{top}" if shown == "." else shown
                hint = f'copy={{"{source}": "{one.inside}"}}'
            shown = one.place if shown.startswith(".") else f"./{shown}"
            why = "is not in `copy`"
            if one.instead is not None:
                why = f"`copy` puts at `{one.instead}`, where it is not found"
            message = f"`{one.name}` is imported from {shown}, which {why}"
            problems.append(Problem(message, self._where("copy"), hint))
        if problems:
            raise UsageError.of(problems, f"what `{self._declaration.name}` imports")

    def _where(self, option: str) -> Where:
        place = self._declaration.where
        return Where(place.file, place.line, path=option)

    def _in_their_terms(self) -> InTheirTerms:
        return InTheirTerms(self._where)


class _Stand(Data):
    """The package that a function stands on, and the kind of executor for that."""

    opened: Opened
    executor: str | None


class _Call(Data):
    """A call that was written.

    Args:
        path: of its file.
        modules: what is best imported before it comes.
        known: whose classes may come back.
    """

    path: str
    modules: frozenset[str]
    known: Known


def _installed(modules: frozenset[str]) -> frozenset[str]:
    """The packages that arguments are of, but for Python's own, which cost little."""
    return frozenset({name.partition(".")[0] for name in modules}) - sys.stdlib_module_names


def _engine() -> str | None:
    """The container engine that `auto` finds, None where there is none or another executor is configured."""
    if settings.get("executor") != AUTO:
        return None
    try:
        return choose(AUTO, image=True).executor.kind
    except Unavailable:
        return None
