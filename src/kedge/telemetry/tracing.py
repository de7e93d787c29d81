"""Spans of OpenTelemetry, which is an extra: `kedge[otel]`. It is imported only where `Tracing` is made."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, final

from kedge.errors import Unavailable
from kedge.executor import Ended
from kedge.run.execution import Result
from kedge.telemetry.layers import Context, EveryLayer, Layer, layer_of, status_of
from kedge.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

_NAMES: Final = {
    "task": "kedge.task",
    "run_id": "kedge.run",
    "runtime": "kedge.runtime",
    "executor": "kedge.executor",
    "target": "kedge.target",
}


@final
class Tracing(EveryLayer):
    """A span for each layer, below the one that the caller is in.

    Whoever configures OpenTelemetry (a provider with an exporter) gets them; where nobody does, they go nowhere.
    A span is in error when an exception went through its layer, or the program or the run did not succeed; the
    exception, or the run's failure, is an event of it.

    Args:
        provider: whose spans they are; None: those of the provider that is configured for the process.

    Raises:
        Unavailable: OpenTelemetry is not installed.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise Unavailable(
                f"tracing needs OpenTelemetry, which cannot be imported: {error}",
                hint='pip install "kedge[otel]"',
            ) from error
        self._tracer = trace.get_tracer("kedge", __version__, provider)
        self._failed = trace.StatusCode.ERROR

    async def __call__(
        self, context: Context, call_next: Callable[[Any], Awaitable[Any]], /
    ) -> Any:
        """Call what is next in a span of its own."""
        layer = layer_of(context)
        with self._tracer.start_as_current_span(layer.title, attributes=_facts(layer)) as span:
            result = await call_next(context)
            span.set_attribute("kedge.status", status_of(result))
            if isinstance(result, Result):
                self._of_the_run(span, result)
            elif isinstance(result, Ended):
                self._of_the_program(span, result)
            return result

    def _of_the_run(self, span: "Span", result: Result) -> None:
        span.set_attribute(_NAMES["run_id"], result.run.id)
        if result.failure is not None:
            span.set_attribute("kedge.failure", result.failure.kind)
            span.record_exception(result.failure)
            span.set_status(self._failed, result.failure.message)

    def _of_the_program(self, span: "Span", ended: Ended) -> None:
        if ended.exit_code is not None:
            span.set_attribute("kedge.exit_code", ended.exit_code)
        if ended.signal is not None:
            span.set_attribute("kedge.signal", ended.signal)
        if ended.reason != "exited" or ended.exit_code != 0:
            span.set_status(self._failed)


def _facts(layer: Layer) -> dict[str, str]:
    found = {name: getattr(layer, field) for field, name in _NAMES.items()}
    return {name: value for name, value in found.items() if value is not None}
