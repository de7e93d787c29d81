"""Packages of Node, and a front-end that is built with them."""

from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from kedge.primer.context import Context


def node_packages(folder: str = ".", *, needs: "Iterable[State]" = ()) -> State:
    """A state in which `npm ci` has installed what package-lock.json says.

    Args:
        folder: where package.json is, below the root.
        needs: states that are reached before.
    """

    def node_packages(ctx: "Context") -> None:
        ctx.run("npm", "ci", "--no-audit", "--no-fund", folder=folder)

    node_packages.__doc__ = f"The packages of {folder}/package-lock.json are installed."
    return State(
        node_packages,
        needs=needs,
        inputs=[f"{folder}/package.json", f"{folder}/package-lock.json", f"{folder}/.npmrc"],
        outputs=[f"{folder}/node_modules"],
    )


def front_end(
    folder: str,
    *,
    needs: "Iterable[State]",
    script: str = "build",
    inputs: "Iterable[str]" = (".",),
    outputs: "Iterable[str]" = ("dist",),
) -> State:
    """A state in which a script of package.json has built a front-end.

    Args:
        folder: where package.json is, below the root.
        needs: what is reached before: `node_packages` of the folder.
        script: what `npm run` is to run.
        inputs: what it is built from, below the folder; all of it unless given.
        outputs: what is there when it is built, below the folder.
    """

    def front_end(ctx: "Context") -> None:
        ctx.run("npm", "run", script, folder=folder)

    front_end.__doc__ = f"The front-end in {folder} is built."
    return State(
        front_end,
        needs=needs,
        inputs=[f"{folder}/{path}" for path in inputs],
        outputs=[f"{folder}/{path}" for path in outputs],
    )
