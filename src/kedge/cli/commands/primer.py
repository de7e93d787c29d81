"""`kedge primer`: a repository that starts itself, from a bare checkout to its own code."""

import click

from kedge.cli.report import say, write_text
from kedge.version import __version__

_BY = f"kedge {__version__}"


@click.group("primer", no_args_is_help=True)
def command() -> None:
    """Give a repository one command that works on a bare machine."""


@command.command("init")
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


@command.command("update")
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
    else:
        say(f"nothing to do: the files are those of {_BY}")
