"""`kedge plugins`: the kinds there are, and what other distributions bring."""

from typing import Any

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table
from kedge.errors import KedgeError


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """List runtimes, executors, targets, kinds of ports, and the plug-ins that bring more."""
    found, broken = _kinds()
    if as_json:
        write_json(found)
        return 1 if broken else 0
    rows = [[one["sort"], one["kind"], one["state"], one["origin"]] for one in found]
    write_text(table(rows, ["sort", "kind", "state", "from"]))
    for traceback in broken:
        say(f"\n{traceback}")
    return 1 if broken else 0


def _kinds() -> tuple[list[dict[str, str]], list[str]]:
    """Every kind with where it is from, and the tracebacks of those that could not be loaded."""
    from kedge.executor import executors
    from kedge.runtime import runtimes
    from kedge.target import targets
    from kedge.task import port_types

    found: list[dict[str, str]] = []
    broken: list[str] = []
    registries: list[tuple[str, Any]] = [
        ("runtime", runtimes),
        ("executor", executors),
        ("target", targets),
        ("port", port_types),
    ]
    for sort, registry in registries:
        plugins = {plugin.kind: plugin for plugin in registry.plugins()}
        for kind in sorted({*registry.kinds(), *plugins}):
            plugin = plugins.get(kind)
            problem: KedgeError | None = plugin.problem if plugin else None
            state = "ready"
            if problem is not None:
                state = "broken"
                broken.append(getattr(problem, "traceback", None) or str(problem))
            origin = plugin.origin if plugin else registry.origin(kind)
            found.append({"sort": sort, "kind": kind, "state": state, "origin": origin})
    return found, broken
