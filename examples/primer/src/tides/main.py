"""`./app STATION`: when the water is high."""

import json
from pathlib import Path

import click

BUILT = Path(__file__).parents[2] / "build" / "stations.json"


@click.command()
@click.argument("station")
@click.option("--day", default=0, help="How many days from the first of the table.")
def main(station: str, day: int) -> None:
    """Say when the water is high at STATION."""
    if not BUILT.exists():
        raise click.ClickException("the stations are not built yet: ./prime")
    stations = json.loads(BUILT.read_text())
    if station not in stations:
        raise click.ClickException(f"{station} is none of {', '.join(stations)}")
    # Two high waters are 12 hours and 25 minutes apart.
    minutes = (stations[station] + day * 2 * 745) % (24 * 60)
    click.echo(f"{station}: {minutes // 60:02}:{minutes % 60:02}")
