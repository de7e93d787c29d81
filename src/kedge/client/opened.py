"""An open package: where it is, what it is now, what it holds."""

import os
import weakref
from contextlib import suppress
from typing import NoReturn, final

from kedge.client import hints, notices
from kedge.client.session import Session
from kedge.data import Data, replace
from kedge.errors import EnvironmentFailed, StartFailed, Unavailable, UsageError
from kedge.executor import Cancel
from kedge.package import holding, index
from kedge.package.snapshot import HELD_BY
from kedge.package.source import PackageSource, open_package
from kedge.package.stamps import stamp_of
from kedge.run import core
from kedge.run.description import Description
from kedge.run.ground import PythonGround
from kedge.run.prepare import Prepared, prepare


class _Seen(Data):
    """A package as it was made ready for one executor.

    Args:
        source: where it was; a ZIP file that changed is unpacked elsewhere.
        root: the same, with symlinks followed.
        prepared: all that its runs need.
        index: of its files; None while they are too new for their stamps to prove anything.
        lock: the stamp of its lock, which need not be one of its files.
    """

    source: PackageSource
    root: str
    prepared: Prepared
    index: index.Index | None
    lock: tuple[int, ...]


@final
class Opened:
    """A package that was loaded; whatever is called of it refers to this, and it closes with the last one.

    Args:
        argument: the path of a package.
        session: what holds its runs, ended by whoever made it; None: one of its own, which ends with it.
        observer: told what is prepared.
        executor: the kind of executor that it is made ready for first.
        identity: as of `kedge.package.source.PackageSource`; "": that which its path says.

    Raises:
        KedgeError: what `kedge.run.prepare.prepare` raises.
    """

    def __init__(
        self,
        argument: str,
        session: Session | None = None,
        observer: core.Observer = notices.OBSERVER,
        executor: str | None = None,
        identity: str = "",
    ) -> None:
        self._observer = observer
        self._argument = os.path.abspath(os.path.expanduser(argument))
        self._identity = identity
        source = self._source()
        if source.function is not None:
            raise UsageError(
                f"`{argument}` names a function, and a package is loaded whole",
                hint=f"load `{source.root}`, and take `{source.function}` from what that gives",
            )
        core.settle()
        self._seen: dict[str | None, _Seen] = {}
        found = prepare(source, observer.step, executor=executor, detail=observer.detail)
        self._keep(executor, source, found)
        self.session = session or Session()
        if session is None:
            self.close = weakref.finalize(self, self.session.close)
        for warning in self.description.warnings:
            observer.notice(warning)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a loaded package cannot be pickled: load it in the process that calls it")

    @property
    def description(self) -> Description:
        """The package as it was last seen."""
        return self._last.prepared.description

    @property
    def root(self) -> str:
        """Where it is."""
        return self._last.source.root

    def ready(self, function: str | None, executor: str | None = None) -> core.Ready:
        """The package as it is now, made ready again if one of its files has changed.

        Costs a `stat` a file when nothing has.

        Args:
            function: the function that is wanted, for the record of what cannot be prepared.
            executor: the kind of executor that was asked for.

        Raises:
            Closed: it was closed.
            KedgeError: it cannot be made ready as it is now.
        """
        self.session.check_open()
        found = self._current(executor)
        if found is None:
            with self.session.preparing:
                found = self._current(executor) or self._prepared(function, executor)
        return core.Ready(found.source, found.prepared)

    def run(
        self,
        ready: core.Ready,
        request: core.Request,
        cancel: Cancel,
        observer: core.Observer = notices.OBSERVER,
    ) -> core.Result:
        """Run a function, in this thread, to its end.

        Args:
            ready: from `ready`.
            request: what is asked for.
            cancel: the request to stop, which closing makes too.
            observer: told what happens.

        Raises:
            Closed: it was closed.
            KedgeError: what `kedge.run.core.run` raises.
        """
        try:
            with hints.shown(), self.session.during(cancel) as pool:
                ended = core.run(ready, request, observer, cancel, pool)
        except Unavailable:
            self._forget(request.executor)
            raise
        if (failure := ended.failure) is not None:
            if isinstance(failure, StartFailed | EnvironmentFailed):
                self._forget(request.executor)
            hints.add_notes(failure)
        return ended

    def _forget(self, executor: str | None) -> None:
        """Have it prepared again by the next run: what this one stood on may have gone."""
        if (seen := self._seen.get(executor)) is not None:
            self._seen[executor] = replace(seen, index=None)

    def _current(self, executor: str | None) -> _Seen | None:
        """What is known, if the package is still as it was then."""
        seen = self._seen.get(executor)
        if seen is None or seen.index is None:
            return None
        if self._argument.lower().endswith(".zip") and open_package(self._argument) != seen.source:
            return None
        same = (
            index.unchanged(seen.root, seen.index)
            and holding.hold(seen.prepared.snapshot.folder, HELD_BY)
            and _lock_stamp(seen.prepared) == seen.lock
        )
        return seen if same else None

    def _source(self) -> PackageSource:
        found = open_package(self._argument)
        return replace(found, identity=self._identity) if self._identity else found

    def _prepared(self, function: str | None, executor: str | None) -> _Seen:
        source = self._source()
        with core.ready(source, function, self._observer, executor=executor) as found:
            return self._keep(executor, source, found.prepared)

    def _keep(self, executor: str | None, source: PackageSource, prepared: Prepared) -> _Seen:
        root = os.path.realpath(source.root)
        known = index.read(root)
        if known is not None and (known.digest != prepared.snapshot.digest or not known.settled):
            known = None
        seen = _Seen(source, root, prepared, known, _lock_stamp(prepared))
        self._seen[executor] = self._last = seen
        return seen


def _lock_stamp(prepared: Prepared) -> tuple[int, ...]:
    ground = prepared.ground
    if isinstance(ground, PythonGround) and ground.lock is not None:
        with suppress(OSError):
            return stamp_of(os.stat(ground.lock))
    return ()
