"""`kedge primer`: a repository that starts itself, from a bare checkout to its own code."""

import click
from click.shell_completion import CompletionItem

from kedge.cli.report import say, write_json, write_text
from kedge.version import __version__

_BY = f"kedge {__version__}"


def _entry_words(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The entry scripts of the repository that the current folder is in."""
    import os

    from kedge.errors import KedgeError
    from kedge.primer.repository.explained import scripts

    try:
        found = {os.path.basename(path): entry for path, entry in scripts(".").items()}
    except (KedgeError, OSError):  # a word cannot be completed where there is no repository
        return []
    return [
        CompletionItem(name, help=f"{entry.helper} {entry.target}")
        for name, entry in found.items()
        if name.startswith(incomplete)
    ]


@click.group("primer", no_args_is_help=True)
def command() -> None:
    """Give a repository one command that works on a bare machine."""


@command.command("init", short_help="Write what a repository needs to start itself.")
@click.argument("folder", type=click.Path(), default=".")
@click.option("--main", metavar="MODULE:FUNCTION", help="The function that the entry script calls.")
@click.option("--boot", metavar="MODULE", help="A module with states, for a boot script `prime`.")
@click.option("--name", help="The entry script's name: `app`, or `prime` with --boot alone.")
@click.option("--environment", metavar="NAME", help="Which environment of primer.json.")
@click.option("--lock", metavar="FILE", help="The lock file, if there are several.")
def init(
    folder: str,
    main: str | None,
    boot: str | None,
    name: str | None,
    environment: str | None,
    lock: str | None,
) -> None:
    """Write the proto file, an entry script and primer.json into FOLDER.

    Without --main and --boot it is what [project.scripts] in pyproject.toml names. Nothing that is there
    is overwritten.
    """
    import os
    import shlex

    from kedge.primer.repository.init import Request, planned, write

    plan = planned(folder, Request(main, boot, name, environment, lock), _BY)
    new = write(plan)
    if new:
        write_text("\n".join(os.path.normpath(os.path.join(folder, path)) for path in new))
    else:
        say("everything is there already")
    for step in plan.left:
        say(f"still to do: {step}")
    script = os.path.join(folder, next(name for name in plan.files if name in plan.executable))
    say(
        f"then try: {shlex.quote(script if os.path.isabs(script) else './' + os.path.normpath(script))}"
    )


@command.command("update", short_help="Refresh what `init` has written.")
@click.argument("folder", type=click.Path(), default=".")
@click.option("--force", is_flag=True, help="Replace files that were edited by hand too.")
def update(folder: str, force: bool) -> None:
    """Refresh the proto file and the entry scripts of FOLDER's repository."""
    from kedge.primer.repository.proto_file import repository_of
    from kedge.primer.repository.update import planned, write

    found = planned(repository_of(folder), _BY, force)
    write(found)
    for name in found.edited:
        say(f"{name} was edited by hand and stays as it is; --force replaces it")
    if found.lines:
        write_text("\n".join(found.lines))
    elif not found.edited:
        say(f"nothing to do: the files are those of {_BY}")


@command.command("explain", short_help="Say what an entry script would do, and why.")
@click.argument("entry", required=False, shell_complete=_entry_words)
@click.option("--json", "as_json", is_flag=True, help="Print the document itself.")
def explain(entry: str | None, as_json: bool) -> None:
    """Say what ENTRY would do, and why: its environment, the parts of its key, its states.

    ENTRY is an entry script; without one all of the repository are explained. Nothing is made or executed.
    """
    import os

    from kedge.cli.primer_view import summary
    from kedge.errors import UsageError
    from kedge.primer.repository.explained import explained, script, scripts

    found = [script(entry)[0]] if entry is not None else list(scripts("."))
    if not as_json:
        for path in found:
            write_text(summary(os.path.basename(path), explained(path)))
    elif len(found) == 1:
        write_json(explained(found[0]))
    else:
        names = ", ".join(f"`{os.path.basename(path)}`" for path in found)
        raise UsageError(f"there are several entry scripts: {names}", hint="name the one")


@command.command("graph", short_help="Draw the states of a boot script.")
@click.argument("entry", required=False, shell_complete=_entry_words)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    show_default=True,
)
def graph(entry: str | None, form: str) -> None:
    """Draw the graph of the states that the boot script ENTRY reaches; without one of the only one."""
    import os

    from kedge.errors import PrimerError, UsageError
    from kedge.primer.drawing import as_mermaid, as_text
    from kedge.primer.repository.explained import explained, script, scripts

    if entry is not None:
        found = dict([script(entry)])
    else:
        found = {path: one for path, one in scripts(".").items() if one.helper == "boot"}
    if len(found) > 1:
        names = ", ".join(f"`{os.path.basename(path)}`" for path in found)
        raise UsageError(f"there are several boot scripts: {names}", hint="name the one")
    if not found or next(iter(found.values())).helper != "boot":
        raise PrimerError(
            f"`{entry}` has no states" if entry else "there is no boot script",
            hint="`kedge primer init --boot package.states` makes one",
        )
    path = next(iter(found))
    states = explained(path)["states"]
    if states is None:
        raise PrimerError(
            "the environment that the states are in is not ready",
            hint=f"start `{path}` once; `kedge primer explain` says what changed",
        )
    if form == "json":
        write_json(states)
    else:
        write_text(as_text(states) if form == "text" else as_mermaid(states))
