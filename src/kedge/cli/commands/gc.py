"""`kedge gc`: removes what nobody needs, and says what and how much."""

import os
import re
from typing import TYPE_CHECKING, Any, Final

import click

from kedge.cli.report import say, write_json, write_text
from kedge.cli.text import table
from kedge.errors import StoreError, UsageError

if TYPE_CHECKING:
    from kedge.run.garbage import Clean, Removed

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kKMGT]?)(i?)[bB]?", re.ASCII)
_AGE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([mhdw])", re.ASCII)
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_POWERS: Final = "kMGT"
_LISTED: Final = 12  # of one kind; more are one line with their number
_SHORT: Final = 16  # characters of a digest


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option(
    "--max-age", metavar="AGE", help="Remove what was not used for so long, runs too: 30d."
)
@click.option("--max-size", metavar="SIZE", help="Remove the oldest until all is below it: 20G.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(dry_run: bool, max_age: str | None, max_size: str | None, as_json: bool) -> None:
    """Remove what no run needs any more.

    Without options: left-overs of processes that were killed, and environments, snapshots and other
    things that are made again when they are needed and were not used for 30 days. Runs stay, unless
    --max-age or --max-size is given. What is in use is never touched.
    """
    from kedge.home import home
    from kedge.run import core, garbage

    age = None if max_age is None else age_of(max_age)
    size = None if max_size is None else size_of(max_size)
    if not os.path.isdir(home()):
        done = garbage.Clean((), (), 0, 0)
    else:
        core.settle()
        done = garbage.clean(age, size, dry_run=dry_run)
    if as_json:
        write_json(_document(done, dry_run))
    else:
        _write(done, dry_run)
    if size is not None and done.after > size:
        from kedge.cli.result import size_text

        say(f"{size_text(done.after)} stay: they are in use, or are not of what `kedge gc` removes")
    if done.problems:
        raise StoreError(
            "; ".join(done.problems),
            hint="it may belong to another account, or the disk may be read-only",
        )


def size_of(text: str) -> int:
    """Bytes from `20G`, `500M`, `1.5GiB`.

    Raises:
        UsageError: it is none of these.

    >>> size_of("20G")
    20000000000
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise UsageError(f"`{text[:40]}` is no size", hint="write 20G, 500M or 1.5GiB")
    base = 1024 if match[3] else 1000
    power = _POWERS.index(match[2].replace("K", "k")) + 1 if match[2] else 0
    return int(float(match[1]) * base**power)


def age_of(text: str) -> float:
    """Seconds from `30d`, `12h`, `2w`.

    Raises:
        UsageError: it is none of these.

    >>> age_of("2w")
    1209600.0
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"`{text[:40]}` is no age", hint="write 30d, 12h or 2w")
    return float(match[1]) * _SECONDS[match[2]]


def _document(done: "Clean", dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "removed": [one.to_json() for one in done.removed],
        "size": sum(one.size for one in done.removed),
        "before": done.before,
        "after": done.after,
        "problems": list(done.problems),
    }


def _write(done: "Clean", dry_run: bool) -> None:
    from kedge.cli.result import size_text

    kinds: dict[str, list[Removed]] = {}
    for one in done.removed:
        kinds.setdefault(one.kept.kind, []).append(one)
    rows = [row for kind, several in kinds.items() for row in _rows(kind, several)]
    if rows:
        write_text(table(rows, ["what", "name", "size", "why"]))
    freed = size_text(sum(one.size for one in done.removed))
    verb = "would be removed" if dry_run else "removed"
    number = len(done.removed)
    say(f"{number} thing{'' if number == 1 else 's'} {verb}, {freed}; {size_text(done.after)} stay")


def _rows(kind: str, several: "list[Removed]") -> list[list[str]]:
    from kedge.cli.result import size_text

    if len(several) <= _LISTED:
        return [[kind, one.kept.name[:_SHORT], size_text(one.size), one.why] for one in several]
    reasons: dict[str, list[Removed]] = {}
    for one in several:
        reason = "not used for a long time" if one.why.startswith("not used") else one.why
        reasons.setdefault(reason, []).append(one)
    return [
        [kind, f"{len(group)} of them", size_text(sum(one.size for one in group)), reason]
        for reason, group in reasons.items()
    ]
