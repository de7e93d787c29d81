"""Completion of functions and port names, from what is known without building anything."""

import click
from click.shell_completion import CompletionItem

from kedge.cli.text import printable


def package_words(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The functions of the package that was named, or the input ports of its function."""
    from kedge.errors import KedgeError
    from kedge.package.source import open_package
    from kedge.run.prepare import described

    given: tuple[str, ...] = ctx.params.get("words") or ()
    try:
        source = open_package(ctx.params["package"])
        description = described(source, static=True)
        name = source.function or next((word for word in given if "=" not in word), None)
        items = []
        if name is None and len(description.functions) > 1 and not given:
            items = [
                CompletionItem(function.name, help=_help(function.description))
                for function in description.functions.values()
            ]
        else:
            ports = description.function(name).input_ports
            taken = {word.partition("=")[0] for word in given}
            items = [
                CompletionItem(f"{port}=", help=_help(schema.get("description", "")))
                for port, schema in ports.properties.items()
                if port not in taken
            ]
    except KedgeError:  # a word cannot be completed in a package that is wrong
        return []
    return [item for item in items if item.value.startswith(incomplete)]


def _help(description: str) -> str:
    """One line: shells read an item from line to line, and print what they read."""
    return printable(description.partition("\n")[0])
