"""`kedge completion`: a script for the shell."""

import click

from kedge.cli.report import write_text


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell.

    bash: eval "$(kedge completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc. fish:
    kedge completion fish > ~/.config/fish/completions/kedge.fish.
    """
    from click.shell_completion import get_completion_class

    from kedge.cli.app import app

    found = get_completion_class(shell)
    assert found is not None  # click has all three
    write_text(found(app, {}, "kedge", "_KEDGE_COMPLETE").source())
