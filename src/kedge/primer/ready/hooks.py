"""Git hooks that are kept in the repository."""

import os

from kedge.primer.ready import seen
from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kedge.primer.context import Context


def git_hooks(folder: str = ".githooks") -> State:
    """A state in which git runs the hooks in a folder of the repository; skipped where there is no git checkout.

    Args:
        folder: where they are, below the root.
    """

    def git_hooks(ctx: "Context") -> None:
        ctx.run("git", "config", "core.hooksPath", folder)

    def check(ctx: "Context") -> bool:
        if seen.unchanged(ctx):
            return True
        from kedge.errors import FunctionError

        files = ctx.output(
            "git", "rev-parse", "--git-path", "config", "--git-path", "config.worktree"
        )
        stamped = seen.stamp(*(os.path.join(ctx.root, file) for file in files.splitlines()))
        try:
            is_set = ctx.output("git", "config", "core.hooksPath").rstrip("\n") == folder
        except FunctionError:
            return False  # it is not set
        if is_set:
            ctx.remember(stamped)
        return is_set

    def no_checkout(ctx: "Context") -> str | None:
        git = os.path.join(ctx._start.place.root, ".git")
        return None if os.path.exists(git) else "this is no git checkout"

    git_hooks.__doc__ = f"Git runs the hooks in {folder}."
    return State(git_hooks, check=check, skip_if=no_checkout)
