"""`kedge serve-dev`: a service while it is being written."""

import click
from click.shell_completion import CompletionItem

from kedge.cli.values import named
from kedge.errors import UsageError

_HOST = "127.0.0.1"
_PORT = 8000


def _functions(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The decorated functions of the file that was named, by its text."""
    from kedge.cli.dev.reading import decorated_functions

    names = decorated_functions(ctx.params.get("file") or "")
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("serve-dev")
@click.argument(
    "file", metavar="FILE[:FUNCTION]", shell_complete=lambda *_: [CompletionItem("", type="file")]
)
@click.argument("function", required=False, shell_complete=_functions)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=_PORT,
    show_default=True,
    help="Where it is reached.",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    help=f"At which address of this machine; {_HOST} unless the function says another.",
)
def command(file: str, function: str | None, port: int, host: str | None) -> None:
    """Serve a decorated function, and anew whenever its files change.

    FILE is a Python file, in which FUNCTION is decorated with kedge.function and has a parameter `port`; it
    may be left out when there is one. A new version takes over once it is prepared. Where it cannot be, the
    error is shown and the last good version goes on. Ctrl-C ends it.
    """
    from kedge.cli.dev.reload import Reload
    from kedge.executor import publishing
    from kedge.package.source import open_package
    from kedge.task import Published

    source = open_package(file)
    if not source.script:
        raise UsageError(
            f"`{file}` is a package, whose functions are not decorated",
            hint="name a Python file with a function that kedge.function decorates",
        )
    publishing.check_open(Published(port, host or _HOST))
    Reload(source.root, named(source.function, function), Published(port, host or "")).run()
