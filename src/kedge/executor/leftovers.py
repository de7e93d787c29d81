"""What a run that nobody holds any more may have left running on this machine."""

from kedge.engine import KINDS
from kedge.executor import cgroups, marks
from kedge.executor.watch import KILL_PATIENCE_S


def clear(run_id: str, executor: str | None = None, workspace: str | None = None) -> None:
    """Kill every process of a run whose holder is gone, and remove its control group or its container.

    Args:
        run_id: its id.
        executor: the kind of the executor that it had, where that is known.
        workspace: the folder of its workspace; what another user wrote there becomes the caller's.
    """
    if executor in KINDS:
        from kedge.executor.containers import remove_container
        from kedge.executor.lending import take_back_left

        remove_container(executor, run_id)
        if workspace is not None:
            take_back_left(executor, workspace)
    cgroups.remove_named(run_id)
    if (mark := marks.of(run_id)) is not None:
        marks.kill_all(mark, KILL_PATIENCE_S)
