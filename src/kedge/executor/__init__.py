"""Floor 3: how a payload is executed. An executor starts it, watches it, ends it; it knows no task.

What runs is started here and nowhere else. The core is synchronous: asyncio may not come in.
"""

from kedge.executor.base import Executor, ExecutorContext, Usable, executors
from kedge.executor.cancel import Cancel, Stopped, ask_from_outside, tell_by_signal
from kedge.executor.cgroups import warm_up
from kedge.executor.choice import Choice, choose, choose_for, fitting, takes
from kedge.executor.disk import is_full as disk_is_full
from kedge.executor.job import Ended, Job
from kedge.executor.leftovers import clear

__all__ = [
    "Cancel",
    "Choice",
    "Ended",
    "Executor",
    "ExecutorContext",
    "Job",
    "Stopped",
    "Usable",
    "ask_from_outside",
    "choose",
    "choose_for",
    "clear",
    "disk_is_full",
    "executors",
    "fitting",
    "takes",
    "tell_by_signal",
    "warm_up",
]
