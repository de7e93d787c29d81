"""The `local` target: this machine, in this process."""

from typing import TYPE_CHECKING, Any, ClassVar

from kedge.target.base import Target
from kedge.translation import _

if TYPE_CHECKING:
    from kedge.executor.base import Executor
    from kedge.executor.job import Ended, Job


class LocalTarget(Target):
    """Here, on this machine. The executor runs at once, in the calling thread."""

    kind: ClassVar[str] = "local"
    kind_name = _("This machine")
    kind_description = _("Runs at once on the machine that Kedge was started on.")

    async def _place(self, executor: "Executor", payload: Any, job: "Job") -> "Ended":
        return await executor.execute(payload, job)
