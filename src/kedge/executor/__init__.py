"""Floor 3: how a payload is executed. An executor starts it, watches it, ends it; it knows no task.

What runs is started here and nowhere else. The core is synchronous: asyncio may not come in.
"""

from kedge.executor.base import Executor, ExecutorContext, Usable, executors
from kedge.executor.cancel import Cancel
from kedge.executor.choice import Choice, choose
from kedge.executor.job import Ended, Job

__all__ = [
    "Cancel",
    "Choice",
    "Ended",
    "Executor",
    "ExecutorContext",
    "Job",
    "Usable",
    "choose",
    "executors",
]
