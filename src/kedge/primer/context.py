"""What a state's function is given: where it is, what it may read, and how to run tools."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from kedge.primer.reaching import Start
    from kedge.primer.states import State


class Context:
    """The context of one state in one start.

    Args:
        state: whose context it is.
        start: what it is part of.
    """

    __slots__ = ("_start", "_state")

    def __init__(self, state: "State", start: "Start") -> None:
        self._state = state
        self._start = start

    @property
    def root(self) -> "Path":
        """The project's folder."""
        from pathlib import Path

        return Path(self._start.place.root)

    @property
    def folder(self) -> "Path":
        """A folder that is this state's alone, made when it is first asked for; git ignores it."""
        from pathlib import Path

        folder = Path(self._start.place.folder(self._state.name), "folder")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def remember(self, text: str) -> None:
        """Keep a text for later starts, such as what a check has found; not a failure where that cannot be."""
        self._start.place.remember(self._state.name, os.fsencode(text), "kept")

    def recall(self) -> str:
        """The text that this state has kept; empty without one."""
        return os.fsdecode(self._start.place.read(self._state.name, "kept") or b"")

    def say(self, text: str) -> None:
        """Tell people one thing, on standard error."""
        from kedge.primer.progress import say

        say(f"{self._state.name}: {text}")

    def value(self, need: "State") -> "Any":
        """What a state that this one needs has returned; None while it is skipped or not yet reached.

        Raises:
            UsageError: the state is not among those that this one needs.
        """
        standing = self._start.graph.standing(need)
        if standing not in self._start.graph.needs(self._state):
            from kedge.errors import UsageError

            raise UsageError(
                f"`{self._state.name}` reads `{need.name}`, which is not among what it needs",
                hint=f"add it: @state(needs=[{need.name}])",
            )
        value = self._start.standings[standing.name].value
        if value is None:
            return None
        import json

        return json.loads(value)

    def run(
        self,
        *command: "str | os.PathLike[str]",
        folder: "str | os.PathLike[str]" = ".",
        variables: "Mapping[str, str]" = {},  # noqa: B006 - it is only read
    ) -> None:
        """Run a tool to its end. What it writes goes to standard error when that is wanted, else into its error.

        Args:
            command: the tool and its arguments.
            folder: where it runs, below the root.
            variables: environment variables, besides those of the start.

        Raises:
            Unavailable: there is no such tool.
            FunctionError: it ended with another exit code than 0; the error has its last lines.
        """
        from kedge.primer import tools

        tools.run(
            command, os.path.join(self._start.place.root, folder), variables, self._start.verbose
        )

    def output(
        self,
        *command: "str | os.PathLike[str]",
        folder: "str | os.PathLike[str]" = ".",
        variables: "Mapping[str, str]" = {},  # noqa: B006 - it is only read
    ) -> str:
        """What a tool writes to its standard output; otherwise as `run`."""
        from kedge.primer import tools

        return tools.output(
            command, os.path.join(self._start.place.root, folder), variables, self._start.verbose
        )
