"""`kedge build`: an environment made ready before the first run."""

from typing import TYPE_CHECKING, Any

import click

from kedge.cli.display import Display
from kedge.cli.report import write_json, write_text
from kedge.cli.text import table

if TYPE_CHECKING:
    from kedge.run.prepare import Prepared


@click.command("build")
@click.argument("package")
@click.option("--executor", metavar="KIND", help="For sandbox, process, docker or podman.")
@click.option("--print", "show_only", is_flag=True, help="Show what would be built, and why.")
@click.option("--locked", is_flag=True, help="Refuse to resolve requirements again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    package: str, executor: str | None, show_only: bool, locked: bool, as_json: bool
) -> None:
    """Make a package's environment ready: interpreter, packages, compiled files, signatures."""
    from kedge.package.source import open_package
    from kedge.run.planned import plan
    from kedge.run.prepare import prepare

    source = open_package(package)
    if show_only:
        found = plan(source, executor)
    else:
        with Display() as display:
            prepared = prepare(
                source,
                display.step,
                mode="locked" if locked else "auto",
                compile="wait",
                executor=executor,
                detail=display.detail,
            )
        found = {
            "package": prepared.description.name,
            **_ground(prepared),
            "state": "built" if prepared.created else "was ready",
        }
    if as_json:
        write_json(found)
    else:
        write_text(
            table(
                [[name, "none" if value is None else str(value)] for name, value in found.items()]
            )
        )


def _ground(prepared: "Prepared") -> dict[str, Any]:
    from kedge.run.ground import PythonGround

    found: dict[str, Any] = {}
    ground = prepared.ground
    if isinstance(ground, PythonGround):
        found = {
            "python": ground.interpreter,
            "environment": prepared.environment,
            "folder": ground.python.removesuffix("/bin/python"),
            "lock": ground.lock,
        }
    if prepared.image is not None:
        image = prepared.image.image
        found |= {
            "engine": prepared.image.engine,
            "image": image.reference,
            "id": image.id,
            "digest": image.digest,
            "platform": image.platform,
        }
    return found
