"""Floor 4: where a payload is executed. A target hands it to an executor, here or elsewhere."""

from kedge.target.base import Target, TargetContext, targets
from kedge.target.local import LocalTarget

__all__ = ["LocalTarget", "Target", "TargetContext", "targets"]
