"""Spans of OpenTelemetry, tried with its own SDK."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from kedge import CommandRuntime, PythonFunctionRuntime, RuntimeMiddleware, Task
from kedge.errors import Unavailable
from kedge.middleware import using
from kedge.telemetry import Tracing

sdk = pytest.importorskip("opentelemetry.sdk.trace")


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDGE_HOME", str(shared_home))


class Traced:
    """A provider whose spans stay in memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.provider = sdk.TracerProvider(shutdown_on_exit=False)
        self._memory = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))

    def spans(self) -> dict[str, "sdk.ReadableSpan"]:
        return {span.name: span for span in self._memory.get_finished_spans()}


@pytest.fixture
def traced() -> Traced:
    return Traced()


def test_each_layer_is_a_span_below_the_one_that_is_around_it(traced: Traced) -> None:
    task = Task(id="sums", runtime=CommandRuntime("true"), executor="process")
    tracer = traced.provider.get_tracer("mine")
    with using(Tracing(traced.provider)), tracer.start_as_current_span("mine"):
        ended = asyncio.run(task.run())  # in another thread
    spans = traced.spans()
    parents = {
        name: next((o.name for o in spans.values() if one.parent == o.context), None)
        for name, one in spans.items()
    }
    assert parents == {
        "runtime command": "task sums",
        "executor process": "target local",
        "target local": "task sums",
        "task sums": "mine",
        "mine": None,
    }
    assert dict(spans["task sums"].attributes) == {
        "kedge.task": "sums",
        "kedge.run": ended.run.id,
        "kedge.runtime": "command",
        "kedge.executor": "process",
        "kedge.target": "local",
        "kedge.status": "succeeded",
    }
    assert spans["executor process"].attributes["kedge.exit_code"] == 0
    assert all(span.status.status_code.name == "UNSET" for span in spans.values())
    assert spans["task sums"].instrumentation_scope.name == "kedge"


def test_a_run_that_fails_is_in_error_with_its_failure(traced: Traced) -> None:
    def fails() -> None:
        raise ValueError("too long")

    task = Task(id="fails", runtime=PythonFunctionRuntime(fails), executor="inprocess")
    with using(Tracing(traced.provider)):
        task.run_sync()
    span = traced.spans()["task fails"]
    assert span.status.status_code.name == "ERROR" and "too long" in span.status.description
    assert span.attributes["kedge.failure"] == "function_error"
    (event,) = span.events
    assert event.name == "exception" and "too long" in event.attributes["exception.message"]
    assert traced.spans()["executor inprocess"].status.status_code.name == "ERROR"
    assert traced.spans()["runtime python_function"].status.status_code.name == "UNSET"


def test_an_exception_is_recorded_in_each_layer_that_it_goes_through(traced: Traced) -> None:
    class Failing(RuntimeMiddleware):
        async def __call__(self, context, call_next):
            raise LookupError("mine")

    with using(Tracing(traced.provider), Failing()), pytest.raises(LookupError):
        Task(id="raises", runtime=CommandRuntime("true")).run_sync()
    spans = traced.spans()
    assert list(spans) == ["runtime command", "task raises"]
    for span in spans.values():
        assert span.status.status_code.name == "ERROR"
        assert span.events[0].attributes["exception.type"] == "LookupError"


def test_without_a_provider_that_is_configured_nothing_is_recorded() -> None:
    with using(Tracing()):
        ended = Task(runtime=CommandRuntime("true")).run_sync()
    assert ended.failure is None


def test_without_opentelemetry_it_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(Unavailable) as raised:
        Tracing()
    assert raised.value.hint == 'pip install "kedge[otel]"'


def test_nothing_of_opentelemetry_is_imported_unless_it_is_used() -> None:
    code = (
        "import sys, kedge.telemetry\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
