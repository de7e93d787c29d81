"""How long each layer takes."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, final

from kedge.data import Data, replace
from kedge.run.execution import Result
from kedge.telemetry.layers import Context, EveryLayer, Layer, layer_of


class Took(Data):
    """How long one layer took, what it is around included: `seconds`."""

    layer: Layer
    seconds: float


@final
class Timing(EveryLayer):
    """Tells how long each layer took once it has ended, however it did: the innermost first.

    Args:
        tell: given each `Took`, in whichever thread the run goes on.

    >>> times = []
    >>> with using(Timing(times.append)):
    ...     ended = task.run_sync()
    >>> [one.layer.title for one in times]
    ['runtime command', 'executor sandbox', 'target local', 'task sort']
    """

    def __init__(self, tell: Callable[[Took], object]) -> None:
        self._tell = tell

    async def __call__(
        self, context: Context, call_next: Callable[[Any], Awaitable[Any]], /
    ) -> Any:
        """Call what is next, and tell."""
        layer, began = layer_of(context), time.monotonic()
        try:
            result = await call_next(context)
            if isinstance(result, Result):
                layer = replace(layer, run_id=result.run.id)
            return result
        finally:
            self._tell(Took(layer, time.monotonic() - began))
