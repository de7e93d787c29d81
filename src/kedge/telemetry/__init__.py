"""Floor 6: what looks on while tasks are run, as middleware that is put around every layer.

    from kedge.middleware import using
    from kedge.telemetry import Logging

    with using(Logging()):
        task.run_sync()

Nothing is changed here: what is run, and what comes of it, is the same with them and without.
"""

from kedge.telemetry.layers import Layer
from kedge.telemetry.logs import JsonLines, Logging
from kedge.telemetry.timing import Timing, Took
from kedge.telemetry.tracing import Tracing

__all__ = ["JsonLines", "Layer", "Logging", "Timing", "Took", "Tracing"]
