"""`auto`: the executor that gives the most isolation on this machine."""

from kedge.data import Data
from kedge.errors import Unavailable
from kedge.executor.base import Executor, executors

AUTO = "auto"


class Choice(Data):
    """The executor that was chosen, and a sentence to show when it is not the one to wish for."""

    executor: Executor
    notice: str | None = None


def choose(kind: str = AUTO) -> Choice:
    """The executor of `kind`; for `auto` the sandbox where namespaces work, else plain processes.

    Raises:
        PluginError: no such kind.
        Unavailable: it was asked for by name and does not work here.
    """
    if kind != AUTO:
        asked = executors.get(kind)()
        state = asked.usable()
        if not state.ok:
            raise Unavailable(
                f"the executor {kind!r} does not work on this machine: {state.reason}",
                hint=state.hint,
            )
        return Choice(asked)
    sandbox = executors.get("sandbox")()
    state = sandbox.usable()
    if state.ok:
        return Choice(sandbox)
    from kedge.executor import landlock

    weaker = (
        "running without namespaces; Landlock keeps the code to its own files"
        if landlock.abi()
        else "running without a sandbox, so the code can see this machine's files"
    )
    return Choice(executors.get("process")(), f"{weaker}: {state.reason} ({state.hint})")
