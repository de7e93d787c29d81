"""A boot script's main: the goals that the command line names are reached.

`primer/proto.py` calls `main` in the project's environment. What it prints on standard output is `-h` and the
document of PRIMER_EXPLAIN; everything else goes to standard error.
"""

import os
import sys

from kedge.primer.graph import Graph
from kedge.primer.reaching import Start
from kedge.primer.records import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INTERRUPTED = 130
WINDOWS = os.name == "nt"


def main(
    states: str, root: str, rebuild: bool, verbose: bool, explain: "dict[str, Any] | None"
) -> int:
    """Reach the goals in `sys.argv`, and return the exit code.

    Args:
        states: the module that has the project's states.
        root: the checkout's real path.
        rebuild: reach the goals anew.
        verbose: show what tools write.
        explain: what is known of the environment; the states are added, all of it is printed, and nothing is
            executed. None to reach the goals.
    """
    if WINDOWS:
        return refused(root)
    home = os.path.dirname(sys.prefix)
    return boot(states, sys.argv[0], sys.argv[1:], Place(root, home), rebuild, verbose, explain)


def boot(
    states: str,
    script: str,
    words: list[str],
    place: Place,
    rebuild: bool,
    verbose: bool,
    explain: "dict[str, Any] | None",
) -> int:
    """`main` for the words of a command line, with the records at a place."""
    start = None
    try:
        graph = load(states)
        if explain is not None:
            return explained(graph, place, explain)
        if "-h" in words or "--help" in words:
            return helped(graph, place, script)
        options = [word for word in words if word.startswith("-")]
        if options:
            no_option(options[0])
        start = Start(graph, place, graph.goals(words), verbose)
        start.reach(rebuild)
    except KeyboardInterrupt:
        from kedge.primer.progress import say

        say("interrupted; what was reached stays so")
        return INTERRUPTED
    except Exception as failure:  # noqa: BLE001 - the project's own, which is shown as it is
        from kedge.primer.failing import show

        return show(failure, place.root, start.during if start else None)
    return 0


def refused(root: str) -> int:
    """Say that states are reached on POSIX systems alone: locks, services and tools are made for these."""
    from kedge.errors import Unavailable
    from kedge.primer.failing import show

    wrong = Unavailable(
        f"`{sys.argv[0]}` reaches states, which needs Linux or another POSIX system",
        hint="run it in the Windows Subsystem for Linux",
    )
    return show(wrong, root, None)


def load(states: str) -> Graph:
    """The graph of a module of states.

    Raises:
        UnknownName: there is no such module. Whatever importing it raises comes out as it is.
    """
    try:
        __import__(states)
    except ModuleNotFoundError as error:
        if error.name and (states == error.name or states.startswith(error.name + ".")):
            from kedge.errors import UnknownName

            raise UnknownName(
                f"there is no module `{states}` to take states from",
                hint="the boot script names it; primer.json's `paths` say where modules are",
            ) from None
        raise
    return Graph.of(sys.modules[states])


def explained(graph: Graph, place: Place, document: "dict[str, Any]") -> int:
    """Print how environment and states stand."""
    import json

    from kedge.primer.explaining import explain

    print(json.dumps({**document, "states": explain(graph, place)}, indent=2))
    return 0


def helped(graph: Graph, place: Place, script: str) -> int:
    """Print which goals there are."""
    from kedge.primer.explaining import as_help

    print(as_help(graph, place, script))
    return 0


def no_option(option: str) -> None:
    """Raise that a boot script has no options."""
    from kedge.errors import UsageError

    raise UsageError(
        f"there is no option `{option}`",
        hint="arguments are names of states; -h lists them. PRIMER_REBUILD=1 reaches them anew, "
        "PRIMER_EXPLAIN=1 says how they stand, PRIMER_VERBOSE=1 shows what tools write",
    )
