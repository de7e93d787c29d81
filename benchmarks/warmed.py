"""A package that is kept warm, and its calls: at the executor, and as whole runs."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from figure import LeftOutError
from forks import Forking
from programs import ProgramFailedError
from surroundings import Surroundings

from kedge.contract import workspace
from kedge.executor import Ended, Job, executors
from kedge.executor.warm import forked
from kedge.executor.warm.asking import NotWarmError
from kedge.executor.warm.pool import Pool
from kedge.middleware import drive
from kedge.package import resources
from kedge.package.machine import this_machine
from kedge.package.source import open_package
from kedge.run import core
from kedge.run.prepare import prepare

_EXECUTOR = "sandbox"


@contextmanager
def warmed(
    place: Surroundings, name: str, code: str, requirements: str = "false"
) -> Iterator["Warmed"]:
    """A package for the length of the block.

    Args:
        place: where its files are.
        name: its name.
        code: its module, in which `main(x: float) -> float` gives back `x`.
        requirements: what its manifest says of them.
    """
    package = place.package(name, code, requirements=requirements)
    try:
        place.timed(place.kedge, "build", package)  # which waits until all of it is compiled
    except ProgramFailedError as error:
        raise LeftOutError(f"its package cannot be made ready: {error}") from error
    with Pool() as pool, Pool(answers_early=False) as patient:
        yield Warmed(place, package, pool, patient)


class Warmed:
    """One package's function `main`, kept warm in `pool`. Many threads may call it.

    `patient` is another pool, which waits until the process of a call has ended.
    """

    def __init__(self, place: Surroundings, package: str, pool: Pool, patient: Pool) -> None:
        executor = executors.get(_EXECUTOR)()
        if not (state := executor.usable()).ok:
            raise LeftOutError(f"the sandbox does not work here: {state.reason}")
        source = open_package(package)
        self._ready = core.Ready(source, prepare(source))
        self._prepared = self._ready.prepared
        self._function = self._prepared.description.function(None)
        self._pool = pool
        self._patient = patient
        self._folder = place.new_folder(f"work-{os.path.basename(package)}")
        self._numbers = itertools.count()
        limits, _, _ = resources.effective(
            self._prepared.description.resources, self._function.resources, {}, this_machine()
        )
        self._limits = limits
        task = core.task_of(
            self._prepared, self._function, core.Request(), {"x": 0.0}, limits, executor
        )
        self._payload = drive(task.runtime.setup_runtime(task))
        self._observer = core.Observer(notice=_refuse_cold)

    @property
    def python(self) -> str:
        """The interpreter that it runs on."""
        return self._prepared.python.python

    @property
    def visible(self) -> tuple[str, ...]:
        """What that needs to see of this machine."""
        return self._prepared.python.visible

    def forking(self) -> Forking:
        """A process of the same interpreter that has imported the same."""
        return Forking(self.python, self._prepared.snapshot.folder, self.workspace())

    def workspace(self) -> workspace.Workspace:
        """A workspace for one call of it, as a run has it."""
        number = next(self._numbers)
        function = self._function
        return workspace.prepare(
            os.path.join(self._folder, str(number)),
            self._prepared.snapshot.folder,
            function.input_ports,
            function.output_ports,
            {"x": float(number)},
        )

    def called(self) -> float:
        """Seconds that a call takes at the executor: with a workspace made before, and looked at after."""
        return self._called(self._pool)

    def called_patiently(self) -> float:
        """The same until its process has ended, too."""
        return self._called(self._patient)

    def _called(self, pool: Pool) -> float:
        made = self.workspace()
        name = os.path.basename(made.folder)
        job = Job(
            run_id=f"bench{int(name):07}",
            package="benchmark",
            function="main",
            workspace=made,
            resources=self._limits,
        )
        began = time.perf_counter()
        try:
            ended = forked.execute(pool, self._payload, job)
        except NotWarmError as why:
            raise LeftOutError(f"it cannot be kept warm here: {why}") from why
        taken = time.perf_counter() - began
        _check(ended, made, float(name))
        workspace.remove(made.folder)
        return taken

    def ran(self) -> float:
        """Seconds that a whole run takes: checks, record and events, workspace, call, collected outputs."""
        x = float(next(self._numbers))
        request = core.Request(values={"x": x}, executor=_EXECUTOR)
        began = time.perf_counter()
        result = core.run(self._ready, request, self._observer, pool=self._pool)
        taken = time.perf_counter() - began
        if result.outputs != {"result": x}:
            raise LeftOutError(f"a run gave {result.outputs}")
        return taken


def _check(ended: Ended, made: workspace.Workspace, x: float) -> None:
    given: Any = None
    if ended.exit_code == 0:
        with open(f"{made.folder}/out/data.json") as file:
            given = json.load(file)
    if given != {"result": x}:
        raise LeftOutError(f"a call gave {given}, and ended with {ended}")


def _refuse_cold(notice: str) -> None:
    if "runs cold" in notice:
        raise LeftOutError(f"it cannot be kept warm here: {notice}")
