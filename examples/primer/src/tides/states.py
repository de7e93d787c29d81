"""What `./prime` makes ready."""

import csv
import json

from kedge.primer import Context, state


@state(inputs=["data/stations.csv"], outputs=["build/stations.json"])
def stations(ctx: Context) -> int:
    """The table of stations, as the app reads it."""
    with (ctx.root / "data" / "stations.csv").open(newline="") as table:
        minutes = {}
        for row in csv.DictReader(table):
            hours, _, rest = row["high water"].partition(":")
            minutes[row["station"]] = int(hours) * 60 + int(rest)
    (ctx.root / "build").mkdir(exist_ok=True)
    (ctx.root / "build" / "stations.json").write_text(json.dumps(minutes))
    return len(minutes)


@state(needs=[stations], outputs=["build/ABOUT.txt"], default=True)
def about(ctx: Context) -> None:
    """A page about what there is."""
    text = f"{ctx.value(stations)} stations\n"
    (ctx.root / "build" / "ABOUT.txt").write_text(text)
    ctx.say(text.strip())
