"""The executor `nice`: a process that leaves the processor to others."""

from typing import TYPE_CHECKING, Any, ClassVar

from kedge.data import Data, replace
from kedge.executor.process import ProcessExecutor
from kedge_sample import _

if TYPE_CHECKING:
    from kedge.executor import Ended, Job


class NiceExecutor(Data, ProcessExecutor):
    """As the executor `process`, with a lower priority; `level` is from 0 to 19, which is the lowest."""

    kind: ClassVar[str] = "nice"
    kind_name = _("Nice process")
    kind_description = _("Runs a program as a process that leaves the processor to others.")

    level: int = 10

    async def _execute(self, payload: Any, job: "Job") -> "Ended":
        gentle = replace(payload, argv=("nice", "-n", str(self.level), *payload.argv))
        return await super()._execute(gentle, job)
