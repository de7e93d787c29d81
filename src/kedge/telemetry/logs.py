"""What happens to each layer, through Python's own logging."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, final

from kedge.data import replace
from kedge.run.execution import Result
from kedge.telemetry.layers import Context, EveryLayer, Layer, layer_of, status_of

LOGGER: Final = "kedge"
FIELDS: Final = (
    *("layer", "task_id", "run_id", "runtime", "executor", "target"),
    *("status", "duration_s", "failure", "error"),
)


@final
class Logging(EveryLayer):
    """Logs with the logger `kedge`: that a run begins and how its task ended, at `DEBUG` each layer's end.

    A run that did not succeed is a `WARNING`, an exception that goes through a task an `ERROR`. The fields are
    attributes of the log's records (`extra`): `layer`, `task_id`, `run_id`, `runtime`, `executor`, `target`,
    `status`, `duration_s`, `failure` (its kind) and `error` (the exception's type), each where it is known. No value of an
    input, output or variable is among them, and no message of an exception.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    async def __call__(
        self, context: Context, call_next: Callable[[Any], Awaitable[Any]], /
    ) -> Any:
        """Call what is next, and log how it ended."""
        layer, began = layer_of(context), time.monotonic()
        if layer.name == "target" and layer.run_id is not None:
            self._log(logging.INFO, f"run {layer.run_id} of {layer.task} begins", layer, "running")
        level = logging.INFO if layer.name == "task" else logging.DEBUG
        try:
            result = await call_next(context)
        except BaseException as error:
            seconds, name = round(time.monotonic() - began, 6), type(error).__qualname__
            level = logging.ERROR if layer.name == "task" else logging.DEBUG
            text = f"{layer.title}: {name} after {seconds:.3f} s"
            self._log(level, text, layer, "raised", duration_s=seconds, error=name)
            raise
        seconds, status, more = round(time.monotonic() - began, 6), status_of(result), {}
        if isinstance(result, Result):
            layer = replace(layer, run_id=result.run.id)
            if result.failure is not None:
                level, more = logging.WARNING, {"failure": result.failure.kind}
        text = f"{layer.title}: {status} after {seconds:.3f} s"
        self._log(level, text, layer, status, duration_s=seconds, **more)
        return result

    def _log(self, level: int, text: str, layer: Layer, status: str, **more: Any) -> None:
        found = {
            "layer": layer.name,
            "task_id": layer.task,
            "run_id": layer.run_id,
            "runtime": layer.runtime,
            "executor": layer.executor,
            "target": layer.target,
            "status": status,
            **more,
        }
        known = {name: value for name, value in found.items() if value is not None}
        self._logger.log(level, "%s", text, extra=known)


@final
class JsonLines(logging.Formatter):
    """Formats each record as one line of JSON: `time`, `level`, `logger`, `message`, and the fields of `Logging`.

    >>> handler = logging.StreamHandler()
    >>> handler.setFormatter(JsonLines())
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)
