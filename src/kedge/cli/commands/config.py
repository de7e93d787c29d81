"""`kedge config`: every setting, its value and where that comes from."""

import click

from kedge.cli.report import write_json, write_text
from kedge.cli.text import table


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show the configuration and where each value comes from."""
    import json

    from kedge.home import home
    from kedge.settings import settings

    found = settings()
    if as_json:
        write_json(
            {
                "home": home(),
                "settings": {
                    one.key.name: {
                        "value": one.value,
                        "from": one.origin,
                        "variable": one.key.variable,
                        "description": one.key.description,
                    }
                    for one in found
                },
            }
        )
        return
    rows = [[one.key.name, json.dumps(one.value), one.origin, one.key.description] for one in found]
    header = ["setting", "value", "from", "meaning"]
    write_text(f"home: {home()}\n\n{table(rows, header)}")
