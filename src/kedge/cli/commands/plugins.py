"""`kedge plugins`: the kinds there are, and what other distributions bring."""

from operator import itemgetter
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
    columns = ("sort", "kind", "state", "name", "description", "origin")
    rows = [[one[column] for column in columns] for one in found]
    write_text(table(rows, [*columns[:-1], "from"]))
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
        plugins = (
            registry.plugins()
        )  # first: loading one may bring kinds that it has no entry point for
        rows: list[tuple[str, str, KedgeError | None]]
        rows = [(kind, registry.origin(kind), None) for kind in registry.unclaimed()]
        rows += [(plugin.kind, plugin.origin, plugin.problem) for plugin in plugins]
        for kind, origin, problem in sorted(rows, key=itemgetter(0)):
            one = {"sort": sort, "kind": kind, "state": "ready", "name": "", "description": ""}
            if problem is None:
                cls = registry.get(kind)
                for text in ("name", "description"):
                    one[text] = str(getattr(cls, f"kind_{text}", ""))
            else:
                one["state"] = "broken"
                said = getattr(problem, "traceback", None) or str(problem)
                broken += [said] * (said not in broken)
            found.append(one | {"origin": origin})
    return found, broken
