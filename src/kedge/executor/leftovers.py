"""What a run that nobody holds any more may have left running on this machine."""

from kedge.executor import cgroups, marks
from kedge.executor.watch import KILL_PATIENCE_S


def clear(run_id: str) -> None:
    """Kill every process of a run whose holder is gone, and remove its control group."""
    cgroups.remove_named(run_id)
    if (mark := marks.of(run_id)) is not None:
        marks.kill_all(mark, KILL_PATIENCE_S)
