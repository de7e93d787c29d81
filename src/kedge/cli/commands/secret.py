"""`kedge secret`: values that packages ask for by name and that no record, log or file of a run has."""

import sys
from typing import Final

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table
from kedge.errors import UsageError

_READ: Final = 1 << 20  # bytes of a value that are looked at: far above what one may have


@click.group("secret", no_args_is_help=True)
def command() -> None:
    """Keep secrets for packages that ask for them by name."""


@command.command("set")
@click.argument("name")
@click.option("--from-file", "file", metavar="FILE", help="Take the value from a file.")
def set_one(name: str, file: str | None) -> None:
    """Keep the secret NAME. Its value is asked for, or read from standard input or a file."""
    from kedge.run import secret_store

    text = _given(name, file)
    kept = secret_store.put(name, text)
    place = "the system's keyring" if kept == secret_store.KEYRING else "a file only you can read"
    say(f"`{name}` is kept in {place}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """List the names of the secrets that are kept, never their values."""
    from kedge.run import secret_store

    found = secret_store.names()
    if as_json:
        write_json([{"name": name, "in": place} for name, place in found.items()])
    elif found:
        rows = [[name, place] for name, place in found.items()]
        write_text(table(rows, ["secret", "kept in"]))


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def remove(names: tuple[str, ...]) -> None:
    """Forget secrets."""
    from kedge.run import secret_store

    secret_store.remove(list(names))


def _given(name: str, file: str | None) -> str:
    """The value, without the newline that a shell or an editor put at its end."""
    try:
        if file is not None:
            with open(file, "rb") as stream:
                data = stream.read(_READ)
        elif sys.stdin.isatty():
            typed: str = click.prompt(f"value of {name}", hide_input=True, err=True)
            return typed
        else:
            data = sys.stdin.buffer.read(_READ)
    except OSError as error:
        raise UsageError(
            f"the value cannot be read from `{file or 'standard input'}`: {error.strerror}",
            hint="name a file that you can read",
        ) from error
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"the value for `{name}` is not UTF-8 text", hint="encode it, for example as Base64"
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
