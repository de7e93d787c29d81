"""`kedge lock`: exact versions and hashes, written beside the manifest."""

import click

from kedge.cli.display import Display
from kedge.cli.report import write_json, write_text


@click.command("lock")
@click.argument("package")
@click.option(
    "--upgrade",
    is_flag=False,
    flag_value="*",
    metavar="[NAME]",
    help="Take newer versions: of everything, or of NAME.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(package: str, upgrade: str | None, as_json: bool) -> None:
    """Write or refresh a package's lock."""
    from kedge.package.source import open_package
    from kedge.run.prepare import locked

    source = open_package(package)
    with Display() as display:
        lock = locked(source, display.step, upgrade=upgrade == "*" or (upgrade or False))
    entries = [str(entry.requirement) for entry in lock.entries()]
    if as_json:
        write_json({"lock": lock.path, "packages": entries, "notice": lock.notice})
    elif lock.path is None:
        write_text("nothing to lock: no requirements")
    else:
        number = len(entries)
        write_text(f"{lock.path}: {number} package{'s' if number != 1 else ''}")
