"""A container engine that answers."""

import os

from kedge.primer.ready import seen
from kedge.primer.states import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kedge.primer.context import Context

# Docker's `version` fails when its service does not answer; Podman has none, and `info` looks at its storage.
QUESTIONS = {"docker": "version", "podman": "info"}
DOCKER_SOCKET = "/var/run/docker.sock"
ANSWER_SECONDS = 2  # a service that takes longer to accept a connection is asked by its command


def container_engine(*engines: str, start: "Callable[[Context], object] | None" = None) -> State:
    """A state in which a container engine answers; its value is the engine's command.

    Args:
        engines: commands to try, in this order: `docker` and `podman` unless given.
        start: called where none answers, to start one.
    """
    tried = engines or tuple(QUESTIONS)

    def container_engine(ctx: "Context") -> str:
        found, said = answering(ctx, tried)
        if not found and start is not None:
            start(ctx)
            found, said = answering(ctx, tried)
        if not found:
            from kedge.errors import Unavailable

            raise Unavailable(
                f"no container engine answers: {'; '.join(said)}",
                hint="start Docker's service, or install Podman",
            )
        import shutil

        ctx.remember(seen.stamp(shutil.which(found) or found))
        return found

    def check(ctx: "Context") -> bool:
        if not seen.unchanged(ctx):
            return False
        engine = os.path.basename(ctx.recall().partition("\t")[0])
        return is_up(engine) or answering(ctx, (engine,))[0] == engine

    container_engine.__doc__ = f"A container engine answers: {' or '.join(tried)}."
    return State(container_engine, check=check)


def answering(ctx: "Context", engines: tuple[str, ...]) -> tuple[str, list[str]]:
    """The first engine that answers, and what the others said."""
    from kedge.errors import KedgeError

    said = []
    for engine in engines:
        try:
            ctx.output(engine, QUESTIONS.get(engine, "version"))
        except KedgeError as error:
            said.append(f"{engine}: {str(error).splitlines()[-1].strip()}")
        else:
            return engine, said
    return "", said


def is_up(engine: str) -> bool:
    """Whether an engine that has answered before is sure to answer again, without running its command."""
    if engine == "podman":
        return True  # it has no service, and its command is the same as before
    if engine != "docker" or os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return False
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(DOCKER_SOCKET)
        except OSError:
            return False
    return True
