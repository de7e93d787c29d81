"""One run of a task that is written in a file."""

import os
import sys
from typing import Any

from kedge.cli import result as results
from kedge.client import delivery
from kedge.client.definition import read_file, task_of
from kedge.client.placing import placed
from kedge.executor import Cancel
from kedge.run import core, inline
from kedge.run.warmth import kept_warm


def work(observer: core.Observer, cancel: Cancel, *, file: str, as_json: bool) -> dict[str, Any]:
    """Run it; what is to be printed.

    Returns:
        `id` and `wall_s` of the run, and either its `document` or its `text`.
    """
    with cancel.interrupting():
        core.settle()
        document = read_file(file)
        with placed(document):
            task = task_of(document, file)
            places = delivery.places(task)
    # For `module:function`, as of a script.
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    with kept_warm(1) as pool, placed(document):
        ended = inline.run_task(task, observer, cancel, pool)
    if ended.failure is not None:
        raise ended.failure
    delivery.put(ended.outputs, places)
    return {
        "id": ended.run.id,
        "wall_s": ended.run.measured.get("wall_s"),
        "document": results.document(ended) if as_json else None,
        "text": "" if as_json else results.text(ended, task.output_ports),
    }
